"""Requests that wait together share a commit; each learns its own fate, and none waits for ever."""

import asyncio
import contextlib
from datetime import timedelta

import psycopg
import pytest

from libs.jobs import Jobs
from services.alerts import worker
from services.alerts.adapters.inbox import GroupCommit
from services.alerts.domain.delivery import Delivery
from services.alerts.domain.errors import NotCommitted

pytestmark = pytest.mark.requirement("INT-BR-WH-006", "INT-BR-WH-007", "INT-BR-WH-009")


class FakeConnection:
    """Keeps what was executed; `gate` holds commits up, `fault` makes them fail."""

    def __init__(self, database):
        self.database, self.closed = database, False

    async def set_autocommit(self, value):
        assert value is True

    async def execute(self, statement, values):
        self.database.statements.append(values)
        await self.database.gate.wait()
        if self.database.fault is not None:
            raise self.database.fault

    async def close(self):
        self.closed = True


class FakeDatabase:
    def __init__(self):
        self.statements, self.connections = [], []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fault = None

    async def connect(self):
        self.connections.append(FakeConnection(self))
        return self.connections[-1]


@contextlib.asynccontextmanager
async def running(*, deadline=timedelta(seconds=5), max_rows=100, full=False):
    database, commits = FakeDatabase(), []
    jobs = Jobs(database, service="alerts")  # type: ignore[arg-type]
    worker.declare(jobs)
    inbox = GroupCommit(
        database,  # type: ignore[arg-type]
        jobs,
        deadline=deadline,
        max_rows=max_rows,
        is_full=lambda: full,
        observe=lambda rows, seconds: commits.append(rows),
    )
    loop = asyncio.create_task(inbox.run())
    try:
        yield inbox, database, commits
    finally:
        loop.cancel()
        await asyncio.wait({loop})


def delivery(number=1):
    return Delivery(idem=bytes([number]) * 32, tenant="t", sender="s", body=b"b%d" % number)


async def settled():
    """Let everything run that can run without waiting for anything."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_lone_request_is_committed_by_itself():
    async with running() as (inbox, database, commits):
        await inbox.put(delivery(1))

    assert commits == [1]
    assert database.statements[0][:5] == ([b"\x01" * 32], ["t"], ["s"], [b"b1"], [1])


async def test_nobody_is_answered_before_the_commit():
    async with running() as (inbox, database, _):
        database.gate.clear()
        waiting = asyncio.create_task(inbox.put(delivery()))
        await settled()
        assert not waiting.done()

        database.gate.set()
        await waiting


async def test_requests_that_come_during_a_commit_share_the_next_one():
    async with running() as (inbox, database, commits):
        database.gate.clear()
        first = asyncio.create_task(inbox.put(delivery(1)))
        await settled()
        others = [asyncio.create_task(inbox.put(delivery(n))) for n in range(2, 12)]
        await settled()
        database.gate.set()
        await asyncio.gather(first, *others)

    assert commits == [1, 10]


async def test_a_group_has_no_more_rows_than_allowed():
    async with running(max_rows=4) as (inbox, _, commits):
        await asyncio.gather(*(inbox.put(delivery(n)) for n in range(1, 11)))

    assert commits == [4, 4, 2]


async def test_rows_are_sorted_by_key_and_the_same_key_counts_its_copies():
    async with running() as (inbox, database, _):
        await asyncio.gather(*(inbox.put(delivery(n)) for n in (3, 1, 2, 1, 1)))

    idems, _, _, bodies, copies = database.statements[0][:5]
    assert idems == sorted(idems)
    assert (bodies, copies) == ([b"b1", b"b2", b"b3"], [3, 1, 1])


@pytest.mark.parametrize("fault", [psycopg.OperationalError("gone"), OSError("reset"), ValueError("a bug")])
async def test_whatever_fails_refuses_the_whole_group_and_the_next_one_gets_a_new_connection(fault):
    async with running() as (inbox, database, _):
        database.fault = fault
        refused = await asyncio.gather(*(inbox.put(delivery(n)) for n in (1, 2)), return_exceptions=True)
        database.fault = None
        await inbox.put(delivery(3))

    pauses = [one.retry_after for one in refused if isinstance(one, NotCommitted)]
    assert len(pauses) == 2
    assert [connection.closed for connection in database.connections] == [True, True]
    assert all(timedelta(seconds=1) <= pause <= timedelta(seconds=5) for pause in pauses)


async def test_a_commit_that_hangs_is_given_up_at_the_deadline():
    async with running(deadline=timedelta(milliseconds=20)) as (inbox, database, _):
        database.gate.clear()

        with pytest.raises(NotCommitted):
            await inbox.put(delivery())


async def test_a_full_inbox_refuses_at_once():
    async with running(full=True) as (inbox, database, _):
        with pytest.raises(NotCommitted, match="full"):
            await inbox.put(delivery())

    assert database.statements == []


async def test_who_has_hung_up_before_the_commit_is_not_committed():
    async with running() as (inbox, database, _):
        database.gate.clear()
        first = asyncio.create_task(inbox.put(delivery(1)))
        await settled()
        gone = asyncio.create_task(inbox.put(delivery(2)))
        await settled()
        gone.cancel()
        database.gate.set()
        await first
        await inbox.put(delivery(3))

    assert [values[0] for values in database.statements] == [[b"\x01" * 32], [b"\x03" * 32]]


async def test_a_stop_refuses_those_under_way_and_those_who_wait():
    async with running() as (inbox, database, _):
        database.gate.clear()
        under_way = asyncio.create_task(inbox.put(delivery(1)))
        await settled()
        waiting = asyncio.create_task(inbox.put(delivery(2)))
        await settled()

    for one in (under_way, waiting):
        with pytest.raises(NotCommitted, match="stopping"):
            await one
