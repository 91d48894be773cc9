"""The steps that a chat's question at the model goes on from, as an investigation's run does."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE chat_step (
        turn_id text PRIMARY KEY REFERENCES chat_turn (id) ON DELETE CASCADE,
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
    "COMMENT ON TABLE chat_step IS 'the last step of each question at the model: what it goes on from after a kill'",
    """
    CREATE FUNCTION steps_end_with_the_question() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM chat_step WHERE turn_id = NEW.id;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER steps_end_with_the_question AFTER UPDATE OF ended_at ON chat_turn
        FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL)
        EXECUTE FUNCTION steps_end_with_the_question()
    """,
)


def upgrade() -> None:
    """Add what questions go on from."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Questions under way begin anew when they are taken up again."""
    op.execute("DROP TRIGGER steps_end_with_the_question ON chat_turn")
    op.execute("DROP FUNCTION steps_end_with_the_question()")
    op.execute("DROP TABLE chat_step")
