"""What past investigations are looked up by, and the steps that a run at the model goes on from.

The looked-up columns are kept by the database: they follow the verdict, whoever writes it.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    ALTER TABLE investigation
        ADD COLUMN cause_reason text
            GENERATED ALWAYS AS (left(verdict #>> '{results,cause,reason}', 200)) STORED,
        ADD COLUMN cause_target jsonb GENERATED ALWAYS AS (verdict #> '{results,cause,target}') STORED,
        ADD COLUMN target_kind text GENERATED ALWAYS AS (left(coalesce(
            verdict #>> '{results,cause,target,kind}', verdict #>> '{results,target,kind}'), 63)) STORED,
        ADD COLUMN recommended text
            GENERATED ALWAYS AS (left(verdict #>> '{recommendations,0,title}', 400)) STORED
    """,
    """
    CREATE INDEX investigation_reason ON investigation (tenant, cause_reason, created_at DESC)
        WHERE cause_reason IS NOT NULL
    """,
    """
    CREATE INDEX investigation_kind ON investigation (tenant, target_kind, created_at DESC)
        WHERE target_kind IS NOT NULL
    """,
    """
    CREATE TABLE step (
        investigation_id text PRIMARY KEY REFERENCES investigation (id) ON DELETE CASCADE,
        fence integer NOT NULL,
        number integer NOT NULL,
        phase text NOT NULL,
        model text NOT NULL,
        messages bytea NOT NULL,
        answer bytea,
        course bytea NOT NULL,
        stored_at timestamptz NOT NULL DEFAULT now(),
        CHECK (number > 0),
        CHECK (phase IN ('talk', 'document'))
    )
    """,
    "COMMENT ON TABLE step IS 'the last step of each run at the model: what it goes on from after a kill'",
    "COMMENT ON COLUMN step.messages IS 'as they went to the model; packed by the engine'",
    "COMMENT ON COLUMN step.answer IS 'the model''s answer to them, once there is one'",
    "COMMENT ON COLUMN step.course IS 'evidence seen, tools asked, usage so far; packed by the service'",
    """
    CREATE FUNCTION steps_end_with_the_run() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM step WHERE investigation_id = NEW.id;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER steps_end_with_the_run AFTER UPDATE OF ended_at ON investigation
        FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL)
        EXECUTE FUNCTION steps_end_with_the_run()
    """,
)


def upgrade() -> None:
    """Add what callers ask for, and what runs go on from."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Runs under way begin anew when they are taken up again."""
    op.execute("DROP TRIGGER steps_end_with_the_run ON investigation")
    op.execute("DROP FUNCTION steps_end_with_the_run()")
    op.execute("DROP TABLE step")
    op.execute(
        "ALTER TABLE investigation DROP COLUMN cause_reason, DROP COLUMN cause_target, "
        "DROP COLUMN target_kind, DROP COLUMN recommended"
    )
