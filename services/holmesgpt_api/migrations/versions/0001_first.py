"""Investigations, and the job queue beside them.

An ended investigation never changes: every statement of ours asks for it, and the trigger holds it against
those that forget.
"""

from __future__ import annotations

from alembic import op

from libs.jobs import schema

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE investigation (
        id text PRIMARY KEY,
        tenant text NOT NULL,
        asker text NOT NULL,
        reads text[] NOT NULL,
        idempotency_key text,
        digest bytea NOT NULL,
        request jsonb NOT NULL,
        namespace text,
        priority text NOT NULL,
        status text NOT NULL DEFAULT 'started',
        progress integer NOT NULL DEFAULT 0,
        stage text NOT NULL DEFAULT '',
        runs integer NOT NULL DEFAULT 0,
        fence integer NOT NULL DEFAULT 0,
        seen text[] NOT NULL,
        trouble_code text,
        trouble text,
        verdict jsonb,
        error_code text,
        error text,
        created_at timestamptz NOT NULL DEFAULT now(),
        deadline_at timestamptz NOT NULL,
        ended_at timestamptz,
        CHECK (status IN ('started', 'running', 'completed', 'failed')),
        CHECK ((ended_at IS NOT NULL) = (status IN ('completed', 'failed'))),
        CHECK ((verdict IS NOT NULL) = (status = 'completed')),
        CHECK ((error IS NOT NULL) = (status = 'failed'))
    ) WITH (fillfactor = 80)
    """,
    "COMMENT ON COLUMN investigation.reads IS 'namespaces (globs) the asker may read'",
    "COMMENT ON COLUMN investigation.seen IS 'namespaces the investigation shows something of; empty text: cluster'",
    "COMMENT ON COLUMN investigation.fence IS 'number of the run that has the say'",
    "COMMENT ON COLUMN investigation.trouble IS 'what kept the last run from a verdict'",
    """
    CREATE UNIQUE INDEX investigation_key ON investigation (tenant, asker, idempotency_key)
        WHERE idempotency_key IS NOT NULL
    """,
    "CREATE INDEX investigation_page ON investigation (tenant, created_at DESC, id DESC)",
    "CREATE INDEX investigation_old ON investigation (ended_at) WHERE ended_at IS NOT NULL",
    """
    CREATE FUNCTION ended_never_changes() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'investigation % has ended and does not change', OLD.id;
    END $$
    """,
    """
    CREATE TRIGGER ended_never_changes BEFORE UPDATE ON investigation
        FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION ended_never_changes()
    """,
)


def upgrade() -> None:
    """Create everything."""
    for statement in _STATEMENTS:
        op.execute(statement)
    schema.install(op)


def downgrade() -> None:
    """There is nothing below the first revision."""
    raise RuntimeError("0001 is the first revision; drop the schema instead")
