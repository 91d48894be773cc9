"""Give each question that must be worked out its turn at the one thread that does it.

A kept answer needs no turn and never comes here. Which question is next is decided in `domain/lanes.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Protocol, TypeVar

from services.context_api.domain.errors import Busy
from services.context_api.domain.lanes import Chosen, Full, Lane, Waiting, choose, more_urgent
from services.context_api.steps.foresight import Foresight

MOST_WAITING = 64
BACKGROUND_WAITING = 16
"""What nobody waits for yet is better left undone than done late."""

SHORTEST, LONGEST = timedelta(seconds=1), timedelta(seconds=30)
"""When to ask again, at least and at most."""

_SMOOTHING = 0.2
"""Weight of the last question in the mean time that one takes."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What is known of the request a question is asked in, as far as it decides the lane."""

    caller: str = ""
    word: str | None = None
    by_service: bool = False
    severity: str = ""
    ahead: bool = False

    @property
    def chosen(self) -> Chosen:
        return choose(word=self.word, by_service=self.by_service, severity=self.severity, ahead=self.ahead)


ASKING: ContextVar[Asking] = ContextVar("asking", default=Asking())  # noqa: B039 - frozen
"""Of the task that asks; a task begun for it has the same."""


def concerning(severity: str) -> None:
    """What is asked from here on is about an alert of this severity."""
    if severity:
        ASKING.set(replace(ASKING.get(), severity=severity))


class Meters(Protocol):
    """Who counts."""

    def queued(self, lane: Lane, waiting: int) -> None:
        """So many wait now."""
        ...

    def waited(self, chosen: Chosen, seconds: float) -> None:
        """One of that lane had its turn after that time."""
        ...

    def refused(self, lane: Lane) -> None:
        """One had no room, or gave its room to a caller who asks less."""
        ...


class _Nobody:
    def queued(self, lane: Lane, waiting: int) -> None: ...
    def waited(self, chosen: Chosen, seconds: float) -> None: ...
    def refused(self, lane: Lane) -> None: ...


T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Turn:
    key: str
    caller: str
    chosen: Chosen
    since: float
    come: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def lane(self) -> Lane:
        return self.chosen.lane


class Turns:
    """One per process; close it when done. For one event loop."""

    def __init__(
        self,
        *,
        most_waiting: int = MOST_WAITING,
        background: int = BACKGROUND_WAITING,
        meters: Meters | None = None,
        foresight: Foresight | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most_waiting`: in each lane but the background's."""
        self._foresight = foresight
        self._rooms = {Lane.critical: most_waiting, Lane.normal: most_waiting, Lane.background: background}
        self._waiting: Waiting[_Turn] = Waiting(self._rooms)
        self._by_key: dict[str, _Turn] = {}
        self._meters, self._clock = meters or _Nobody(), clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="find")
        self._busy, self._each_s = False, 0.0

    @property
    def room(self) -> int:
        """How many may wait in all lanes together."""
        return sum(self._rooms.values())

    @property
    def idle(self) -> bool:
        """Nothing is worked out, and nothing waits for it."""
        return not self._busy

    @property
    def queued(self) -> int:
        """How many wait for an answer that somebody waits for."""
        return self._waiting.count(Lane.critical) + self._waiting.count(Lane.normal)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def run(self, key: str, find: Callable[[], T]) -> T:
        """What `find` returns, called in the thread when its turn has come.

        Raises:
            Busy: its lane is full.
            Exception: whatever `find` raises.
        """
        asking = ASKING.get()
        if asking.ahead and self._foresight is not None:
            self._foresight.begun(key)
        began = self._clock()
        if self._busy:
            try:
                chosen = await self._turn(key, asking)
            except Busy:
                if asking.ahead and self._foresight is not None:
                    self._foresight.given_up(key)
                raise
        else:
            self._busy, chosen = True, asking.chosen
        self._meters.waited(chosen, self._clock() - began)
        work = asyncio.get_running_loop().run_in_executor(self._thread, find)
        started = self._clock()
        work.add_done_callback(lambda _: self._ended(self._clock() - started))
        return await work

    def wanted(self, key: str) -> None:
        """Somebody else waits for the same answer now, and perhaps more urgently than who asked first."""
        turn = self._by_key.get(key)
        if turn is None:
            return
        chosen = ASKING.get().chosen
        if not more_urgent(chosen.lane, turn.lane) or not self._waiting.remove(turn.lane, turn.caller, turn):
            return
        self._tell(turn.lane)
        before, turn.chosen = turn.chosen, chosen
        try:
            self._put(turn)
        except Full:
            # Where it was there is room: it has just left.
            turn.chosen = before
            self._put(turn)

    async def _turn(self, key: str, asking: Asking) -> Chosen:
        turn = _Turn(key, asking.caller, asking.chosen, self._clock())
        try:
            self._put(turn)
        except Full:
            self._meters.refused(turn.lane)
            raise self._too_many(turn.lane) from None
        self._by_key[key] = turn
        try:
            await turn.come
        except asyncio.CancelledError:
            if not self._waiting.remove(turn.lane, turn.caller, turn) and not turn.come.cancelled():
                self._next()  # it had its turn and does not take it
            raise
        finally:
            self._by_key.pop(key, None)
        return turn.chosen

    def _put(self, turn: _Turn) -> None:
        displaced = self._waiting.put(turn.lane, turn.caller, turn)
        if displaced is not None:
            self._meters.refused(displaced.lane)
            displaced.come.set_exception(self._too_many(displaced.lane))
        self._tell(turn.lane)

    def _ended(self, seconds: float) -> None:
        self._each_s += _SMOOTHING * (seconds - self._each_s)
        self._next()

    def _next(self) -> None:
        turn = self._waiting.take()
        while turn is not None and turn.come.done():
            turn = self._waiting.take()
        self._busy = turn is not None
        if turn is not None:
            self._tell(turn.lane)
            turn.come.set_result(None)

    def _too_many(self, lane: Lane) -> Busy:
        waiting = self._waiting.count(lane)
        pause = timedelta(seconds=waiting * self._each_s)
        return Busy(waiting, lane.value, retry_after=min(max(pause, SHORTEST), LONGEST))

    def _tell(self, lane: Lane) -> None:
        self._meters.queued(lane, self._waiting.count(lane))
