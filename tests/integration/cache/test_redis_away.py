"""Redis down, slow, restarted, emptied or misused: no exception, no long wait, every fault counted."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from libs.cache import RedisCache, RedisLink, RedisSettings, connect
from libs.ratelimit import Limit, RedisRateLimiter
from tests.support.redis import RedisServer

pytestmark = [
    pytest.mark.requirement("API-BR-REL-006", "API-BR-REL-007", "INT-BR-REL-003"),
    pytest.mark.needs("redis-server"),
]

LONG = timedelta(minutes=1)
ONCE = Limit(1, timedelta(hours=1))
TIMEOUT = 0.1
PAUSE = 0.3


@pytest.fixture
def faults() -> Counter[str]:
    return Counter()


@asynccontextmanager
async def linked(server: RedisServer, timeout_s: float, faults: Counter[str]) -> AsyncIterator[RedisLink]:
    settings = RedisSettings.model_validate(
        {
            "redis_url": server.url,
            "redis_timeout": timedelta(seconds=timeout_s),
            "redis_breaker_pause": timedelta(seconds=PAUSE),
        }
    )
    made = connect(settings, on_fault=lambda reason: faults.update([reason]))
    assert made is not None
    yield made
    await made.close()


@pytest.fixture
async def link(own_redis: RedisServer, faults: Counter[str]) -> AsyncIterator[RedisLink]:
    async with linked(own_redis, TIMEOUT, faults) as made:
        yield made


@pytest.fixture
def cache(link: RedisLink) -> RedisCache:
    return RedisCache(link, namespace="test")


@pytest.fixture
def limiter(link: RedisLink) -> RedisRateLimiter:
    return RedisRateLimiter(link, namespace="test")


async def test_a_redis_that_is_down_is_a_miss_and_is_counted(
    own_redis: RedisServer, cache: RedisCache, faults: Counter[str]
):
    await cache.set("key", b"value", LONG)
    own_redis.kill()

    assert await cache.get("key") is None
    await cache.set("key", b"value", LONG)
    await cache.delete("key")

    assert faults["unreachable"] == 3


async def test_a_redis_that_is_down_limits_nobody_and_is_counted(
    own_redis: RedisServer, limiter: RedisRateLimiter, faults: Counter[str]
):
    await limiter.take("caller", ONCE)
    refused = await limiter.take("caller", ONCE)
    own_redis.kill()

    verdict = await limiter.take("caller", ONCE)

    assert not refused.allowed
    assert (verdict.allowed, verdict.reason) == (True, "limiter-away")
    assert faults["unreachable"] == 1


async def test_a_frozen_redis_costs_a_few_timeouts_and_then_nothing(
    own_redis: RedisServer, cache: RedisCache, faults: Counter[str]
):
    await cache.set("key", b"value", LONG)
    own_redis.freeze()
    began = time.monotonic()

    for _ in range(200):
        assert await cache.get("key") is None

    own_redis.thaw()
    took = time.monotonic() - began
    assert took < 10 * TIMEOUT
    assert faults["breaker-open"] > 150
    assert faults["timeout"] >= 3


async def test_a_hundred_callers_at_once_wait_no_longer_than_one(own_redis: RedisServer, cache: RedisCache):
    await cache.set("key", b"value", LONG)
    own_redis.freeze()
    began = time.monotonic()

    await asyncio.gather(*(cache.get("key") for _ in range(100)))

    own_redis.thaw()
    assert time.monotonic() - began < 10 * TIMEOUT


async def test_it_is_used_again_soon_after_it_is_back(own_redis: RedisServer, cache: RedisCache):
    own_redis.kill()
    for _ in range(5):
        await cache.get("key")

    own_redis.start()
    async with asyncio.timeout(5):
        while await cache.get("key") != b"value":
            await cache.set("key", b"value", LONG)
            await asyncio.sleep(0.02)


async def test_a_restart_between_two_calls_is_not_even_noticed(
    own_redis: RedisServer, cache: RedisCache, faults: Counter[str]
):
    await cache.set("key", b"value", LONG)
    own_redis.kill()
    own_redis.start()

    await cache.set("key", b"again", LONG)

    assert await cache.get("key") == b"again"
    assert not faults


async def test_an_emptied_redis_forgets_and_goes_on(
    link: RedisLink, cache: RedisCache, limiter: RedisRateLimiter, faults: Counter[str]
):
    await cache.set("key", b"value", LONG)
    await limiter.take("caller", ONCE)

    await link.client.flushall()
    await link.client.script_flush()

    assert await cache.get("key") is None
    assert (await limiter.take("caller", ONCE)).allowed
    assert not (await limiter.take("caller", ONCE)).allowed
    assert not faults


async def test_a_key_of_a_foreign_type_is_a_miss_and_closes_nothing(
    link: RedisLink, cache: RedisCache, faults: Counter[str]
):
    await cache.set("key", b"value", LONG)
    (stored,) = await link.client.keys()
    await link.client.delete(stored)
    await link.client.rpush(stored, "a list")

    for _ in range(10):
        assert await cache.get("key") is None

    assert faults == {"refused": 10}


async def test_a_caller_who_gives_up_leaves_no_answer_for_the_next_one(
    own_redis: RedisServer, faults: Counter[str]
):
    # Nothing here may run into the time limit, however busy the machine: callers go while it still runs.
    async with linked(own_redis, 5, faults) as patient:
        cache = RedisCache(patient, namespace="test")
        await cache.set("mine", b"mine", LONG)
        await cache.set("yours", b"yours", LONG)
        own_redis.freeze()
        impatient = [asyncio.create_task(cache.get("mine")) for _ in range(20)]
        await asyncio.sleep(TIMEOUT / 4)
        for task in impatient:
            task.cancel()
        await asyncio.wait(impatient)
        own_redis.thaw()

        answers = await asyncio.gather(*(cache.get("yours") for _ in range(40)))

    assert set(answers) == {b"yours"}
