"""Taking records first; a synchronous caller gets the end, the state, or an honest failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from libs.contracts.investigations import InvestigationStatus
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.clusters import Clusters
from services.holmesgpt_api.domain.commission import Commission
from services.holmesgpt_api.domain.errors import Failed, KeyReused, UnknownInvestigation
from services.holmesgpt_api.domain.patience import answer_by
from services.holmesgpt_api.domain.ports import Opened
from services.holmesgpt_api.domain.record import Failure, Record
from services.holmesgpt_api.steps.take import Desk
from services.holmesgpt_api.steps.wait import Waiting
from tests.fakes.ledger import MemoryLedger
from tests.support.clock import Clock
from tests.support.investigations import NOW, caller, request

pytestmark = pytest.mark.requirement("HAPI-001", "HAPI-005")


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
async def desk(ledger: MemoryLedger) -> AsyncIterator[Desk]:
    async with Waiting(ledger, pause=timedelta(milliseconds=1)) as waiting:
        yield Desk(ledger, waiting, sync_answer_timeout=timedelta(milliseconds=50))


async def test_taking_records_the_investigation_and_its_job(desk: Desk, ledger: MemoryLedger):
    record = await desk.take(request(), caller(), None)

    assert ledger.jobs == [record.id]
    assert record.status is InvestigationStatus.started


async def test_the_same_key_and_request_give_the_same_investigation(desk: Desk, ledger: MemoryLedger):
    first = await desk.take(request(request_id="a"), caller(), "key")
    again = await desk.take(request(request_id="b"), caller(), "key")

    assert first.id == again.id
    assert ledger.jobs == [first.id]


async def test_the_same_key_for_another_request_is_refused(desk: Desk):
    await desk.take(request(), caller(), "key")

    with pytest.raises(KeyReused):
        await desk.take(request(namespace="shop"), caller(), "key")


async def test_keys_of_two_callers_do_not_meet(desk: Desk):
    one = await desk.take(request(), caller("ana"), "key")
    other = await desk.take(request(namespace="shop"), caller("bo"), "key")
    third = await desk.take(request(namespace="web"), caller("ana", tenant="acme", namespaces=["*"]), "key")

    assert len({one.id, other.id, third.id}) == 3


async def test_a_caller_without_patience_is_told_what_is_known(desk: Desk):
    record = await desk.take_and_wait(request(), caller(), None, desk.answer_by(timedelta(milliseconds=10)))

    assert record.status is InvestigationStatus.started


async def test_a_failed_investigation_is_no_answer_to_who_waits_for_it(desk: Desk, ledger: MemoryLedger):
    async def fail() -> None:
        while not ledger.rows:
            await asyncio.sleep(0)
        row = ledger.rows["inv-1"]
        failure = Failure("context-refused", "HTTP 401")
        ledger.rows["inv-1"] = replace(row, status=InvestigationStatus.failed, failure=failure, ended_at=NOW)

    async with asyncio.TaskGroup() as group:
        group.create_task(fail())
        with pytest.raises(Failed) as failed:
            await desk.take_and_wait(request(), caller(), None, desk.answer_by(None))

    assert (failed.value.investigation_id, failed.value.code) == ("inv-1", "context-refused")


async def test_an_ended_investigation_asked_for_again_is_answered_without_a_wait(
    desk: Desk, ledger: MemoryLedger
):
    first = await desk.take(request(), caller(), "key")
    ledger.rows[first.id] = replace(first, status=InvestigationStatus.completed, ended_at=NOW)

    again = await desk.take_and_wait(request(), caller(), "key", desk.answer_by(timedelta(0)))

    assert again.ended


class Hanging(MemoryLedger):
    """The database takes these calls and does not come back."""

    def __init__(self, *calls: str) -> None:
        super().__init__()
        self.hangs = set(calls)

    async def open(self, commission: Commission) -> Opened:
        await self._hang("open")
        return await super().open(commission)

    async def get(self, investigation_id: str, *, tenant: str) -> Record | None:
        await self._hang("get")
        return await super().get(investigation_id, tenant=tenant)

    async def _hang(self, name: str) -> None:
        if name in self.hangs:
            await asyncio.Event().wait()


@asynccontextmanager
async def at(ledger: MemoryLedger, *, within: timedelta) -> AsyncIterator[Desk]:
    async with Waiting(ledger, pause=timedelta(milliseconds=1)) as waiting:
        yield Desk(ledger, waiting, sync_answer_timeout=within)


@pytest.mark.requirement("HAPI-130")
async def test_what_cannot_be_recorded_in_time_is_told_as_that():
    ledger = Hanging("open")
    async with at(ledger, within=timedelta(milliseconds=50)) as desk, asyncio.timeout(5):
        with pytest.raises(StorageUnavailable) as late:
            await desk.take_and_wait(request(), caller(), None, desk.answer_by(None))

    assert late.value.reason == "timeout"
    assert ledger.rows == {}


@pytest.mark.requirement("HAPI-130")
async def test_what_cannot_be_read_in_time_is_told_as_it_was_recorded():
    ledger = Hanging("get")
    async with at(ledger, within=timedelta(milliseconds=50)) as desk, asyncio.timeout(5):
        record = await desk.take_and_wait(request(), caller(), None, desk.answer_by(None))

    assert record == ledger.rows[record.id]


@pytest.mark.requirement("HAPI-130")
async def test_what_recording_has_taken_nobody_is_kept_waiting_for_once_more():
    clock = Clock()

    class Slow(MemoryLedger):
        async def open(self, commission: Commission) -> Opened:
            clock.advance(59.9)
            return await super().open(commission)

    async with at(Slow(), within=timedelta(minutes=1)) as desk, asyncio.timeout(10):
        until = answer_by(timedelta(minutes=1), None, now=clock)
        record = await desk.take_and_wait(request(), caller(), None, until)

    assert record.status is InvestigationStatus.started


@pytest.mark.requirement("HAPI-130")
async def test_the_time_is_that_of_the_whole_call_from_when_the_request_came_in():
    async with at(MemoryLedger(), within=timedelta(seconds=25)) as desk:
        assert desk.answer_by(None, timedelta(seconds=20)).left <= timedelta(seconds=5)


async def test_nothing_is_taken_when_the_database_is_away(desk: Desk, ledger: MemoryLedger):
    ledger.away = True

    with pytest.raises(StorageUnavailable):
        await desk.take(request(), caller(), None)


@pytest.mark.requirement("HAPI-075")
async def test_an_investigation_of_another_tenant_or_namespace_is_unknown(desk: Desk):
    record = await desk.take(request(namespace="data"), caller(), None)

    assert (await desk.look(record.id, caller("bo"))).id == record.id
    for stranger in (caller(tenant="acme", namespaces=["*"]), caller(namespaces=["shop"])):
        with pytest.raises(UnknownInvestigation):
            await desk.look(record.id, stranger)


@pytest.mark.requirement("HAPI-141", "HAPI-179")
async def test_no_run_is_shared_between_clusters(desk: Desk, ledger: MemoryLedger):
    eu, us = (
        replace(desk, clusters=Clusters(f"http://{one}/", {one: f"http://{one}/"})) for one in ("eu", "us")
    )

    first = await eu.take(request(namespace="shop"), caller(), None)
    again = await eu.take(request(namespace="shop"), caller(), None)
    moved = await us.take(request(namespace="shop"), caller(), None)

    assert (first.id == again.id, first.id == moved.id) == (True, False)
