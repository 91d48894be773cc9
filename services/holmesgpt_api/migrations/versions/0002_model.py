"""Asking a model: triage's verdict meanwhile, the queue for a place, and what the engines say of themselves."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE investigation ADD COLUMN interim jsonb, ADD COLUMN held_at timestamptz",
    "ALTER TABLE investigation ADD CHECK (held_at IS NULL OR (interim IS NOT NULL AND ended_at IS NULL))",
    "COMMENT ON COLUMN investigation.interim IS 'the verdict of triage, known before a model has been asked'",
    "COMMENT ON COLUMN investigation.held_at IS 'since when it waits for a place at the model'",
    "CREATE INDEX investigation_held ON investigation (held_at) WHERE held_at IS NOT NULL",
    """
    CREATE TABLE engine (
        worker text PRIMARY KEY,
        model text NOT NULL,
        state text NOT NULL,
        detail text NOT NULL,
        running integer NOT NULL,
        max_running integer NOT NULL,
        last_outcome text,
        last_at timestamptz,
        reported_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "COMMENT ON TABLE engine IS 'one row per worker process with a model, renewed while it lives'",
)


def upgrade() -> None:
    """Add what a model needs."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Running investigations lose what triage has found; they end by asking again."""
    op.execute("DROP TABLE engine")
    op.execute("ALTER TABLE investigation DROP COLUMN held_at, DROP COLUMN interim")
