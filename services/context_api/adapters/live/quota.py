"""How often the API server is asked: a token bucket that every request of one client shares, first come first served.

The server defends itself (priority and fairness); this is so that it need not. `book` decides, `Bucket` waits.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quota:
    per_second: float = 50.0
    """Requests a second for long. What kubectl allows itself; a controller's default is 20."""

    burst: int = 100
    """Requests at once after a pause: the lists and watches of a start are about two for each of 70 kinds."""


@dataclass(frozen=True, slots=True)
class Booking:
    wait: float
    """Seconds until the request may go out."""
    next: float
    """When the one after it could at the earliest; the bucket's whole state."""


def book(due: float, now: float, quota: Quota) -> Booking:
    """Take one token.

    Args:
        due: `next` of the booking before; minus infinity at first.
    """
    step = 1 / quota.per_second
    # What was not used is saved up, to a burst and no further.
    due = max(due, now - (quota.burst - 1) * step)
    return Booking(max(0.0, due - now), due + step)


class Bucket:
    """For one event loop. Who is cancelled while waiting has spent its token."""

    def __init__(self, quota: Quota, *, clock: Callable[[], float]) -> None:
        self._quota, self._clock = quota, clock
        self._due = -math.inf

    async def take(self, until: float) -> float:
        """Wait for a token; answers how long it took.

        Raises:
            TimeoutError: its turn comes after `until` on the clock. No token is spent.
        """
        now = self._clock()
        booking = book(self._due, now, self._quota)
        if now + booking.wait > until:
            raise TimeoutError
        self._due = booking.next
        if booking.wait:
            await asyncio.sleep(booking.wait)
        return booking.wait
