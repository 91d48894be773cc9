"""A time limit that does not run while this process stands still.

A machine that is paused for some seconds (moved to another host, out of processor time) comes back with every limit
past at once, and what was asked would be given up although its answer is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

LOOK_S = 0.25
"""How often it is looked at whether the event loop comes to its timers."""

STILL_S = 1.0
"""One that comes later than this stood still. Less is a busy process, whose callers should not wait longer for it."""


@asynccontextmanager
async def awake_timeout(limit: timedelta) -> AsyncIterator[None]:
    """`asyncio.timeout`, counted in time in which the event loop ran.

    Raises:
        TimeoutError: the block took longer.
    """
    loop = asyncio.get_running_loop()
    looking: asyncio.TimerHandle
    async with asyncio.timeout(limit.total_seconds()) as scope:

        def look_later() -> asyncio.TimerHandle:
            due = loop.time() + LOOK_S
            return loop.call_at(due, look, due)

        def look(due: float) -> None:
            nonlocal looking
            late, ends = loop.time() - due, scope.when()
            if late > STILL_S and ends is not None and not scope.expired():
                # This timer was due before the limit's own, so it runs before it, even if both are past.
                scope.reschedule(ends + late)
            looking = look_later()

        looking = look_later()
        try:
            yield
        finally:
            looking.cancel()
