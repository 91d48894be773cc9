# ruff: noqa: S608 - only this module's own constants are put into its statements
"""Keeps what models have taken in PostgreSQL, by tenant and day. Fulfils `domain.budget.Purse`."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.storage import Database, statements
from services.holmesgpt_api.domain.budget import Amount, Limit, check_day

_TODAY = "(clock_timestamp() AT TIME ZONE 'UTC')::date"

# Locks the tenant's day, so that of two runs the second sees what the first has kept back.
_OPEN_DAY = text(f"""
    INSERT INTO budget_day (tenant, day) VALUES (:tenant, {_TODAY})
    ON CONFLICT (tenant, day) DO UPDATE SET tokens = budget_day.tokens
    RETURNING tokens, cost_usd::float8 AS cost_usd, xmax = 0 AS new
""")
_HELD = text("""
    SELECT coalesce(sum(tokens), 0)::bigint AS tokens, coalesce(sum(cost_usd), 0)::float8 AS cost_usd
      FROM budget_hold WHERE tenant = :tenant AND run <> :run AND until > clock_timestamp()
""")
_HOLD = text("""
    INSERT INTO budget_hold (run, tenant, tokens, cost_usd, until)
    VALUES (:run, :tenant, :tokens, :cost_usd, clock_timestamp() + :life)
    ON CONFLICT (run) DO UPDATE
       SET tokens = excluded.tokens, cost_usd = excluded.cost_usd, until = excluded.until
""")
_LET_GO = text("DELETE FROM budget_hold WHERE run = :run")
_CHARGE = text(f"""
    INSERT INTO budget_day (tenant, day, tokens, cost_usd) VALUES (:tenant, {_TODAY}, :tokens, :cost_usd)
    ON CONFLICT (tenant, day) DO UPDATE
       SET tokens = budget_day.tokens + excluded.tokens, cost_usd = budget_day.cost_usd + excluded.cost_usd
""")
_SPENT = text(f"""
    SELECT tokens, cost_usd::float8 AS cost_usd FROM budget_day WHERE tenant = :tenant AND day = {_TODAY}
""")
_FORGET_DAYS = text(f"DELETE FROM budget_day WHERE day < {_TODAY} - CAST(:days AS integer)")
_FORGET_HOLDS = text("DELETE FROM budget_hold WHERE until < clock_timestamp()")


class PostgresPurse:
    def __init__(self, database: Database, *, retention: timedelta) -> None:
        """`retention`: how long days are kept."""
        self._database, self._days = database, max(retention.days, 1)

    async def reserve(self, run: str, tenant: str, step: Amount, *, limit: Limit, life: timedelta) -> None:
        async with self._database.begin() as conn:
            day = await statements.one(conn, _OPEN_DAY, {"tenant": tenant})
            held = await statements.one(conn, _HELD, {"tenant": tenant, "run": run})
            spent, kept = Amount(day["tokens"], day["cost_usd"]), Amount(held["tokens"], held["cost_usd"])
            check_day(limit, spent, kept)
            values = {"run": run, "tenant": tenant, "tokens": step.tokens, "cost_usd": step.cost_usd}
            await statements.changed(conn, _HOLD, {**values, "life": life})
            if day["new"]:
                await self._forget(conn)

    async def _forget(self, conn: AsyncConnection) -> None:
        """Once a day and tenant: both tables stay as large as their use."""
        await conn.execute(_FORGET_DAYS, {"days": self._days})
        await conn.execute(_FORGET_HOLDS)

    async def charge(self, run: str, tenant: str, used: Amount) -> None:
        async with self._database.begin() as conn:
            if used:
                values = {"tenant": tenant, "tokens": used.tokens, "cost_usd": used.cost_usd}
                await statements.changed(conn, _CHARGE, values)
            await statements.changed(conn, _LET_GO, {"run": run})

    async def spent_today(self, tenant: str) -> Amount:
        async with self._database.begin() as conn:
            row = (await conn.execute(_SPENT, {"tenant": tenant})).one_or_none()
        return Amount() if row is None else Amount(row.tokens, row.cost_usd)
