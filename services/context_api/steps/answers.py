"""Find each answer once: from the cache, from whoever is finding it already, or when its turn has come.

Answers are bytes, ready to be sent. Finding causes is processor work: on the event loop it would hold every other
request, and in several threads at once it would only take turns with itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from libs.cache import Cache
from services.context_api.domain.errors import Busy, TooLate
from services.context_api.steps.turns import Turns

OUTCOMES = ("cached", "shared", "found")
"""From the cache, with somebody who had asked the same a moment before, or found now."""

Observe = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Found:
    """An answer, and what may be asked for by other keys because of it; kept `LONGER` times as long."""

    answer: bytes
    also: Mapping[str, bytes]


LONGER = 2
"""An answer may come from the cache in its last second, and who got it then asks about what stands in it."""

Find = Callable[[], bytes | Found]


@dataclass(slots=True)
class Rate:
    """How often the cache had the answer, since the process started."""

    hits: int = 0
    asked: int = 0

    @property
    def value(self) -> float:
        return self.hits / self.asked if self.asked else 0.0


class Answers:
    """One per process; close it when done."""

    def __init__(
        self, cache: Cache, *, most_waiting: int, observe: Observe, turns: Turns | None = None
    ) -> None:
        self._cache, self._most_waiting, self._observe = cache, most_waiting, observe
        self._turns = turns or Turns()
        self._running: dict[str, asyncio.Task[bytes]] = {}
        self._keeping: set[asyncio.Task[None]] = set()
        self.rate = Rate()

    async def close(self) -> None:
        under_way = [*self._running.values(), *self._keeping]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        self._turns.close()

    async def get(self, key: str, find: Find, *, ttl: timedelta, limit: timedelta) -> bytes:
        """The answer under `key`, or what `find` returns (called in a thread), kept for `ttl`.

        Raises:
            TooLate: not within `limit`; it is found all the same, for whoever asks next.
            Busy: too many others are being found.
            Exception: whatever `find` raises; that is not kept.
        """
        self.rate.asked += 1
        kept = await self._cache.get(key)
        if kept is not None:
            self.rate.hits += 1
            self._observe("cached")
            return kept
        task = self._running.get(key)
        self._observe("shared" if task else "found")
        if task is None:
            task = self._begin(key, find, ttl)
        else:
            self._turns.wanted(key)
        try:
            # Shielded: the first to ask may give up, the others still wait for the same answer.
            return await asyncio.wait_for(asyncio.shield(task), limit.total_seconds())
        except TimeoutError as error:
            if task.done():
                # It ended in the same moment (a process that was held for a while wakes to both), or of a TimeoutError.
                return task.result()
            raise TooLate(limit) from error

    def _begin(self, key: str, find: Find, ttl: timedelta) -> asyncio.Task[bytes]:
        if len(self._running) >= self._most_waiting:
            raise Busy(len(self._running))
        task = asyncio.create_task(self._find(key, find, ttl), name=f"find {key[:80]}")
        self._running[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    async def _find(self, key: str, find: Find, ttl: timedelta) -> bytes:
        found = await self._turns.run(key, find)
        if isinstance(found, bytes):
            found = Found(found, {})
        await self._cache.set(key, found.answer, ttl)
        if found.also:
            keeping = asyncio.create_task(self._keep(found.also, LONGER * ttl), name=f"keep {key[:80]}")
            self._keeping.add(keeping)
            keeping.add_done_callback(self._keeping.discard)
        return found.answer

    async def _keep(self, values: Mapping[str, bytes], ttl: timedelta) -> None:
        # One after the other: hundreds at once would take Redis's few connections from everybody else. Nobody
        # waits for it; what is asked for in the meantime is not there yet.
        for key, value in values.items():
            await self._cache.set(key, value, ttl)

    def _ended(self, key: str, task: asyncio.Task[bytes]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # fetched here as well: all who waited may have given up
