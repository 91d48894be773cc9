"""Keeps the line at the model in PostgreSQL: whose turn it is, by the rule of `domain.line`.

Whoever takes a turn locks the table `line`, so that turns come one after the other, whichever worker takes them. Looked
at are the first one of each priority and, where a tenant has half of all places, the first one of each tenant: never
everybody who waits.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.alerts import Priority
from services.holmesgpt_api.adapters.engine_reports import FRESH
from services.holmesgpt_api.domain.line import Lane, Turn, Waiting, decide, full

_LANES = text("SELECT priority, passed, clock FROM line ORDER BY priority FOR NO KEY UPDATE")
_FIRST = text("""
    SELECT one.* FROM line CROSS JOIN LATERAL (
        SELECT id, priority, tenant, turn, clock_timestamp() - held_at AS waited FROM investigation
         WHERE held_at IS NOT NULL AND priority = line.priority ORDER BY turn, held_at, id LIMIT 1) AS one
""")
_LONGEST = text("""
    SELECT id, priority, tenant, turn, clock_timestamp() - held_at AS waited FROM investigation
     WHERE held_at IS NOT NULL ORDER BY held_at, id LIMIT 1
""")
_RUNNING = text("""
    SELECT tenant, count(*) AS running,
           (SELECT coalesce(sum(max_running), 0) FROM engine
             WHERE reported_at > now() - CAST(:fresh AS interval)) AS places
      FROM investigation WHERE interim IS NOT NULL AND held_at IS NULL AND ended_at IS NULL GROUP BY tenant
""")
# From tenant to tenant along the index: what a storm of one tenant has waiting is passed over in one step.
_FIRST_OF_OTHERS = text("""
    WITH RECURSIVE waits (priority, tenant) AS (
        SELECT line.priority, (
            SELECT min(tenant) FROM investigation WHERE held_at IS NOT NULL AND priority = line.priority)
          FROM line
        UNION ALL
        SELECT waits.priority, (
            SELECT min(tenant) FROM investigation
             WHERE held_at IS NOT NULL AND priority = waits.priority AND tenant > waits.tenant)
          FROM waits WHERE waits.tenant IS NOT NULL)
    SELECT DISTINCT ON (one.priority) one.* FROM waits CROSS JOIN LATERAL (
        SELECT id, priority, tenant, turn, held_at, clock_timestamp() - held_at AS waited FROM investigation
         WHERE held_at IS NOT NULL AND priority = waits.priority AND tenant = waits.tenant
         ORDER BY turn, held_at, id LIMIT 1) AS one
     WHERE waits.tenant <> ALL(CAST(:full AS text[]))
     ORDER BY one.priority, one.turn, one.held_at, one.id
""")
_MOVE = text("""
    UPDATE line SET passed = now.passed, clock = now.clock
      FROM unnest(CAST(:priorities AS text[]), CAST(:passed AS bigint[]), CAST(:clocks AS bigint[]))
           AS now (priority, passed, clock)
     WHERE line.priority = now.priority AND (line.passed, line.clock) <> (now.passed, now.clock)
""")
_ANYBODY = text("SELECT EXISTS (SELECT FROM investigation WHERE held_at IS NOT NULL)")
_FORGET = text("""
    DELETE FROM line_tenant WHERE (priority, tenant) IN (
        SELECT known.priority, known.tenant FROM line_tenant AS known JOIN line USING (priority)
         WHERE known.last < line.clock LIMIT 100 FOR UPDATE OF known SKIP LOCKED)
""")


async def lock(conn: AsyncConnection) -> Sequence[Lane]:
    """The lanes, which are this transaction's until it ends."""
    rows = (await conn.execute(_LANES)).mappings().all()
    return [Lane(Priority(row["priority"]), row["passed"], row["clock"]) for row in rows]


async def next_in_line(conn: AsyncConnection, lanes: Sequence[Lane]) -> Turn | None:
    """Whose turn it is; None: nobody waits. To be called with the lanes locked."""
    first = [_waiting(row) for row in (await conn.execute(_FIRST)).mappings()]
    longest = (await conn.execute(_LONGEST)).mappings().first()
    if not first or longest is None:
        return None
    passed_over = await _full(conn)
    others = None
    if passed_over:
        found = await conn.execute(_FIRST_OF_OTHERS, {"full": sorted(passed_over)})
        others = [_waiting(row) for row in found.mappings()]
    return decide(lanes, first, _waiting(longest), not_full=others)


async def _full(conn: AsyncConnection) -> frozenset[str]:
    rows = (await conn.execute(_RUNNING, {"fresh": FRESH})).mappings().all()
    places = int(rows[0]["places"]) if rows else 0
    return full({row["tenant"]: row["running"] for row in rows}, places)


async def move_on(conn: AsyncConnection, lanes: Sequence[Lane]) -> None:
    values = {
        "priorities": [lane.priority.value for lane in lanes],
        "passed": [lane.passed for lane in lanes],
        "clocks": [lane.clock for lane in lanes],
    }
    await conn.execute(_MOVE, values)


async def anybody_waits(conn: AsyncConnection) -> bool:
    return bool((await conn.execute(_ANYBODY)).scalar_one())


async def forget_tenants(conn: AsyncConnection) -> None:
    """Those whose last number lies behind the clock: what is known of them counts no more than nothing."""
    await conn.execute(_FORGET)


def _waiting(row: RowMapping) -> Waiting:
    return Waiting(row["id"], Priority(row["priority"]), row["tenant"], row["turn"], row["waited"])
