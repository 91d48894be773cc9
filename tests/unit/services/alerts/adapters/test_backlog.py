"""Whether the inbox is full is known without asking per request, and errs towards full."""

import asyncio
import contextlib
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest

from libs.storage import StorageUnavailable
from services.alerts.adapters.backlog import Backlog

pytestmark = pytest.mark.requirement("INT-BR-WH-007", "INT-BR-WH-023")


class FakeDatabase:
    def __init__(self, *counts):
        self.counts = list(counts)
        self.exact: list[int] = []
        self.during = lambda: None

    @asynccontextmanager
    async def begin(self):
        yield self

    async def scalar(self, statement, values):
        self.exact.append(values["enough"])
        return self.counts.pop(0)

    async def execute(self, statement):
        self.during()
        found = self.counts.pop(0)
        if isinstance(found, Exception):
            raise found
        return SimpleNamespace(one=lambda: (found, 1))


def backlog(database, seen=None):
    counts = seen if seen is not None else []
    return Backlog(
        database, high_water=10, every=0.0, observe=lambda waiting, set_aside: counts.append(waiting)
    )


async def test_it_is_full_from_the_mark_on():
    seen: list[int] = []
    one = backlog(FakeDatabase(9, 10, 10), seen)

    await one.count()
    assert not one.is_full()
    await one.count()
    assert one.is_full()
    assert seen == [9, 10]
    assert one.set_aside == 1


async def test_gaps_in_the_ids_do_not_make_it_full():
    database = FakeDatabase(5_000, 4)
    one = backlog(database)

    await one.count()

    assert not one.is_full()
    assert database.exact == [10]


async def test_what_is_committed_between_counts_is_added():
    one = backlog(FakeDatabase(8, 0))
    await one.count()

    one.add(2)

    assert one.is_full()
    await one.count()
    assert not one.is_full()


async def test_what_is_committed_during_a_count_is_not_forgotten():
    database = FakeDatabase(0)
    one = backlog(database)
    database.during = lambda: one.add(10)

    await one.count()

    assert one.is_full()


async def test_a_failed_count_leaves_the_last_one_standing_and_is_tried_again():
    fault = StorageUnavailable("unreachable", "x", retry_after=timedelta(seconds=1))
    seen: list[int] = []
    done = asyncio.Event()
    database = FakeDatabase(10, 10, fault, 3)

    def observe(count, set_aside):
        seen.append(count)
        if count == 3:
            done.set()

    one = Backlog(
        database,  # type: ignore[arg-type]
        high_water=10,
        every=0.0,
        observe=observe,
    )
    loop = asyncio.create_task(one.run())
    async with asyncio.timeout(5):
        await done.wait()
    loop.cancel()
    with contextlib.suppress(asyncio.CancelledError, IndexError):
        await loop

    assert seen == [10, 3]
