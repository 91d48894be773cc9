"""How many investigations a caller has under way is counted for each one it asks for."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX investigation_open_of_caller ON investigation (tenant, asker) WHERE ended_at IS NULL"
    )


def downgrade() -> None:
    """Nothing is counted any more."""
    op.execute("DROP INDEX investigation_open_of_caller")
