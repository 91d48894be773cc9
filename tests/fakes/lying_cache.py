"""A store that may answer something else than it was given, late, or nothing. Fulfils `libs.cache.ports.Cache`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from libs.cache import Cache


class LyingCache:
    """Honest until `lie` is set; what was written lies in `kept` and may be changed there."""

    def __init__(self, inner: Cache, lie: Callable[[bytes], bytes | None] | None = None) -> None:
        self._inner, self.lie = inner, lie
        self.kept: dict[str, bytes] = {}
        self.asked = 0
        self.late: float = 0.0
        """Seconds before each answer."""
        self.instead: bytes | None = None
        """Told for every key, whether or not there is anything under it."""

    async def get(self, key: str) -> bytes | None:
        self.asked += 1
        if self.late:
            await asyncio.sleep(self.late)
        if self.instead is not None:
            return self.instead
        told = self.kept.get(key) if await self._inner.get(key) is not None else None
        return self.lie(told) if self.lie is not None and told is not None else told

    async def set(self, key: str, value: bytes, ttl: timedelta) -> None:
        await self._inner.set(key, value, ttl)
        self.kept[key] = value

    async def delete(self, key: str) -> None:
        await self._inner.delete(key)
        self.kept.pop(key, None)
