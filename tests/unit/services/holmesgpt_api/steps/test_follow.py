"""Who follows an investigation is told every event once, and costs next to nothing meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.holmesgpt_api.domain.course import Happened
from services.holmesgpt_api.domain.errors import StreamsFull, TooManyStreams, UnknownInvestigation
from services.holmesgpt_api.steps.follow import AT_ONCE, Following
from tests.fakes.course import MemoryCourse
from tests.support.investigations import caller

pytestmark = pytest.mark.requirement("HAPI-129", "HAPI-134")

SOON = timedelta(milliseconds=1)
LONG = timedelta(seconds=20)


def following(course: MemoryCourse, **options: Any) -> Following:
    values: dict[str, Any] = {"per_process": 3, "per_caller": 2, "pause": SOON, "keep_alive": LONG}
    return Following(course, **(values | options))


async def followed(where: Following, after: int = 0, *, who: Any = None) -> AsyncIterator[Happened | None]:
    who = who or caller()
    chapter = await where.begin("inv-1", who, after)
    async for one in where.events("inv-1", who, after, chapter):
        yield one


async def numbers(where: Following, after: int = 0) -> list[int]:
    async with asyncio.timeout(10):
        return [one.number async for one in followed(where, after) if one is not None]


async def test_one_that_has_ended_is_replayed_whole_and_ends():
    course = MemoryCourse(ended=True)
    course.tell(*["progress"] * (2 * AT_ONCE), "completed")

    async with following(course) as where:
        assert await numbers(where) == list(range(1, 2 * AT_ONCE + 2))


async def test_who_comes_back_gets_the_rest_and_nothing_twice():
    course = MemoryCourse(ended=True)
    course.tell("started", "running", "completed")

    async with following(course) as where:
        assert await numbers(where, after=2) == [3]


async def test_what_happens_while_somebody_follows_is_told_in_order():
    course = MemoryCourse()
    course.tell("started")

    async with following(course) as where, asyncio.TaskGroup() as group:
        told = group.create_task(numbers(where))
        for name in ("running", "progress"):
            await asyncio.sleep(0.01)
            course.tell(name)
        await asyncio.sleep(0.01)
        course.tell("completed")
        course.ended = True

    assert told.result() == [1, 2, 3, 4]


async def test_any_number_of_readers_costs_one_query_a_look():
    course = MemoryCourse()
    course.tell("started")

    async with following(course, pause=timedelta(milliseconds=20)) as where, asyncio.TaskGroup() as group:
        tasks = [group.create_task(numbers(where)) for _ in range(50)]
        await asyncio.sleep(0.1)
        looks, reads = len(course.looks), course.reads
        course.tell("completed")
        course.ended = True

    assert 1 <= looks <= 7
    assert all(look == {"inv-1": 1} for look in course.looks)
    assert reads == 50
    assert [task.result() for task in tasks] == [[1, 2]] * 50


async def test_a_reader_without_news_hears_a_sign_of_life():
    course = MemoryCourse()
    course.tell("started")

    async with following(course, keep_alive=timedelta(milliseconds=5)) as where:
        stream = followed(where)
        first, second = await anext(stream), await anext(stream)
        course.tell("completed")
        course.ended = True
        rest = [one async for one in stream if one is not None]

    assert first is not None
    assert second is None
    assert [one.name for one in rest] == ["completed"]


async def test_a_database_that_goes_away_costs_a_reader_time_and_no_event():
    course = MemoryCourse()
    course.tell("started")

    async with following(course, keep_alive=timedelta(milliseconds=5)) as where, asyncio.TaskGroup() as group:
        told = group.create_task(numbers(where))
        await asyncio.sleep(0.01)
        course.away = True
        course.tell("running")
        await asyncio.sleep(0.03)
        course.away = False
        course.tell("completed")
        course.ended = True

    assert told.result() == [1, 2, 3]


async def test_who_may_not_see_it_any_more_is_told_nothing_more():
    course = MemoryCourse()
    course.tell("started")
    team = caller("team", namespaces=["shop"])

    async with following(course) as where:
        stream = followed(where, who=team)
        first = await anext(stream)
        course.tell("interim")
        course.seen = ("data", "shop")
        async with asyncio.timeout(10):
            rest = [one async for one in stream if one is not None]

    assert first is not None
    assert rest == []


async def test_who_may_not_see_it_is_told_that_there_is_none():
    course = MemoryCourse(seen=("data",))

    async with following(course) as where:
        for who in (caller("team", namespaces=["shop"]), caller(tenant="other", namespaces=["*"])):
            with pytest.raises(UnknownInvestigation):
                await where.begin("inv-1", who, 0)
        with pytest.raises(UnknownInvestigation):
            await where.begin("inv-2", caller(), 0)


async def test_streams_are_counted_for_each_caller_and_for_all():
    where = following(MemoryCourse())
    leave, _ = where.seat(caller("a")), where.seat(caller("a"))

    with pytest.raises(TooManyStreams):
        where.seat(caller("a"))
    where.seat(caller("b"))
    with pytest.raises(StreamsFull):
        where.seat(caller("c"))
    leave()
    where.seat(caller("c"))

    assert where.readers == 3


@pytest.mark.parametrize("why", ["stopping", "longest"])
async def test_a_stream_ends_when_its_process_does_or_its_time_is_up_and_is_resumed_elsewhere(why: str):
    course, stopping = MemoryCourse(), False
    course.tell("started")
    longest = SOON if why == "longest" else LONG

    async with following(course, longest=longest, stopping=lambda: stopping) as where:
        stream = followed(where)
        first = await anext(stream)
        stopping = why == "stopping"
        async with asyncio.timeout(10):
            rest = [one async for one in stream if one is not None]
    course.tell("completed")
    course.ended = True
    async with following(course) as other:
        resumed = await numbers(other, after=1)

    assert first is not None
    assert rest == []
    assert resumed == [2]
