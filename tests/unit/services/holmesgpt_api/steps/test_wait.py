"""All who wait share one query, and everybody gets an answer when their time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from libs.contracts.investigations import InvestigationStatus
from services.holmesgpt_api.domain.commission import commission
from services.holmesgpt_api.domain.patience import Deadline, answer_by
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.steps.wait import Waiting
from tests.fakes.ledger import MemoryLedger
from tests.support.investigations import NOW, caller, request

pytestmark = pytest.mark.requirement("HAPI-001", "HAPI-038", "HAPI-130")

LONG, SHORT, AT_ONCE = timedelta(seconds=20), timedelta(milliseconds=20), timedelta(milliseconds=1)


def within(time: timedelta) -> Deadline:
    return answer_by(time, None)


async def taken(ledger: MemoryLedger) -> Record:
    return (await ledger.open(commission(request(), caller(), None))).record


def end(ledger: MemoryLedger, record: Record) -> None:
    ledger.rows[record.id] = replace(
        ledger.rows[record.id], status=InvestigationStatus.completed, ended_at=NOW
    )


async def waiting_for(waiting: Waiting, number: int) -> None:
    async with asyncio.timeout(5):
        while waiting.waiters < number:
            await asyncio.sleep(0)


async def test_who_waits_gets_the_ended_record():
    ledger = MemoryLedger()
    record = await taken(ledger)

    async with Waiting(ledger, pause=AT_ONCE) as waiting, asyncio.TaskGroup() as group:
        task = group.create_task(waiting.for_end(record, within(LONG)))
        await waiting_for(waiting, 1)
        end(ledger, record)

    assert task.result().ended


async def test_any_number_of_waiters_costs_one_query_a_look():
    ledger = MemoryLedger()
    records = [await taken(ledger) for _ in range(20)]

    async with Waiting(ledger, pause=AT_ONCE) as waiting, asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(waiting.for_end(record, within(LONG))) for record in records for _ in range(5)
        ]
        await waiting_for(waiting, 100)
        ledger.calls.clear()
        for record in records:
            end(ledger, record)

    assert all(task.result().ended for task in tasks)
    assert len(ledger.calls) <= 2
    assert all(len(ids) == 20 for _, ids in ledger.calls)


async def test_when_the_time_is_up_the_record_is_told_as_it_is():
    ledger = MemoryLedger()
    record = await taken(ledger)
    ledger.rows[record.id] = replace(ledger.rows[record.id], stage="begun", progress=30)

    async with Waiting(ledger, pause=AT_ONCE) as waiting:
        told = await waiting.for_end(record, within(SHORT))

    assert (told.ended, told.progress) == (False, 30)


async def test_nobody_waiting_means_no_query():
    ledger = MemoryLedger()
    record = await taken(ledger)

    async with Waiting(ledger, pause=AT_ONCE) as waiting:
        await waiting.for_end(record, within(SHORT))
        assert waiting.waiters == 0
        await asyncio.sleep(0.005)
        ledger.calls.clear()
        await asyncio.sleep(0.02)

    assert ledger.calls == []


async def test_a_database_that_is_away_ends_no_wait_and_the_committed_record_is_told():
    ledger = MemoryLedger()
    record = await taken(ledger)
    ledger.away = True

    async with Waiting(ledger, pause=AT_ONCE) as waiting:
        assert await waiting.for_end(record, within(SHORT)) == record
        ledger.away = False
        end(ledger, record)
        assert (await waiting.for_end(record, within(LONG))).ended


async def test_a_look_that_fails_is_said_and_is_not_the_last_one(caplog: pytest.LogCaptureFixture):
    class Once(MemoryLedger):
        async def ended(self, ids: Collection[str]) -> Sequence[Record]:
            if not self.calls:
                self.calls.append(("failed", None))
                raise KeyError("not a record of ours")
            return await super().ended(ids)

    ledger = Once()
    record = await taken(ledger)
    end(ledger, record)

    async with Waiting(ledger, pause=AT_ONCE) as waiting:
        assert (await waiting.for_end(record, within(LONG))).ended

    assert "a look at who has ended failed" in caplog.text


async def test_a_waiter_that_leaves_is_forgotten():
    ledger = MemoryLedger()
    record = await taken(ledger)

    async with Waiting(ledger, pause=AT_ONCE) as waiting:
        task = asyncio.create_task(waiting.for_end(record, within(LONG)))
        await waiting_for(waiting, 1)
        task.cancel()
        await asyncio.wait({task})

        assert waiting.waiters == 0
