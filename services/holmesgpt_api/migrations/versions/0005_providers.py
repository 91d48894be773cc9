"""Budgets per tenant and day, how every worker's models are doing, and which configuration each process has taken up."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "CREATE INDEX investigation_active ON investigation (id) WHERE ended_at IS NULL",
    """
    CREATE TABLE budget_day (
        tenant text NOT NULL,
        day date NOT NULL,
        tokens bigint NOT NULL DEFAULT 0,
        cost_usd numeric(14, 6) NOT NULL DEFAULT 0,
        PRIMARY KEY (tenant, day)
    )
    """,
    "COMMENT ON TABLE budget_day IS 'what models have taken, by tenant and day (UTC)'",
    "CREATE INDEX budget_day_old ON budget_day (day)",
    """
    CREATE TABLE budget_hold (
        run text PRIMARY KEY,
        tenant text NOT NULL,
        tokens bigint NOT NULL,
        cost_usd numeric(14, 6) NOT NULL,
        until timestamptz NOT NULL
    )
    """,
    "COMMENT ON TABLE budget_hold IS 'one row per run with a step under way: what that step may take'",
    "CREATE INDEX budget_hold_tenant ON budget_hold (tenant)",
    """
    CREATE TABLE model_standing (
        worker text NOT NULL,
        name text NOT NULL,
        standing jsonb NOT NULL,
        reported_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (worker, name)
    )
    """,
    "COMMENT ON TABLE model_standing IS 'how each worker finds each of its models, renewed while it lives'",
    """
    CREATE TABLE configuration (
        version bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        digest text NOT NULL,
        asked_by text NOT NULL,
        asked_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "COMMENT ON TABLE configuration IS 'reloads that were asked for; the file itself is the truth'",
    """
    CREATE TABLE process (
        id text PRIMARY KEY,
        role text NOT NULL,
        version bigint NOT NULL,
        digest text NOT NULL,
        fault text NOT NULL,
        reported_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "COMMENT ON TABLE process IS 'which configuration each process works with'",
    """
    CREATE TABLE monitoring (
        single boolean PRIMARY KEY DEFAULT true CHECK (single),
        wanted boolean NOT NULL,
        asked_by text NOT NULL,
        asked_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "COMMENT ON TABLE monitoring IS 'whether models are probed; without its row they are'",
)


def upgrade() -> None:
    """Add what several models need."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """What was spent is forgotten; nothing else hangs on it."""
    for table in ("monitoring", "process", "configuration", "model_standing", "budget_hold", "budget_day"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP INDEX investigation_active")
