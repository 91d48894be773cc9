"""Wait for the ends of questions, and see their events: one query for all who wait in this process.

As `wait.py` does for investigations, and for the same reasons; but each who waits sees what has happened so far,
and waits no longer than its question lives.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from datetime import timedelta

from libs.contracts.chat import ChatEvent
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.chat.ports import Sessions
from services.holmesgpt_api.domain.chat.session import Turn

_log = logging.getLogger(__name__)

PAUSE = timedelta(milliseconds=100)
"""Between two looks. A model's answer takes seconds."""

ALIVE_EVERY = timedelta(seconds=10)
"""Who follows hears so often that nothing has happened, so that no proxy takes its stream for dead."""

Seen = asyncio.Queue[Turn | None]
"""The last look at one turn; None: it is gone."""


class TurnWaiting:
    """Use it with `async with`; leaving it cancels its task."""

    def __init__(
        self, sessions: Sessions, *, pause: timedelta = PAUSE, alive: timedelta = ALIVE_EVERY
    ) -> None:
        self._sessions, self._pause, self._alive = sessions, pause.total_seconds(), alive.total_seconds()
        self._waiters: dict[str, set[Seen]] = defaultdict(set)
        self._somebody = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> TurnWaiting:
        self._task = asyncio.create_task(self._look(), name="ends of questions")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    @property
    def waiters(self) -> int:
        return sum(len(waiters) for waiters in self._waiters.values())

    async def for_end(self, turn: Turn) -> Turn | None:
        """The turn when it has ended; None when its time is up first."""
        async with aclosing(self.events(turn)) as events:
            async for seen in events:
                if isinstance(seen, Turn):
                    return seen
        return None

    async def events(self, turn: Turn) -> AsyncGenerator[ChatEvent | Turn | None]:
        """Its events, each once, and the turn when it has ended; ends without it when its time is up, or it is gone.

        None now and then: nothing has happened.
        """
        until, told, heard = time.monotonic() + turn.life.total_seconds(), 0, time.monotonic()
        with self._waiting(turn.id) as looks:
            while (left := until - time.monotonic()) > 0:
                try:
                    seen = await asyncio.wait_for(looks.get(), left)
                except TimeoutError:
                    return
                if seen is None:
                    return
                for event in seen.events[told:]:
                    yield event
                if len(seen.events) > told:
                    heard = time.monotonic()
                elif time.monotonic() - heard >= self._alive:
                    heard = time.monotonic()
                    yield None
                told = max(told, len(seen.events))
                if seen.ended:
                    yield seen
                    return

    @contextmanager
    def _waiting(self, turn_id: str) -> Iterator[Seen]:
        looks: Seen = asyncio.Queue(1)
        self._waiters[turn_id].add(looks)
        self._somebody.set()
        try:
            yield looks
        finally:
            self._waiters[turn_id].discard(looks)
            if not self._waiters[turn_id]:
                del self._waiters[turn_id]
            if not self._waiters:
                self._somebody.clear()

    async def _look(self) -> None:
        while True:
            await self._somebody.wait()
            try:
                ids = list(self._waiters)
                found = {turn.id: turn for turn in await self._sessions.look(ids)}
                self._tell({id_: found.get(id_) for id_ in ids})
            except StorageUnavailable as error:
                _log.info("no look at questions: %s", error)
            except Exception:
                # Whoever waits is told in time all the same; all others must still hear of theirs.
                _log.exception("a look at questions failed")
            await asyncio.sleep(self._pause)

    def _tell(self, turns: Mapping[str, Turn | None]) -> None:
        for id_, turn in turns.items():
            for looks in self._waiters.get(id_, ()):
                if looks.full():
                    looks.get_nowait()  # who reads slowly reads the newest look; it holds all events
                looks.put_nowait(turn)
