"""What a cache owes its callers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

OnFault = Callable[[str], None]
"""Told each time the store could not be used: `timeout`, `unreachable`, `refused` or `breaker-open`; or a value of it:
`not-ours` or `too-large`."""

FAULTS = ("timeout", "unreachable", "refused", "breaker-open", "not-ours", "too-large")


class Cache(Protocol):
    """Bytes under a key, for a time. Never raises for a fault of the store, and never waits long for it:
    a value that cannot be read is missing, one that cannot be written is not kept.
    """

    async def get(self, key: str) -> bytes | None:
        """The value, or None when there is none, no longer, or no store to ask."""
        ...

    async def set(self, key: str, value: bytes, ttl: timedelta) -> None:
        """Keep the value for at most `ttl`; it replaces an earlier one. `ttl` must be positive."""
        ...

    async def delete(self, key: str) -> None:
        """Forget the value. When the store is away it may return until its `ttl` has passed."""
        ...
