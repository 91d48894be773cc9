from __future__ import annotations

from datetime import timedelta

import pytest

from libs.cache import MemoryCache

pytestmark = pytest.mark.requirement("API-BR-CAPI-003", "API-BR-CAPI-012")

LONG = timedelta(hours=1)


async def test_the_least_recently_used_entry_goes_first():
    cache = MemoryCache(max_entries=2, max_bytes=1000)
    await cache.set("a", b"1", LONG)
    await cache.set("b", b"2", LONG)
    await cache.get("a")

    await cache.set("c", b"3", LONG)

    assert [await cache.get(key) for key in "abc"] == [b"1", None, b"3"]


async def test_bytes_are_bounded_whatever_their_number_of_entries():
    cache = MemoryCache(max_entries=1000, max_bytes=100)

    for number in range(10):
        await cache.set(f"key-{number}", b"x" * 40, LONG)

    kept = [number for number in range(10) if await cache.get(f"key-{number}")]
    assert kept == [8, 9]


async def test_a_value_larger_than_the_whole_cache_is_not_kept():
    cache = MemoryCache(max_entries=10, max_bytes=100)

    await cache.set("large", b"x" * 200, LONG)

    assert await cache.get("large") is None


async def test_replacing_and_deleting_give_their_bytes_back():
    cache = MemoryCache(max_entries=1000, max_bytes=100)
    for _ in range(50):
        await cache.set("same", b"x" * 60, LONG)
    await cache.delete("same")

    await cache.set("other", b"x" * 90, LONG)

    assert await cache.get("other") == b"x" * 90
