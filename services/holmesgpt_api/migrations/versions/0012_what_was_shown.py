"""What a model's run had seen outlives the run, so that a replay concludes from the same evidence."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE investigation ADD COLUMN shown bytea",
    # It is compressed already.
    "ALTER TABLE investigation ALTER COLUMN shown SET STORAGE EXTERNAL",
    "COMMENT ON COLUMN investigation.shown IS 'the course of its last step at the model: evidence seen, tools asked'",
    # Whatever ends it: a verdict, its deadline, a caller. The step itself goes (0006).
    """
    CREATE FUNCTION keep_what_was_shown() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.shown := (SELECT course FROM step WHERE investigation_id = NEW.id AND octet_length(course) <= 1048576);
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER keep_what_was_shown BEFORE UPDATE OF ended_at ON investigation
        FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL)
        EXECUTE FUNCTION keep_what_was_shown()
    """,
)


def upgrade() -> None:
    """Add what replays conclude from."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Replays conclude from what verdicts cite, as before."""
    op.execute("DROP TRIGGER keep_what_was_shown ON investigation")
    op.execute("DROP FUNCTION keep_what_was_shown()")
    op.execute("ALTER TABLE investigation DROP COLUMN shown")
