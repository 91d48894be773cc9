"""The limiter in this process: one float per key, the longest unused forgotten first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from libs.ratelimit.gcra import Limit, Verdict, decide


class MemoryRateLimiter:
    """Fulfils `libs.ratelimit.ports.RateLimiter`. For one event loop; nothing in it waits."""

    def __init__(self, *, max_keys: int = 100_000, clock: Callable[[], float] = time.monotonic) -> None:
        """Args:
        max_keys: about 100 bytes each. Beyond it the key unused for longest is forgotten, which can only
            allow too much, and only to a caller who keeps 100,000 others busy.
        """
        self._max_keys, self._clock = max_keys, clock
        self._due: OrderedDict[str, float] = OrderedDict()

    async def take(self, key: str, limit: Limit) -> Verdict:
        verdict, due = decide(self._due.get(key), self._clock(), limit)
        self._due[key] = due
        self._due.move_to_end(key)
        if len(self._due) > self._max_keys:
            self._due.popitem(last=False)
        return verdict
