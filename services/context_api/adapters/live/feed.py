"""Keep one list current: list it, watch it, and do what `verdicts` says when either ends.

The I/O alone. What follows what, and after which pause, is decided in `verdicts`; what is news, in `store`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Protocol, cast

from libs.logs import get_logger
from services.context_api.adapters.live.api import KubeApi
from services.context_api.adapters.live.discovery import Resource
from services.context_api.adapters.live.errors import ApiFailure, LiveError, Why
from services.context_api.adapters.live.limits import LiveLimits
from services.context_api.adapters.live.lists import (
    MOST_GAPS,
    Listed,
    Room,
    fill,
    list_of,
    says_nothing,
    whole,
)
from services.context_api.adapters.live.shelf import Kept, Shelf
from services.context_api.adapters.live.store import Budget, Change, Table
from services.context_api.adapters.live.verdicts import (
    SHORT,
    SILENCE,
    STEADY,
    Next,
    Pause,
    Pauses,
    Reason,
    Verdict,
    checked,
    list_ended,
    version_of,
    wait_of,
    watch_ended,
)
from services.context_api.adapters.live.watch_events import WatchEvent, read_event
from services.context_api.adapters.recording import objects
from services.context_api.adapters.recording.errors import NotUsable
from services.context_api.adapters.recording.limits import KIB
from services.context_api.adapters.recording.objects import Admitted
from services.context_api.domain.kube import mapping, text
from services.context_api.domain.snapshot import NotRead

BIG = 256 * KIB
"""Bytes of an object above which it is read in a thread: on the event loop it would hold everybody for 3 ms."""

AT_A_TIME = 100
"""Changes taken before others on the event loop have their turn: about 6 ms."""

NOT_ALL_TOLD = frozenset({Why.expired, Why.went_back, Why.error_event, Why.garbled})
"""Ends of a watch after which nobody knows what it has left out."""

_log = get_logger("evidence")


class Phase(StrEnum):
    begins = "begins"
    """Nothing has been listed yet."""
    watching = "watching"
    polled = "polled"
    """Listed again and again: it cannot be watched."""
    behind = "behind"
    """What is there is of the past; `as_of` says of when."""
    refused = "refused"
    """It may not be read, or is not there."""


class Observer(Protocol):
    """Is told what a feed does; must not wait."""

    def listed(self, resource: Resource, reason: Reason, objects: int, seconds: float) -> None: ...
    def watching(self, resource: Resource) -> None: ...
    def ended(self, resource: Resource, reason: Reason, seconds: float, events: int) -> None: ...
    def changed(self, resource: Resource, change: Change, count: int) -> None: ...


@dataclass(frozen=True, slots=True)
class World:
    """What all feeds share."""

    api: KubeApi
    limits: LiveLimits
    budget: Budget
    shelf: Shelf
    pauses: Pauses
    at_once: asyncio.Semaphore
    observer: Observer
    clock: Callable[[], float]
    chance: Callable[[], float]
    """A number from 0 to below 1, for jitter."""


@dataclass(slots=True)
class Feed:
    """One kind of object, of one namespace or all."""

    resource: Resource
    namespace: str | None
    world: World
    table: Table = field(init=False)
    phase: Phase = Phase.begins
    as_of: float | None = None
    """On the clock: when what is there was last known to be current. None while it is."""
    heard: float | None = None
    """On the clock: the server's last word about it, a change, a bookmark or a list."""
    trouble: str = ""
    gaps: list[NotRead] = field(default_factory=list)
    """What a list or a change had that could not be kept."""
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the first list has come or failed."""
    failures: int = 0
    _bookmarks: bool = False
    _listed_at: float = 0.0
    _taken: int = 0
    """Changes and bookmarks of the newest watch."""
    _retry_after: timedelta | None = None

    def __post_init__(self) -> None:
        self.table = Table(self.world.budget)

    @property
    def what(self) -> str:
        return f"{self.resource} in {self.namespace}" if self.namespace else str(self.resource)

    @property
    def path(self) -> str:
        return self.resource.path(self.namespace)

    async def run(self) -> None:
        """Until it is cancelled."""
        verdict = Verdict(Next.list, Reason.first, Pause.none)
        while True:
            try:
                verdict = await self._step(verdict)
            except LiveError as error:  # the way to the cluster itself: a kubeconfig that was moved away
                verdict = self._fell_behind(str(error), Reason.unreachable)
            except Exception as error:
                _log.error("a watch failed by a mistake of ours", what=self.what, exc_info=error)
                verdict = self._fell_behind(f"{type(error).__name__}: a fault", Reason.fault)
            self.tried.set()
            wait = wait_of(verdict, self.failures, self.world.chance(), self.world.pauses, self._retry_after)
            self._retry_after = None
            # After the pause was reckoned: the first failure waits as the first.
            self.failures += verdict.failed
            await asyncio.sleep(wait.total_seconds())

    async def _step(self, verdict: Verdict) -> Verdict:
        match verdict.next:
            case Next.list:
                return await self._list(verdict.reason)
            case Next.check:
                return await self._check()
            case Next.watch:
                return await self._watch()

    def _fell_behind(self, words: str, reason: Reason) -> Verdict:
        self._behind(words, self.world.clock())
        return Verdict(Next.list, reason, Pause.backoff, failed=True)

    # --- list -------------------------------------------------------------------------------------------------

    async def _list(self, reason: Reason) -> Verdict:
        world, table = self.world, self.table
        async with world.at_once:
            began = world.clock()
            listed = Listed(self.resource, self.namespace, self._kept)
            await fill(listed, world.api, world.limits, self._room())
        failed, version = listed.failed, version_of(listed.version)
        self._retry_after = listed.retry_after
        watchable = self.resource.watchable and reason not in (Reason.forbidden, Reason.missing)
        verdict = list_ended(failed, watchable=watchable, version=version)
        self.gaps = listed.gaps[:MOST_GAPS]
        if failed is None or failed is Why.large:
            # `keep` made them all.
            news = table.replace(cast("list[Kept]", listed.items), version)
            table.cut |= failed is not None
            self._listed_at = self.heard = world.clock()
            self.phase, self.trouble = Phase.polled, ""
            # A list is of a moment after it was asked for; one that is not watched ages from then on.
            self.as_of = began
            world.observer.listed(self.resource, reason, len(table), world.clock() - began)
            for change, count in news.items():
                if count:
                    world.observer.changed(self.resource, change, count)
        elif failed in (Why.forbidden, Why.missing):
            # What may no longer be read is not told from memory either.
            table.clear()
            self.phase, self.as_of, self.trouble = Phase.refused, None, listed.gaps[-1].why
        else:
            self.gaps, words = self.gaps[:-1], listed.gaps[-1].why
            self._behind(words, self.as_of if self.as_of is not None else began)
        return verdict

    def _room(self) -> Room:
        budget, limits = self.world.budget, self.world.limits
        return Room(
            max(0, limits.kept_bytes - budget.bytes + self.table.bytes),
            max(0, limits.kept_objects - budget.objects + len(self.table)),
        )

    def _kept(self, admitted: Admitted, printed: bytes) -> Kept:
        return self.table.known(Kept(admitted, printed, self.world.shelf))

    async def _check(self) -> Verdict:
        """Whether the store is the one we know, or one that was put back to an earlier state meanwhile."""
        told: int | None = None
        why: Why | None = None
        try:
            answer = await self.world.api.get(self.path, [("limit", "1")], attempts=1)
            told = version_of(mapping(list_of(answer.body).get("metadata")).get("resourceVersion"))
        except ApiFailure as failure:
            why, self._retry_after = failure.why, failure.retry_after
            self.trouble = failure.reason
        return checked(why, ours=self.table.version, told=told)

    # --- watch ------------------------------------------------------------------------------------------------

    async def _watch(self) -> Verdict:
        world = self.world
        lasts = world.limits.watch_lasts * (1 + world.chance())
        query = [
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", str(self.table.resume)),
            ("timeoutSeconds", str(int(lasts.total_seconds()))),
        ]
        lines = world.api.lines(
            self.path,
            query,
            opening=world.limits.watch_opening,
            silence=lambda: SILENCE if self._bookmarks else lasts + SILENCE,
            most=world.limits.object_bytes + 64 * KIB,
        )
        began, before = world.clock(), self.as_of
        why, reason, self._taken = None, "", 0
        opened: float | None = None
        try:
            async with aclosing(lines):
                async for part in lines:
                    opened = opened or world.clock()
                    self._is_current()
                    if await self._take(part):
                        return self._room_again(began)
        except ApiFailure as failure:
            why, reason, self._retry_after = failure.why, failure.reason, failure.retry_after
        lasted = timedelta(seconds=world.clock() - began)
        if lasted >= STEADY:
            self.failures = 0
        verdict = watch_ended(why, lasted=lasted, changes=self._taken, failures=self.failures)
        world.observer.ended(self.resource, verdict.reason, lasted.total_seconds(), self._taken)
        # A quiet watch that stood for a moment had told what there was to tell; one that ended in an error had not.
        stood = opened is not None and world.clock() - opened >= SHORT.total_seconds()
        told = self._taken > 0 or (stood and why not in NOT_ALL_TOLD)
        self._behind(reason, self._current_until(why) if told or before is None else before)
        return verdict

    def _current_until(self, why: Why | None) -> float:
        """Up to when a watch that has ended had told everything: its end, when that was a proper one or a break that
        was noticed, else its last word."""
        quiet_end = why is Why.silent or why in NOT_ALL_TOLD
        return self.heard if quiet_end and self.heard is not None else self.world.clock()

    def _is_current(self) -> None:
        if self.phase is not Phase.watching:
            self.phase, self.as_of, self.trouble = Phase.watching, None, ""
            self.world.observer.watching(self.resource)
        self.heard = self.world.clock()

    def _behind(self, words: str, as_of: float) -> None:
        if self.phase is Phase.begins:
            self.trouble = words
            return
        self.phase, self.as_of, self.trouble = Phase.behind, as_of, words

    def _room_again(self, began: float) -> Verdict:
        self.world.observer.ended(self.resource, Reason.room, self.world.clock() - began, self._taken)
        return Verdict(Next.list, Reason.room, Pause.none)

    async def _take(self, lines: Sequence[bytes]) -> bool:
        """Apply changes in their order; whether there is room again for what was left out."""
        for number, line in enumerate(lines, 1):
            if len(line) > BIG:
                event, kept = await asyncio.to_thread(self._read, line)
            else:
                event, kept = self._read(line)
            self._apply(event, kept)
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)
        rested = self.world.clock() - self._listed_at > self.world.pauses.long.total_seconds()
        return self.table.cut and rested and self.world.budget.roomy

    def _read(self, line: bytes) -> tuple[WatchEvent, Kept | NotUsable | None]:
        event = read_event(line, self.table.version)
        if event.gone or event.bookmark or says_nothing(event.object):
            return event, None
        try:
            admitted, printed = objects.admit(
                whole(event.object, self.resource),
                origin=self.path,
                object_bytes=self.world.limits.object_bytes,
            )
        except NotUsable as error:
            return event, error
        return event, Kept(admitted, printed, self.world.shelf)

    def _apply(self, event: WatchEvent, kept: Kept | NotUsable | None) -> None:
        table = self.table
        if event.bookmark:
            self._bookmarks = True
        else:
            change = self._change(event, kept)
            if change is not None:
                self.world.observer.changed(self.resource, change, 1)
        table.told(event.version, everything=event.bookmark)
        self._taken += 1

    def _change(self, event: WatchEvent, kept: Kept | NotUsable | None) -> Change | None:
        if isinstance(kept, Kept):
            return self.table.put(kept)
        if isinstance(kept, NotUsable) and len(self.gaps) < MOST_GAPS:
            self.gaps.append(NotRead(f"an object of {self.what}", kept.reason))
        metadata = mapping(event.object.get("metadata"))
        return self.table.remove(text(metadata.get("namespace")) or None, text(metadata.get("name")))
