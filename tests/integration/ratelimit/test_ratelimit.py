"""What every rate limiter owes its callers, whichever store is behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from libs.ratelimit import AheadRateLimiter, Limit, MemoryRateLimiter, RateLimiter, RedisRateLimiter
from tests.support.clock import Clock
from tests.support.stores import MEMORY, STORES, linked

pytestmark = pytest.mark.requirement("INT-BR-WH-023", "API-BR-CAPI-019", "API-BR-SEC-007")

THREE_A_MINUTE = Limit(3, timedelta(minutes=1))


@pytest.fixture
def clock() -> Clock:
    return Clock()


AHEAD = "ahead"


@pytest.fixture(params=[*STORES, pytest.param(AHEAD, marks=pytest.mark.needs("redis-server"))])
async def limiter(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[RateLimiter]:
    if request.param == MEMORY:
        yield MemoryRateLimiter(clock=clock)
        return
    kind = "redis-server" if request.param == AHEAD else request.param
    async with linked(kind, request) as link:
        shared = RedisRateLimiter(link, namespace="test", clock=clock)
        yield AheadRateLimiter(shared, clock=clock) if request.param == AHEAD else shared


async def take(limiter: RateLimiter, limit: Limit, times: int) -> list[bool]:
    return [(await limiter.take("caller", limit)).allowed for _ in range(times)]


async def test_as_many_as_the_limit_pass_at_once_and_no_more(limiter: RateLimiter):
    assert await take(limiter, THREE_A_MINUTE, 5) == [True, True, True, False, False]


async def test_one_more_passes_each_time_a_share_of_the_period_has_gone(limiter: RateLimiter, clock: Clock):
    await take(limiter, THREE_A_MINUTE, 3)

    clock.advance(20)

    assert await take(limiter, THREE_A_MINUTE, 2) == [True, False]


async def test_a_quiet_caller_never_saves_up_more_than_the_burst(limiter: RateLimiter, clock: Clock):
    await take(limiter, THREE_A_MINUTE, 3)

    clock.advance(3600)

    assert await take(limiter, THREE_A_MINUTE, 4) == [True, True, True, False]


async def test_a_refusal_says_when_to_come_back(limiter: RateLimiter, clock: Clock):
    await take(limiter, THREE_A_MINUTE, 3)
    clock.advance(5)

    verdict = await limiter.take("caller", THREE_A_MINUTE)

    assert verdict.reason == "exceeded"
    assert verdict.retry_after.total_seconds() == pytest.approx(15, abs=0.001)


async def test_who_comes_back_then_is_let_in(limiter: RateLimiter, clock: Clock):
    await take(limiter, THREE_A_MINUTE, 3)
    verdict = await limiter.take("caller", THREE_A_MINUTE)

    clock.advance(verdict.retry_after.total_seconds())

    assert (await limiter.take("caller", THREE_A_MINUTE)).allowed


async def test_an_allowed_request_has_nothing_to_wait_for(limiter: RateLimiter):
    verdict = await limiter.take("caller", THREE_A_MINUTE)

    assert (verdict.reason, verdict.retry_after) == ("within", timedelta(0))


async def test_asking_in_vain_does_not_put_it_off(limiter: RateLimiter, clock: Clock):
    await take(limiter, THREE_A_MINUTE, 50)

    clock.advance(20)

    assert await take(limiter, THREE_A_MINUTE, 1) == [True]


async def test_callers_do_not_share_an_allowance(limiter: RateLimiter):
    await take(limiter, THREE_A_MINUTE, 3)

    assert (await limiter.take("another", THREE_A_MINUTE)).allowed


async def test_a_burst_smaller_than_the_rate_spreads_the_requests(limiter: RateLimiter, clock: Clock):
    smooth = Limit(60, timedelta(minutes=1), burst=1)

    at_once = await take(limiter, smooth, 2)
    clock.advance(1)

    assert at_once == [True, False]
    assert await take(limiter, smooth, 2) == [True, False]


async def test_the_whole_rate_passes_when_it_comes_evenly(limiter: RateLimiter, clock: Clock):
    thirds = Limit(3, timedelta(seconds=1), burst=1)
    verdicts = []
    for _ in range(30):
        verdicts.append((await limiter.take("caller", thirds)).allowed)
        clock.advance(1 / 3)

    assert all(verdicts)


async def test_of_many_at_the_same_moment_no_more_pass_than_allowed(limiter: RateLimiter):
    verdicts = await asyncio.gather(*(limiter.take("caller", THREE_A_MINUTE) for _ in range(40)))

    assert sum(verdict.allowed for verdict in verdicts) == 3


@pytest.mark.parametrize("kind", STORES[1:])
async def test_in_redis_a_caller_leaves_nothing_behind_once_quiet(kind: str, request: pytest.FixtureRequest):
    async with linked(kind, request) as link:
        limiter = RedisRateLimiter(link, namespace="test")
        await limiter.take("caller", Limit(1, timedelta(milliseconds=50)))
        kept = await link.client.keys()

        async with asyncio.timeout(5):
            while await link.client.keys():
                await asyncio.sleep(0.01)

    assert len(kept) == 1


@pytest.mark.parametrize("kind", STORES[1:])
async def test_redis_own_clock_limits_without_ours(kind: str, request: pytest.FixtureRequest):
    async with linked(kind, request) as link:
        limiter = RedisRateLimiter(link, namespace="test")

        assert await take(limiter, THREE_A_MINUTE, 4) == [True, True, True, False]


@pytest.mark.parametrize("kind", STORES[1:])
async def test_several_at_once_are_taken_all_or_none(kind: str, request: pytest.FixtureRequest, clock: Clock):
    ten = Limit(10, timedelta(minutes=1))
    async with linked(kind, request) as link:
        limiter = RedisRateLimiter(link, namespace="test", clock=clock)
        taken = [(await limiter.take("caller", ten, count)).allowed for count in (6, 5, 4, 1)]

    assert taken == [True, False, True, False]


@pytest.mark.parametrize("kind", STORES[1:])
async def test_a_limit_beyond_a_million_a_second_is_no_error(kind: str, request: pytest.FixtureRequest):
    async with linked(kind, request) as link:
        limiter = RedisRateLimiter(link, namespace="test")
        verdict = await limiter.take("caller", Limit(1_000_000_000, timedelta(minutes=1)))

    assert verdict.reason == "within"
