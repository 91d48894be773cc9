"""Follow investigations: tell each reader the events it has not had yet, and wait for more.

Nothing is kept for a reader but the number of the last event it has had: the database holds the rest, so that a slow
reader costs no memory and one that comes back, to whichever replica, goes on where it was. As for `wait.py`, one
query per pause serves all who follow in this process.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

from libs.auth.principal import Principal
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.course import Chapter, Course, Happened
from services.holmesgpt_api.domain.errors import StreamsFull, TooManyStreams, UnknownInvestigation
from services.holmesgpt_api.domain.visibility import may_see

_log = logging.getLogger(__name__)

PAUSE = timedelta(milliseconds=200)
"""Between two looks for news. Events are seconds apart; half of this is what a reader loses on average."""

KEEP_ALIVE = timedelta(seconds=10)
"""Without news a reader hears a sign of life so often. Proxies end what is silent for 30 s or more."""

LONGEST = timedelta(minutes=15)
"""A stream ends then, and the reader comes back: so long a credential is believed without being looked at again."""

AT_ONCE = 100
"""Events read at once, before the reader has taken them."""


class Following:
    """Use it with `async with`; leaving it ends its task."""

    def __init__(
        self,
        course: Course,
        *,
        per_process: int,
        per_caller: int,
        pause: timedelta = PAUSE,
        keep_alive: timedelta = KEEP_ALIVE,
        longest: timedelta = LONGEST,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """`stopping`: whether this process is about to end, and readers should go to another one."""
        self._course, self._stopping = course, stopping
        self._per_process, self._per_caller = per_process, per_caller
        self._pause, self._keep_alive = pause.total_seconds(), keep_alive.total_seconds()
        self._longest = longest.total_seconds()
        self._seats: Counter[tuple[str, str]] = Counter()
        self._waiters: dict[str, dict[asyncio.Event, int]] = defaultdict(dict)
        self._somebody = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Following:
        self._task = asyncio.create_task(self._look(), name="news of investigations")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    @property
    def readers(self) -> int:
        return self._seats.total()

    def seat(self, caller: Principal) -> Callable[[], None]:
        """A place for one reader; call what is returned to give it back.

        Raises:
            TooManyStreams: this caller has as many readers as it may.
            StreamsFull: this process has.
        """
        whose = (caller.tenant, caller.name)
        if self._seats[whose] >= self._per_caller:
            raise TooManyStreams(self._per_caller)
        if self.readers >= self._per_process:
            raise StreamsFull(self._per_process)
        self._seats[whose] += 1

        def leave() -> None:
            self._seats[whose] -= 1
            if not self._seats[whose]:
                del self._seats[whose]

        return leave

    async def begin(self, investigation_id: str, caller: Principal, after: int) -> Chapter:
        """What there is after that event.

        Raises:
            UnknownInvestigation: or not one this caller may see.
            StorageUnavailable
        """
        chapter = await self._course.read(
            investigation_id, tenant=caller.tenant, after=after, at_most=AT_ONCE
        )
        if chapter is None or not may_see(
            caller, tenant=chapter.tenant, asker=chapter.asker, seen=chapter.seen
        ):
            raise UnknownInvestigation
        return chapter

    async def events(
        self, investigation_id: str, caller: Principal, after: int, chapter: Chapter
    ) -> AsyncIterator[Happened | None]:
        """Every event after that number, beginning with the chapter that `begin` gave; None: a sign of life.

        Ends after the last event of one that has ended; also, without it, when the reader may no longer see it, after
        `LONGEST`, and when the process is about to end.
        """
        ends = asyncio.get_running_loop().time() + self._longest
        while True:
            for one in chapter.events:
                yield one
                after = one.number
            if (chapter.ended and after >= chapter.last) or self._over(ends):
                return
            if after >= chapter.last:
                await self._news(investigation_id, after, ends)
                if self._over(ends):
                    return
            try:
                chapter = await self.begin(investigation_id, caller, after)
            except UnknownInvestigation:
                return  # its evidence now lies where the reader may not look, or it was deleted for its age
            except StorageUnavailable as error:
                _log.info("no events of %s: %s", investigation_id, error)
                await asyncio.sleep(self._pause)
            if not chapter.events or chapter.events[0].number <= after:
                chapter = Chapter(
                    (), chapter.tenant, chapter.asker, chapter.seen, chapter.last, chapter.ended
                )
                yield None

    def _over(self, ends: float) -> bool:
        return self._stopping() or asyncio.get_running_loop().time() >= ends

    async def _news(self, investigation_id: str, after: int, ends: float) -> None:
        """Until there is news, a sign of life is due, or the stream's time is up."""
        told = asyncio.Event()
        self._waiters[investigation_id][told] = after
        self._somebody.set()
        try:
            due = asyncio.get_running_loop().time() + self._keep_alive
            async with asyncio.timeout_at(min(due, ends)):
                await told.wait()
        except TimeoutError:
            pass  # nothing is new: that is said too
        finally:
            self._leave(investigation_id, told)

    def _leave(self, investigation_id: str, told: asyncio.Event) -> None:
        waiters = self._waiters[investigation_id]
        waiters.pop(told, None)
        if not waiters:
            del self._waiters[investigation_id]
        if not self._waiters:
            self._somebody.clear()

    async def _look(self) -> None:
        while True:
            await self._somebody.wait()
            try:
                # The least that any reader of it has had: who has had more finds nothing, and waits again.
                known = {id_: min(waiters.values()) for id_, waiters in self._waiters.items()}
                for id_ in await self._course.news(known):
                    self._wake(id_)
            except StorageUnavailable as error:
                _log.info("no look for news: %s", error)
            except Exception:
                _log.exception("a look for news failed")
            if self._stopping():
                for id_ in list(self._waiters):
                    self._wake(id_)
            await asyncio.sleep(self._pause)

    def _wake(self, investigation_id: str) -> None:
        for told in self._waiters.get(investigation_id, ()):
            told.set()
