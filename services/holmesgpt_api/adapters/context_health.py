"""How the Context API is, asked once for all health checks that rest on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from libs.clients import PeerError
from libs.contracts.context import ContextHealth

FRESH_S = 0.5
"""An answer serves the checks that come due together; half the shortest pause between two of one check."""


class ContextSays:
    """For one event loop."""

    def __init__(
        self, ask: Callable[[], Awaitable[ContextHealth]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask, self._clock = ask, clock
        self._turn = asyncio.Lock()
        self._heard: tuple[ContextHealth | PeerError, float] | None = None

    async def look(self) -> ContextHealth | PeerError:
        """What it says, or why it says nothing."""
        async with self._turn:
            if self._heard is None or self._clock() - self._heard[1] >= FRESH_S:
                self._heard = await self._outcome(), self._clock()
            return self._heard[0]

    async def _outcome(self) -> ContextHealth | PeerError:
        try:
            return await self._ask()
        except PeerError as error:
            return error
