"""What comes out of a shared store is what this installation put there under this key, or it is missing."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.cache import MemoryCache, Sealed
from tests.fakes.lying_cache import LyingCache

pytestmark = pytest.mark.requirement("API-BR-CAPI-003", "API-BR-CAPI-012")

LONG = timedelta(minutes=1)
SECRET, OTHER = b"s" * 32, b"o" * 32


def store(**lies) -> LyingCache:
    return LyingCache(MemoryCache(max_entries=100, max_bytes=1_000_000), **lies)


def sealed(
    inner: LyingCache, faults: Counter[str] | None = None, secret: bytes = SECRET, largest: int = 1000
):
    counted = faults if faults is not None else Counter[str]()
    return Sealed(inner, secret, largest=largest, on_fault=lambda reason: counted.update([reason]))


async def test_what_was_put_there_comes_back():
    cache = sealed(store())
    await cache.set("key", b"\x00value", LONG)

    assert await cache.get("key") == b"\x00value"


@given(st.binary(max_size=60), st.integers(min_value=0), st.integers(min_value=0, max_value=7))
async def test_a_value_with_any_bit_changed_is_missing(value: bytes, place: int, bit: int):
    def flipped(data: bytes) -> bytes:
        at = place % len(data)
        return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]

    inner = store()
    cache = sealed(inner)
    await cache.set("key", value, LONG)
    inner.lie = flipped

    assert await cache.get("key") is None


@given(st.binary(min_size=1, max_size=60), st.integers(min_value=0))
async def test_a_truncated_value_is_missing(value: bytes, length: int):
    inner, faults = store(), Counter[str]()
    cache = sealed(inner, faults)
    await cache.set("key", value, LONG)
    inner.lie = lambda data: data[: length % len(data)]

    assert await cache.get("key") is None
    assert faults == {"not-ours": 1}


async def test_another_keys_value_is_missing():
    inner = store()
    cache = sealed(inner)
    await cache.set("mine", b"mine", LONG)
    await cache.set("yours", b"yours", LONG)
    mine, yours = list(inner.kept)
    inner.kept[mine], inner.kept[yours] = inner.kept[yours], inner.kept[mine]

    assert [await cache.get("mine"), await cache.get("yours")] == [None, None]


async def test_what_was_written_with_another_secret_is_not_even_found():
    inner = store()
    await sealed(inner, secret=OTHER).set("key", b"foreign", LONG)

    assert await sealed(inner).get("key") is None


@pytest.mark.parametrize("foreign", [b"", b"KN\x01", b"KN\x02" + b"x" * 40, b"{}", b"x" * 2000])
async def test_what_others_wrote_under_our_key_is_missing(foreign: bytes):
    inner = store()
    cache = sealed(inner)
    await cache.set("key", b"value", LONG)
    inner.lie = lambda _: foreign

    assert await cache.get("key") is None


async def test_a_key_does_not_tell_what_is_asked():
    inner = store()
    await sealed(inner).set("tenant/secret-project", b"value", LONG)

    assert not any("secret-project" in name for name in inner.kept)


async def test_a_value_too_large_is_not_kept_and_takes_the_older_one_with_it():
    inner, faults = store(), Counter[str]()
    cache = sealed(inner, faults, largest=4)
    await cache.set("key", b"old", LONG)
    await cache.set("key", b"larger", LONG)

    assert await cache.get("key") is None
    assert faults == {"too-large": 1}


async def test_a_forgotten_value_is_missing():
    cache = sealed(store())
    await cache.set("key", b"value", LONG)
    await cache.delete("key")

    assert await cache.get("key") is None
