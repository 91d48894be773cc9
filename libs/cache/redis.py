"""The cache in Redis, shared by all processes of a service."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from libs.cache.connect import RedisLink
from libs.cache.guard import Unanswered
from libs.cache.keys import key as joined


class RedisCache:
    """Fulfils `libs.cache.ports.Cache`. Redis down, slow or emptied is a miss."""

    def __init__(self, link: RedisLink, *, namespace: str) -> None:
        """Args:
        namespace: put before every key, so that two users of one Redis never meet.
        """
        self._client, self._guard = link.client, link.guard
        self._prefix = "kubernaut:cache:" + joined(namespace)

    async def get(self, key: str) -> bytes | None:
        if self._guard.open():
            return None
        answer = await self._guard.ask(self._client.get(self._prefix + key))
        return None if isinstance(answer, Unanswered) else cast("bytes | None", answer)

    async def set(self, key: str, value: bytes, ttl: timedelta) -> None:
        if ttl <= timedelta(0):
            raise ValueError(f"ttl must be positive, not {ttl}")
        if not self._guard.open():
            milliseconds = max(1, round(ttl.total_seconds() * 1000))
            await self._guard.ask(self._client.set(self._prefix + key, value, px=milliseconds))

    async def delete(self, key: str) -> None:
        if not self._guard.open():
            await self._guard.ask(self._client.delete(self._prefix + key))
