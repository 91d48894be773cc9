"""Gather what will be asked about an alert's object while its alert is still on its way, where nothing else is to do.

Nobody waits for it, so it takes the lowest lane, gives way to everything, and is left undone rather than done late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from libs.auth.principal import Principal
from libs.contracts.context import Resolution
from libs.contracts.target import Target
from libs.logs import get_logger
from services.context_api.domain.errors import Busy, ContextError
from services.context_api.steps.turns import ASKING

OUTCOMES = (
    "begun",
    "used",
    "unused",
    "nothing-to-gather",
    "under-way",
    "dropped-busy",
    "dropped-full",
    "failed",
)
"""What becomes of it. `begun` of them were worked out and kept, of which `used` were asked for afterwards and `unused` were
not, among the last ones; the others were not gathered."""

MOST = 16
"""Gathered at once. As many as wait in the lane; more would be refused there."""

BUSY = 4
"""Where so many questions of others wait, nothing is gathered ahead."""

PATIENCE = timedelta(seconds=30)
"""For one; an investigation begins within seconds, and then asks for itself."""


class Queue(Protocol):
    @property
    def queued(self) -> int:
        """How many questions wait that somebody wants answered."""
        ...


Causes = Callable[[Target, datetime, Principal, timedelta], Awaitable[bytes]]

_log = get_logger("ahead")


class Ahead:
    """One per process; close it when done."""

    def __init__(self, causes: Causes, queue: Queue, count: Callable[[str], None]) -> None:
        self._causes, self._queue, self._count = causes, queue, count
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def gather(self, found: Resolution, onset: datetime, caller: Principal) -> None:
        """Begin to gather what an investigation of that alert asks first. Returns at once, whatever comes of it."""
        target = found.owner or found.target
        if target is None or not found.exists or not caller.may_read(target.namespace):
            self._count("nothing-to-gather")
            return
        key = f"{caller.tenant}\x00{' '.join(sorted(caller.namespaces))}\x00{target.model_dump_json()}\x00{onset}"
        if key in self._under_way:
            self._count("under-way")
        elif len(self._under_way) >= MOST:
            self._count("dropped-full")
        elif self._queue.queued >= BUSY:
            self._count("dropped-busy")
        else:
            task = asyncio.create_task(
                self._gathered(target, onset, caller), name=f"ahead {target.name[:80]}"
            )
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))

    async def close(self) -> None:
        under_way = list(self._under_way.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _gathered(self, target: Target, onset: datetime, caller: Principal) -> None:
        ASKING.set(replace(ASKING.get(), ahead=True))
        try:
            await self._causes(target, onset, caller, PATIENCE)
        except Busy:
            self._count("dropped-busy")
        except ContextError as error:
            self._count("failed")
            _log.info("not-gathered-ahead", target=str(target), reason=str(error))
        except Exception:
            # Whoever asks for it will be told; here nobody is.
            self._count("failed")
            _log.exception("not-gathered-ahead", target=str(target))
