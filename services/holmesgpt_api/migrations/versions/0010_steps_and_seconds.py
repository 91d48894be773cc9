"""Budgets of a tenant's day in steps and seconds.

Columns with a default alone, so a worker of the release before goes on writing its rows beside this one: what it takes is
counted in tokens and money, as it knows them, and is no step and no second.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_COLUMNS = "steps bigint NOT NULL DEFAULT 0, ADD COLUMN seconds numeric(14, 3) NOT NULL DEFAULT 0"

_STATEMENTS = (
    f"ALTER TABLE budget_day ADD COLUMN {_COLUMNS}",
    f"ALTER TABLE budget_hold ADD COLUMN {_COLUMNS}",
    "COMMENT ON COLUMN budget_day.steps IS 'answers that models were asked for'",
    "COMMENT ON COLUMN budget_day.seconds IS 'how long runs have had a place at a model'",
    "COMMENT ON TABLE budget_hold IS 'one row per run at a model: what its step may take, and the time until its end'",
)


def upgrade() -> None:
    """Count from zero: of the day under way nobody knows how many it had."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Steps and seconds are forgotten; tokens and money stay."""
    for table in ("budget_hold", "budget_day"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN steps, DROP COLUMN seconds")
    op.execute(
        "COMMENT ON TABLE budget_hold IS 'one row per run with a step under way: what that step may take'"
    )
