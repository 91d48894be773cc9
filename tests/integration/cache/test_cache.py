"""What every cache owes its callers, whichever store is behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from libs.cache import Cache, MemoryCache, RedisCache
from tests.support.stores import MEMORY, STORES, linked

pytestmark = pytest.mark.requirement("API-BR-CAPI-003", "API-BR-PERF-011")

LONG = timedelta(minutes=1)


@pytest.fixture(params=STORES)
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    if request.param == MEMORY:
        yield MemoryCache(max_entries=100, max_bytes=10_000_000)
        return
    async with linked(request.param, request) as link:
        yield RedisCache(link, namespace="test")


async def test_what_was_set_is_got(cache: Cache):
    await cache.set("key", b"value", LONG)

    assert await cache.get("key") == b"value"


async def test_what_was_never_set_is_missing(cache: Cache):
    assert await cache.get("key") is None


async def test_the_newer_value_replaces_the_older(cache: Cache):
    await cache.set("key", b"old", LONG)
    await cache.set("key", b"new", LONG)

    assert await cache.get("key") == b"new"


async def test_what_was_deleted_is_missing_and_deleting_again_is_no_mistake(cache: Cache):
    await cache.set("key", b"value", LONG)

    await cache.delete("key")
    await cache.delete("key")

    assert await cache.get("key") is None


async def test_a_value_is_gone_after_its_time(cache: Cache):
    await cache.set("key", b"value", timedelta(milliseconds=50))

    async with asyncio.timeout(5):
        while await cache.get("key") is not None:
            await asyncio.sleep(0.01)


async def test_setting_again_begins_a_new_time(cache: Cache):
    await cache.set("key", b"value", timedelta(milliseconds=50))
    await cache.set("key", b"value", LONG)
    await asyncio.sleep(0.1)  # longer than the first time given

    assert await cache.get("key") == b"value"


@pytest.mark.parametrize(
    "value", [b"", b"\x00\xff\r\n$-1\r\n", b"x" * 1_000_000], ids=["empty", "binary", "1MB"]
)
async def test_any_bytes_come_back_as_they_were(cache: Cache, value: bytes):
    await cache.set("key", value, LONG)

    assert await cache.get("key") == value


@pytest.mark.parametrize("key", ["", "a b", "ключ", "a\r\nSET b c", "x" * 5000])
async def test_any_text_is_a_key(cache: Cache, key: str):
    await cache.set(key, b"value", LONG)

    assert await cache.get(key) == b"value"


async def test_a_time_that_is_not_positive_is_a_mistake(cache: Cache):
    with pytest.raises(ValueError, match="positive"):
        await cache.set("key", b"value", timedelta(0))


async def test_many_at_once_do_not_disturb_each_other(cache: Cache):
    async def both(number: int) -> bytes | None:
        await cache.set(f"key-{number}", str(number).encode(), LONG)
        return await cache.get(f"key-{number}")

    assert await asyncio.gather(*(both(number) for number in range(80))) == [
        str(number).encode() for number in range(80)
    ]


@pytest.mark.parametrize("kind", STORES[1:])
async def test_two_users_of_one_redis_do_not_meet(kind: str, request: pytest.FixtureRequest):
    async with linked(kind, request) as link:
        one, other = RedisCache(link, namespace="1"), RedisCache(link, namespace="1:1")
        await one.set("1:1x", b"one", LONG)

        assert await other.get("x") is None
        assert await other.get("1:1x") is None
