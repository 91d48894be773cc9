"""Stop asking a store that does not answer, so that not every caller waits for its timeout."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta


class Breaker:
    """Closed until `faults` failures in a row; then open for `pause`; then one call at a time may probe."""

    def __init__(self, *, faults: int, pause: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = faults
        self._pause = pause.total_seconds()
        self._clock = clock
        self._faults = 0
        self._retry_at = 0.0

    def allows(self) -> bool:
        """Whether this call may go out. While open, the first caller after the pause is the probe, and the
        others go on waiting for its result."""
        if self._faults < self._limit:
            return True
        now = self._clock()
        if now < self._retry_at:
            return False
        self._retry_at = now + self._pause
        return True

    def succeeded(self) -> None:
        self._faults = 0

    def failed(self) -> None:
        self._faults += 1
        self._retry_at = self._clock() + self._pause
