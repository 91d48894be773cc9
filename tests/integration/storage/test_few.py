from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from libs.storage import Database, StorageUnavailable
from libs.storage.few import Few
from tests.support.postgres import MakeDatabase

pytestmark = pytest.mark.requirement("API-BR-PERF-034", "INT-BR-REL-004")

SLOW_S = 0.2
"""Of one transaction: longer than the pool's own patience here, so that what asked the pool itself would be refused."""


@pytest.fixture
async def database(fresh_database: MakeDatabase) -> AsyncIterator[Database]:
    settings = fresh_database("alerts").settings("alerts")
    settings = settings.model_copy(update={"database_pool_timeout": timedelta(seconds=0.1)})
    opened = Database(settings, application="alerts")
    yield opened
    await opened.close()


async def slow(few: Few) -> int:
    async with few.begin() as connection:
        found = await connection.scalar(text("SELECT pg_backend_pid() FROM pg_sleep(:s)"), {"s": SLOW_S})
    return int(found or 0)


async def test_a_burst_that_the_pool_would_turn_away_is_served_in_turn(database: Database):
    few = Few(database)

    served = await asyncio.gather(*(slow(few) for _ in range(20)))

    assert len(served) == 20
    assert len(set(served)) <= 2


async def test_what_waits_in_line_leaves_connections_to_everything_else(database: Database):
    few = Few(database)
    waiting = [asyncio.create_task(slow(few)) for _ in range(20)]
    await asyncio.sleep(SLOW_S / 4)

    await database.check()

    assert not all(task.done() for task in waiting)
    await asyncio.gather(*waiting)


async def test_who_has_no_turn_in_time_is_told_that_the_database_is_busy(database: Database):
    few = Few(database, at_once=1, patience=timedelta(seconds=SLOW_S / 4))
    first = asyncio.create_task(slow(few))
    await asyncio.sleep(SLOW_S / 8)

    with pytest.raises(StorageUnavailable) as caught:
        await slow(few)

    assert caught.value.reason == "busy"
    assert await first
    assert await slow(few)  # the turn that was waited for in vain is not lost


async def test_a_caller_that_goes_away_gives_its_turn_back(database: Database):
    few = Few(database, at_once=1)
    gone = asyncio.create_task(slow(few))
    await asyncio.sleep(SLOW_S / 4)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)

    assert await asyncio.wait_for(slow(few), 5)
