"""How many investigations a caller has under way is counted for each one it asks for."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# All scripts run in one transaction, and 0010 alters these two tables. While a dump reads them it would have to wait, and
# meanwhile the index' lock would stop everybody who writes an investigation. So what 0010 needs is taken first: who does not
# get it soon has stopped nobody, gives up ("cannot start"), and the process that is started next tries again.
_STATEMENTS = (
    "SET LOCAL lock_timeout = '5s'",
    "LOCK TABLE budget_day, budget_hold IN ACCESS EXCLUSIVE MODE",
    "CREATE INDEX investigation_open_of_caller ON investigation (tenant, asker) WHERE ended_at IS NULL",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Nothing is counted any more."""
    op.execute("DROP INDEX investigation_open_of_caller")
