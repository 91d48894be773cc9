"""What callers said about answers, what is left out because of it, and every change that was made.

`tuning` has one row for each subject that anybody spoke of: it is what a decision locks, so two never decide about one
subject at once. `tuning_version` is only ever added to.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE tuning (
        tenant text NOT NULL,
        tier text NOT NULL,
        investigation text NOT NULL,
        version integer NOT NULL DEFAULT 0,
        reduction double precision NOT NULL,
        changed_at timestamptz,
        held_until timestamptz,
        baseline double precision,
        fell_from double precision,
        fell_at timestamptz,
        degraded boolean NOT NULL DEFAULT false,
        PRIMARY KEY (tenant, tier, investigation)
    ) WITH (fillfactor = 80)
    """,
    """
    CREATE TABLE tuning_version (
        tenant text NOT NULL,
        tier text NOT NULL,
        investigation text NOT NULL,
        version integer NOT NULL,
        reduction double precision NOT NULL,
        previous double precision NOT NULL,
        reason text NOT NULL,
        detail text NOT NULL,
        quality double precision,
        answers integer NOT NULL,
        made_by text NOT NULL,
        made_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant, tier, investigation, version),
        FOREIGN KEY (tenant, tier, investigation) REFERENCES tuning
    )
    """,
    """
    CREATE TABLE feedback (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tenant text NOT NULL,
        tier text NOT NULL,
        investigation text NOT NULL,
        version integer NOT NULL,
        caller text NOT NULL,
        quality double precision NOT NULL,
        response_s double precision,
        token_usage bigint,
        context_size bigint,
        said_at timestamptz NOT NULL DEFAULT now(),
        FOREIGN KEY (tenant, tier, investigation) REFERENCES tuning
    )
    """,
    "COMMENT ON COLUMN feedback.version IS 'of the tuning in force when it was said'",
    "CREATE INDEX feedback_subject ON feedback (tenant, tier, investigation, said_at)",
    """
    CREATE TABLE answered (
        tenant text NOT NULL,
        caller text NOT NULL,
        key text NOT NULL,
        digest bytea NOT NULL,
        answer text NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant, caller, key)
    )
    """,
    "COMMENT ON TABLE answered IS 'what was answered under an Idempotency-Key, so that a repeat gets the same, byte for byte'",
    "CREATE INDEX answered_at ON answered (at)",
)


def upgrade() -> None:
    """Create everything."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """There is nothing below the first revision."""
    raise RuntimeError("0001 is the first revision; drop the schema instead")
