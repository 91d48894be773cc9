"""What a model's run had seen outlives the run, so that a replay concludes from the same evidence."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# It takes no time, but waits for whoever reads the table (a dump), and meanwhile all others wait for it: who does not get it
# soon gives up ("cannot start"), and the process that is started next tries again.
_STATEMENTS = (
    "SET LOCAL lock_timeout = '5s'",
    "ALTER TABLE investigation ADD COLUMN shown bytea",
    # It is compressed already.
    "ALTER TABLE investigation ALTER COLUMN shown SET STORAGE EXTERNAL",
    "COMMENT ON COLUMN investigation.shown IS 'the course of its last step at the model: evidence seen, tools asked'",
    # With whatever verdict it ends; the step itself goes (0006). Without one nothing can be replayed, and a replay has
    # been given all that there was (`frozen`).
    """
    CREATE FUNCTION keep_what_was_shown() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.shown := (SELECT course FROM step WHERE investigation_id = NEW.id AND octet_length(course) <= 1048576);
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER keep_what_was_shown BEFORE UPDATE OF ended_at ON investigation
        FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.status = 'completed' AND NEW.replay IS NULL)
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
