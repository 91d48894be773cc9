"""An index by which one alert's past is found among all others.

Whoever enriches an alert asks for its earlier episodes by fingerprint, newest first; without the index that reads
the tenant's whole history for an alert that never fired before.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Find episodes by fingerprint, in the order in which they are shown."""
    op.execute(
        "CREATE INDEX episode_page_fingerprint ON episode (tenant, fingerprint, starts_at DESC, id DESC)"
    )


def downgrade() -> None:
    """Leave the finding to the other indexes."""
    op.execute("DROP INDEX episode_page_fingerprint")
