"""Probe models between runs: those whose tool calls are unknown, and those whose time of being left alone is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from services.holmesgpt_api.domain.roster import Roster
from services.holmesgpt_api.engine.messages import ModelAccess

Probe = Callable[[ModelAccess], Awaitable[None]]


class Probing:
    """One after the other, so that probes never take more than one run's place."""

    def __init__(
        self, roster: Roster, probe: Probe, *, every: timedelta, wanted: Callable[[], bool] = lambda: True
    ) -> None:
        """`wanted`: whether somebody has stopped it meanwhile."""
        self._roster, self._probe, self._wanted = roster, probe, wanted
        self._every = every.total_seconds()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        while not stop.is_set():
            if self._wanted():
                for model in self._roster.due():
                    if stop.is_set():
                        return
                    await self._probe(model)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._every)
