"""A run that has lost its say is stopped soon, and no other run is."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import timedelta

import pytest

from services.holmesgpt_api.domain.commission import commission
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.steps.leash import Leash, LostSay
from tests.fakes.ledger import MemoryLedger
from tests.support.investigations import caller, request

pytestmark = pytest.mark.requirement("HAPI-005", "HAPI-038")

SOON = timedelta(milliseconds=1)


async def begun(ledger: MemoryLedger) -> Claimed:
    record = (await ledger.open(commission(request(), caller(), None))).record
    return await again(ledger, record.id)


async def again(ledger: MemoryLedger, id_: str) -> Claimed:
    run = await ledger.claim(id_)
    assert run is not None
    return run


async def cancel(ledger: MemoryLedger, run: Claimed) -> None:
    assert await ledger.cancel(run.id, tenant="default", by="ana")


async def for_ever(leash: Leash, run: Claimed) -> str:
    """How the run's block came to its end."""
    cleaned = []
    try:
        async with leash.on(run):
            try:
                await asyncio.Event().wait()
            finally:
                cleaned.append(run.id)
    except LostSay:
        assert cleaned == [run.id]
        return "lost"
    return "ended"


async def test_a_cancelled_run_is_stopped_and_others_go_on():
    ledger = MemoryLedger()
    one, other = await begun(ledger), await begun(ledger)

    async with asyncio.timeout(10), Leash(ledger, pause=SOON) as leash:
        running = asyncio.create_task(for_ever(leash, other))
        stopped = asyncio.create_task(for_ever(leash, one))
        await asyncio.sleep(0.01)
        await cancel(ledger, one)
        assert await stopped == "lost"
        await asyncio.sleep(0.02)
        assert not running.done()
        await cancel(ledger, other)
        assert await running == "lost"


async def test_a_run_that_another_one_has_taken_over_is_stopped_in_the_same_process_too():
    ledger = MemoryLedger()
    first = await begun(ledger)

    async with asyncio.timeout(10), Leash(ledger, pause=SOON) as leash:
        earlier = asyncio.create_task(for_ever(leash, first))
        await asyncio.sleep(0.01)
        later = asyncio.create_task(for_ever(leash, await again(ledger, first.id)))
        assert await earlier == "lost"
        await asyncio.sleep(0.02)
        assert not later.done()
        later.cancel()
        await asyncio.wait({later})


async def test_a_run_that_begins_while_an_earlier_one_is_looked_up_is_not_stopped_with_it(
    monkeypatch: pytest.MonkeyPatch,
):
    ledger, looking, go_on = MemoryLedger(), asyncio.Event(), asyncio.Event()
    first, look = await begun(ledger), ledger.lost

    async def slowly(runs: Mapping[str, int]) -> Collection[str]:
        looking.set()
        await go_on.wait()
        return await look(runs)

    monkeypatch.setattr(ledger, "lost", slowly)
    async with asyncio.timeout(10), Leash(ledger, pause=SOON) as leash:
        earlier = asyncio.create_task(for_ever(leash, first))
        await looking.wait()
        later = asyncio.create_task(for_ever(leash, await again(ledger, first.id)))
        await asyncio.sleep(0)
        go_on.set()
        assert await earlier == "lost"
        await asyncio.sleep(0.02)
        assert not later.done()
        later.cancel()
        await asyncio.wait({later})


async def test_a_block_that_ends_is_not_disturbed_and_its_own_timeout_stays_its_own():
    ledger = MemoryLedger()
    run = await begun(ledger)

    async with Leash(ledger, pause=SOON) as leash:
        async with leash.on(run):
            await asyncio.sleep(0.01)
        with pytest.raises(TimeoutError):
            async with leash.on(run), asyncio.timeout(0.001):
                await asyncio.Event().wait()


async def test_a_stop_from_outside_stays_one():
    ledger = MemoryLedger()
    run = await begun(ledger)

    async with Leash(ledger, pause=SOON) as leash:
        running = asyncio.create_task(for_ever(leash, run))
        await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait({running})

    assert running.cancelled()


async def test_a_database_that_is_away_stops_nothing_and_is_asked_again():
    ledger = MemoryLedger()
    run = await begun(ledger)

    async with asyncio.timeout(10), Leash(ledger, pause=SOON) as leash:
        running = asyncio.create_task(for_ever(leash, run))
        await asyncio.sleep(0.005)
        ledger.away = True
        await asyncio.sleep(0.02)
        assert not running.done()
        ledger.away = False
        await cancel(ledger, run)
        assert await running == "lost"
