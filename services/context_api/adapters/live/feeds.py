"""Keep a feed for each kind the cluster has: which are begun, which are ended, and when kinds are looked for anew."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from libs.logs import get_logger
from services.context_api.adapters.live.api import KubeApi
from services.context_api.adapters.live.discovery import Discovered, Resource, discover
from services.context_api.adapters.live.errors import LiveError, NotAnswering
from services.context_api.adapters.live.feed import Feed, Observer, World
from services.context_api.adapters.live.limits import LiveLimits
from services.context_api.adapters.live.shelf import Shelf
from services.context_api.adapters.live.store import Budget, Change
from services.context_api.adapters.live.verdicts import Pauses, Reason, backoff
from services.context_api.domain.snapshot import NotRead

Key = tuple[str, str, str | None]
"""Group, plural, namespace."""

BRINGS_KINDS = frozenset(
    {"customresourcedefinitions.apiextensions.k8s.io", "apiservices.apiregistration.k8s.io"}
)
"""What, when it changes, may be a new kind, or an old one's end."""

SETTLES, AGAIN = timedelta(seconds=1), timedelta(seconds=4)
"""After such a change kinds are looked for this much later, and once more: the server's list of kinds lags behind."""

_log = get_logger("evidence")


@dataclass(frozen=True, slots=True)
class Plan:
    start: Sequence[tuple[Resource, str | None]]
    stop: Sequence[Key]


def plan(
    running: Mapping[Key, Resource],
    found: Discovered,
    namespaces: Sequence[str],
    *,
    most_watches: int,
    rank: Callable[[Resource], int],
) -> Plan:
    """What to begin and what to end so that every kind that is there has its feeds.

    Args:
        running: what is being kept.
        namespaces: those that are read; none for all.
        most_watches: of those beyond, the last in `rank`, none is watched: they are listed again and again.
    """
    wanted: dict[Key, tuple[Resource, str | None]] = {}
    for resource in sorted(found.resources, key=rank):
        for namespace in (namespaces or (None,)) if resource.namespaced else (None,):
            watchable = resource.watchable and len(wanted) < most_watches
            wanted[(resource.group, resource.plural, namespace)] = (
                replace(resource, watchable=watchable),
                namespace,
            )
    stop = [
        key
        for key, resource in running.items()
        # Of a group that does not answer nobody knows whether the kind is gone.
        if (key not in wanted and key[0] not in found.unanswered)
        or (key in wanted and wanted[key][0] != resource)
    ]
    ended = set(stop)
    return Plan([one for key, one in wanted.items() if key not in running or key in ended], stop)


class Feeds:
    """All feeds of one cluster. `start` and `stop` on the event loop that runs them."""

    def __init__(
        self,
        api: KubeApi,
        limits: LiveLimits,
        namespaces: Sequence[str],
        *,
        discovery: timedelta,
        pauses: Pauses,
        observer: Observer,
        rank: Callable[[Resource], int],
        clock: Callable[[], float],
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Args:
        discovery: how often kinds are looked for when nothing says that there may be new ones.
        rank: kinds in the order in which they are listed at the start.
        """
        self._every, self._rank, self._namespaces = discovery, rank, namespaces
        self._observer = observer
        self.world = World(
            api=api,
            limits=limits,
            budget=Budget(limits.kept_bytes, limits.kept_objects),
            shelf=Shelf(limits.decoded_bytes),
            pauses=pauses,
            at_once=asyncio.Semaphore(limits.at_once),
            observer=_Forward(observer, self._changed),
            clock=clock,
            chance=chance,
        )
        self._feeds: dict[Key, tuple[Feed, asyncio.Task[None]]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._look = asyncio.Event()
        self._looked = asyncio.Event()
        self.known: Discovered | None = None
        self.trouble = ""
        """Why kinds could not be looked for the last time; empty when they could."""

    def start(self) -> None:
        self._looking = asyncio.create_task(self._keep_looking(), name="look for kinds")

    async def stop(self) -> None:
        tasks = [task for _, task in self._feeds.values()]
        if self._looking is not None:
            tasks.append(self._looking)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._feeds.clear()

    @property
    def all(self) -> list[Feed]:
        return [feed for feed, _ in self._feeds.values()]

    @property
    def gaps(self) -> Sequence[NotRead]:
        """APIs that do not say what they have, now or at all."""
        unseen = [NotRead("kinds that are new", self.trouble)] if self.trouble else []
        return [*unseen, *(self.known.gaps if self.known else ())]

    async def ready(self) -> None:
        """Wait until every kind has been listed once, or refused to be.

        Raises:
            NotAnswering: nobody has yet said which kinds there are.
        """
        await self._looked.wait()
        if self.known is None:
            raise NotAnswering(f"{self.world.api.server}: {self.trouble}")
        for feed in self.all:
            await feed.tried.wait()

    def look(self) -> None:
        """Look for kinds soon."""
        self._look.set()

    def _changed(self, resource: Resource) -> None:
        if str(resource) in BRINGS_KINDS:
            self.look()

    async def _keep_looking(self) -> None:
        failures, once_more = 0, False
        while True:
            self._look.clear()
            try:
                self.known = await discover(self.world.api)
                self.trouble, failures = "", 0
                await self._apply(self.known)
                wait = AGAIN if once_more else self._every
            except LiveError as error:
                # What is kept is kept on; only kinds that are new meanwhile are not seen.
                self.trouble = str(error)
                wait = backoff(failures, self.world.chance(), self.world.pauses)
                failures += 1
                _log.warning("kinds could not be looked for", reason=self.trouble, failures=failures)
            self._looked.set()
            once_more = await self._told_to_look(wait)
            if once_more:
                await asyncio.sleep(SETTLES.total_seconds())

    async def _told_to_look(self, within: timedelta) -> bool:
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._look.wait()
        except TimeoutError:
            return False
        return True

    async def _apply(self, found: Discovered) -> None:
        running = {key: feed.resource for key, (feed, _) in self._feeds.items()}
        todo = plan(
            running,
            found,
            self._namespaces,
            most_watches=self.world.limits.watches,
            rank=self._rank,
        )
        for key in todo.stop:
            feed, task = self._feeds.pop(key)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            feed.table.clear()
            _log.info("kind is gone", what=feed.what)
        for resource, namespace in todo.start:
            feed = Feed(resource, namespace, self.world)
            task = asyncio.create_task(feed.run(), name=f"watch {feed.what}")
            self._feeds[(resource.group, resource.plural, namespace)] = (feed, task)
        if todo.start:
            _log.info("kinds found", new=len(todo.start), all=len(self._feeds))


@dataclass(frozen=True, slots=True)
class _Forward:
    """Hears of changes on their way to the observer."""

    to: Observer
    on_change: Callable[[Resource], None]

    def listed(self, resource: Resource, reason: Reason, objects: int, seconds: float) -> None:
        self.to.listed(resource, reason, objects, seconds)

    def watching(self, resource: Resource) -> None:
        self.to.watching(resource)

    def ended(self, resource: Resource, reason: Reason, seconds: float, events: int) -> None:
        self.to.ended(resource, reason, seconds, events)

    def changed(self, resource: Resource, change: Change, count: int) -> None:
        self.to.changed(resource, change, count)
        self.on_change(resource)
