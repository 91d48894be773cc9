"""The queue and one table, as a service's first migration would make them."""

from __future__ import annotations

from alembic import op

from libs.jobs.schema import install

revision = "0001"
down_revision = None


def upgrade() -> None:
    install(op)
    op.execute("CREATE TABLE effect (name text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())")
