# ruff: noqa: S608 - only this module's own constants are put into its statements
"""Keeps what models have taken in PostgreSQL, by tenant and day. Fulfils `domain.budget.Purse`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.storage import Database, statements
from services.holmesgpt_api.domain.budget import Amount, Limit, Spent, check_day

_TODAY = "(clock_timestamp() AT TIME ZONE 'UTC')::date"
_READ = "tokens, cost_usd::float8 AS cost_usd, steps, seconds::float8 AS seconds"

# Locks the tenant's day, so that of two runs the second sees what the first has kept back.
_CHARGE = f"""
    INSERT INTO budget_day (tenant, day, tokens, cost_usd, steps, seconds)
    VALUES (:tenant, {_TODAY}, :tokens, :cost_usd, :steps, :seconds)
    ON CONFLICT (tenant, day) DO UPDATE
       SET tokens = budget_day.tokens + excluded.tokens, cost_usd = budget_day.cost_usd + excluded.cost_usd,
           steps = budget_day.steps + excluded.steps, seconds = budget_day.seconds + excluded.seconds
"""
_CHARGED = text(_CHARGE)
_OPEN_DAY = text(f"""{_CHARGE} RETURNING {_READ}, xmax = 0 AS new""")
_HELD = text("""
    SELECT coalesce(sum(tokens), 0)::bigint AS tokens, coalesce(sum(cost_usd), 0)::float8 AS cost_usd,
           coalesce(sum(steps), 0)::bigint AS steps, coalesce(sum(seconds), 0)::float8 AS seconds
      FROM budget_hold WHERE tenant = :tenant AND run <> :run AND until > clock_timestamp()
""")
_HOLD = text("""
    INSERT INTO budget_hold (run, tenant, tokens, cost_usd, steps, seconds, until)
    VALUES (:run, :tenant, :tokens, :cost_usd, :steps, :seconds, clock_timestamp() + :life)
    ON CONFLICT (run) DO UPDATE
       SET tokens = excluded.tokens, cost_usd = excluded.cost_usd, steps = excluded.steps,
           seconds = excluded.seconds, until = excluded.until
""")
_KEEP = text("""
    UPDATE budget_hold SET tokens = :tokens, cost_usd = :cost_usd, steps = :steps, seconds = :seconds WHERE run = :run
""")
_LET_GO = text("DELETE FROM budget_hold WHERE run = :run")
_SPENT = text(f"SELECT {_READ} FROM budget_day WHERE tenant = :tenant AND day = {_TODAY}")
_FORGET_DAYS = text(f"DELETE FROM budget_day WHERE day < {_TODAY} - CAST(:days AS integer)")
_FORGET_HOLDS = text("DELETE FROM budget_hold WHERE until < clock_timestamp()")


class PostgresPurse:
    def __init__(self, database: Database, *, retention: timedelta) -> None:
        """`retention`: how long days are kept."""
        self._database, self._days = database, max(retention.days, 1)

    async def reserve(
        self, run: str, tenant: str, step: Amount, *, used: Amount, limit: Limit, life: timedelta
    ) -> None:
        refused: Spent | None = None
        async with self._database.begin() as conn:
            day = await statements.one(conn, _OPEN_DAY, {"tenant": tenant, **_values(used)})
            held = await statements.one(conn, _HELD, {"tenant": tenant, "run": run})
            try:
                check_day(limit, _amount(day), _amount(held))
            except Spent as spent:
                refused = spent  # what was used stays written down
            else:
                await statements.changed(
                    conn, _HOLD, {"run": run, "tenant": tenant, **_values(step), "life": life}
                )
            if day["new"]:
                await self._forget(conn)
        if refused is not None:
            raise refused

    async def _forget(self, conn: AsyncConnection) -> None:
        """Once a day and tenant: both tables stay as large as their use."""
        await conn.execute(_FORGET_DAYS, {"days": self._days})
        await conn.execute(_FORGET_HOLDS)

    async def charge(self, run: str, tenant: str, used: Amount, *, keep: Amount) -> None:
        async with self._database.begin() as conn:
            if used:
                await statements.changed(conn, _CHARGED, {"tenant": tenant, **_values(used)})
            if keep:
                await statements.changed(conn, _KEEP, {"run": run, **_values(keep)})
            else:
                await statements.changed(conn, _LET_GO, {"run": run})

    async def spent_today(self, tenant: str) -> Amount:
        async with self._database.begin() as conn:
            row = await statements.first(conn, _SPENT, {"tenant": tenant})
        return Amount() if row is None else _amount(row)


def _values(amount: Amount) -> dict[str, Any]:
    return {
        "tokens": amount.tokens,
        "cost_usd": amount.cost_usd,
        "steps": amount.steps,
        "seconds": amount.seconds,
    }


def _amount(row: dict[str, Any]) -> Amount:
    return Amount(row["tokens"], row["cost_usd"], row["steps"], row["seconds"])
