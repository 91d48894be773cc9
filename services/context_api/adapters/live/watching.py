"""Snapshots from the watching cache: objects from memory, logs and metrics read now, and how current it all is.

Decides which moment a snapshot speaks of, and what is said when the server does not answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import islice
from typing import Protocol

from libs.clients.breaker import Breaker
from services.context_api.adapters.live.api import Asked
from services.context_api.adapters.live.errors import ApiFailure, NotAnswering, Why
from services.context_api.adapters.live.feed import Feed, Observer
from services.context_api.adapters.live.feeds import Feeds
from services.context_api.adapters.live.gate import Gate, Round
from services.context_api.adapters.live.gather import Found, Gathering, is_pod, ordered, rank, warned
from services.context_api.adapters.live.lists import Room
from services.context_api.adapters.live.server_clock import ServerClock
from services.context_api.adapters.live.shelf import Kept, Shelf
from services.context_api.adapters.live.standing import Standing, standing_of
from services.context_api.adapters.live.store import Budget
from services.context_api.adapters.live.verdicts import Pauses
from services.context_api.domain.snapshot import ContainerLog, KubeObject, NotRead, Snapshot
from services.context_api.domain.sources import Outcome, Part, SourceName
from services.context_api.domain.wanted_logs import NEW

CONFIRM = timedelta(seconds=2)
"""Longest wait for the server's sign of life that each snapshot begins with."""

RESTS = timedelta(seconds=5)
"""For so long a server that failed five times in a row is not waited for; shorter than for others, as it is all there is."""

REPORT = timedelta(seconds=5)
"""How often gauges are set."""

_ALIVE = frozenset({Why.forbidden, Why.missing, Why.refused})
"""Answers of a server that is there, to a question it does not like."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A snapshot, and how far it can be trusted to be of now."""

    snapshot: Snapshot
    as_of: float
    """On our monotonic clock: the moment it speaks of."""
    trouble: str = ""
    """Why that is not now; empty when it is."""


class Gauges(Protocol):
    """Is shown from time to time what is held."""

    def show(self, feeds: Sequence[Feed], budget: Budget, shelf: Shelf, now: float) -> None: ...


class Telling(Observer, Gauges, Protocol):
    """Metrics, or a test's notebook."""

    def asked(self, asked: Asked) -> None: ...


class Watching:
    """Keeps one cluster's objects current, and makes snapshots of them."""

    def __init__(
        self,
        gathering: Gathering,
        *,
        telling: Telling,
        stale_limit: timedelta,
        discovery: timedelta = timedelta(minutes=1),
        pauses: Pauses | None = None,
        alive: Gate | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gathering, self._stale_limit, self._clock = gathering, stale_limit, clock
        self._pauses = pauses or Pauses()
        self._telling = telling
        self.feeds = Feeds(
            gathering.api,
            gathering.limits,
            gathering.scope.namespaces,
            discovery=discovery,
            pauses=self._pauses,
            observer=telling,
            rank=rank,
            clock=clock,
        )
        # Watches have their own pauses and come back by them; this spares each snapshot the wait for a sign of life.
        self._alive = alive or Gate(
            SourceName.kubernetes,
            deadline=CONFIRM + timedelta(seconds=0.5),
            at_once=1,
            breaker=Breaker(open_for=RESTS),
        )
        self._server_clock = ServerClock()
        self._heard: float | None = None
        self._logs: Sequence[ContainerLog] = ()
        self._reporting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to list and to watch; returns at once."""
        self._gathering.api.watchers.append(self._told)
        self.feeds.start()
        self._reporting = asyncio.create_task(self._report(), name="report what is watched")

    async def stop(self) -> None:
        if self._reporting is not None:
            self._reporting.cancel()
            await asyncio.gather(self._reporting, return_exceptions=True)
        await self.feeds.stop()
        await self._gathering.api.close()

    @property
    def server(self) -> str:
        return self._gathering.api.server

    @property
    def words(self) -> str:
        """How current it is, in a line for /health."""
        standing = self._standing()
        feeds = self.feeds.all
        text = f"{len(standing.usable)} of {len(feeds)} lists are kept"
        if standing.behind:
            text += f", {standing.behind} of them out of date"
        if standing.quietest is not None:
            text += f"; the longest without a word is {standing.quietest_what}, for {standing.quietest:.0f} s"
        return text

    async def confirm(self, within: timedelta) -> None:
        """See whether the server answers.

        Raises:
            LiveError: it does not.
        """
        try:
            await self._gathering.api.get("/version", within=within, attempts=1)
        except ApiFailure as failure:
            if failure.why not in _ALIVE:
                raise

    async def read(self) -> Reading:
        """A snapshot of what is held.

        Raises:
            NotAnswering: nothing is held, or what is speaks of a time too long ago.
        """
        await self.feeds.ready()
        asking = self._alive.round()
        trouble = await self._trouble(asking)
        now = self._clock()
        as_of = self._last_word(now) if trouble else now
        standing = self._standing()
        if not standing.usable or now - as_of > self._stale_limit.total_seconds():
            why = trouble or next((str(gap) for gap in standing.gaps), "it lists nothing")
            raise NotAnswering(f"{self.server} has told nothing that is of use now ({why})")
        # Taken together on the event loop: no change comes in between.
        items = [item for feed in standing.usable for item in feed.table]
        digests = [_digest(feed) for feed in standing.usable]
        moment = self._moment(as_of)
        as_it_was = NotRead("the cluster as it is now", f"{trouble}; this is as of {_clock(moment)}")
        gathering = self._gathering
        async with gathering.metrics_of(moment) as metrics:
            kept, events, pods = await asyncio.to_thread(_put_in_order, items, gathering, moment)
            found = Found(
                now=moment,
                kept=kept,
                events=events,
                pods=pods,
                gaps=[*self.feeds.gaps, *standing.gaps],
                digests=digests,
                first=[as_it_was] if trouble else [],
                logs=self._logs if trouble else None,
                part=_part(asking.part(), trouble, standing, timedelta(seconds=now - as_of)),
            )
            limits = gathering.limits
            snapshot = await gathering.complete(found, metrics, Room(limits.total_bytes, limits.objects))
        self._logs = snapshot.logs
        return Reading(snapshot, as_of, trouble)

    async def _trouble(self, asking: Round) -> str:
        try:
            await asking.ask(lambda: self.confirm(CONFIRM))
        except ApiFailure as failure:
            return f"{self.server}: {failure.reason}"
        return ""

    def _standing(self) -> Standing:
        return standing_of(
            self.feeds.all,
            self._clock(),
            stale_limit=self._stale_limit,
            poll=self._pauses.poll,
            say=lambda moment: _clock(self._moment(moment)),
        )

    def _told(self, asked: Asked) -> None:
        if asked.date is not None:
            self._server_clock = self._server_clock.told(asked.date, asked.sent, asked.received)
        self._heard = asked.received
        self._telling.asked(asked)

    def _last_word(self, now: float) -> float:
        """When the server was last heard, whatever it said."""
        told = [feed.heard for feed in self.feeds.all if feed.heard is not None]
        return max([*told, *([self._heard] if self._heard is not None else [])], default=now)

    def _moment(self, monotonic: float) -> datetime:
        """In the server's time; without any sign of it in ours."""
        told = self._server_clock.now(monotonic)
        moment = told or datetime.now(UTC) - timedelta(seconds=self._clock() - monotonic)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    async def _report(self) -> None:
        while True:
            world = self.feeds.world
            self._telling.show(self.feeds.all, world.budget, world.shelf, self._clock())
            await asyncio.sleep(REPORT.total_seconds())


def _part(asked: Part, trouble: str, standing: Standing, age: timedelta) -> Part:
    """How the API server took part: objects come from memory, so it is as current as its last word."""
    if trouble:
        return replace(asked, outcome=Outcome.stale, age=age)
    reason = f"{len(standing.gaps)} lists are not there, or out of date" if standing.gaps else ""
    return replace(asked, outcome=Outcome.partial if reason else Outcome.read, age=age, reason=reason)


def _digest(feed: Feed) -> bytes:
    return blake2b(f"{feed.path}\0{feed.table.mark}".encode(), digest_size=16).digest()


def _put_in_order(
    items: Iterable[Kept], gathering: Gathering, now: datetime
) -> tuple[list[KubeObject], list[KubeObject], list[KubeObject]]:
    """Objects, events, and the pods whose logs may be worth reading."""
    kept, events = ordered(items, gathering.scope, now)
    return kept, events, worth_a_look(kept, warned(events), now, gathering.limits.healthy_logs)


def worth_a_look(
    objects: Iterable[KubeObject], warned_of: Set[tuple[str, str]], now: datetime, healthy: int
) -> list[KubeObject]:
    """Of all pods those that a reason to read a log may be found in, and some without: the others stay undecoded."""
    telling: list[KubeObject] = []
    well: list[KubeObject] = []
    for pod in objects:
        if not is_pod(pod) or not isinstance(pod, Kept):
            continue
        created = pod.created_at
        new = created is not None and now - created <= NEW
        (telling if pod.stands_out or new or (pod.namespace or "", pod.name) in warned_of else well).append(
            pod
        )
    return [*telling, *islice(well, 4 * healthy)]


def _clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
