"""A live cluster as an evidence source. Fulfils `domain.ports.EvidenceSource`.

Decides how old a snapshot may be, when one is tried again after a failure, and how long what is there still speaks
for the cluster. Objects are kept current elsewhere (`watching`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from hashlib import blake2b
from typing import Protocol
from uuid import uuid4

from libs.logs import get_logger
from services.context_api.adapters.live.errors import LiveError
from services.context_api.adapters.live.watching import Reading
from services.context_api.domain.errors import NoEvidence
from services.context_api.domain.ports import Connectivity, SourceState
from services.context_api.domain.snapshot import NotRead, Snapshot

SOON = timedelta(seconds=2)
"""When to ask again while a snapshot is being made: most take about this long."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=30)
"""After a failure nobody asks the cluster for so long; doubled with each failure in a row."""

_log = get_logger("evidence")


class Objects(Protocol):
    """What a live cluster needs: its objects, kept current. `watching.Watching` is one."""

    @property
    def server(self) -> str:
        """Its address, as people know it."""
        ...

    @property
    def words(self) -> str:
        """How current it is; costs nothing."""
        ...

    def start(self) -> None: ...
    async def stop(self) -> None: ...

    async def read(self) -> Reading:
        """Raises LiveError: there is nothing to answer from."""
        ...

    async def confirm(self, within: timedelta) -> None:
        """Raises LiveError: the server does not answer."""
        ...


@dataclass(frozen=True, slots=True)
class Times:
    max_age: timedelta = timedelta(seconds=15)
    stale_limit: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Held:
    reading: Reading
    at: float
    """Monotonic, when it was begun: things may have changed since then."""

    @property
    def snapshot(self) -> Snapshot:
        return self.reading.snapshot


class LiveCluster:
    """Makes a snapshot when somebody asks and the last one is too old: one at a time, for everybody who waits."""

    def __init__(
        self,
        objects: Objects,
        times: Times | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._objects = objects
        self._times = times or Times()
        self._clock = clock
        self._held: _Held | None = None
        self._making: asyncio.Task[Snapshot] | None = None
        self._failure: str = ""
        self._stale: Snapshot | None = None
        self._failures = 0
        self._not_before = 0.0
        self._own = uuid4().hex

    def start(self) -> None:
        """Begin to read, so that the first question finds something; returns at once."""
        self._objects.start()
        self._refresh()

    async def stop(self) -> None:
        if self._making is not None:
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)
        await self._objects.stop()

    async def snapshot(self, deadline: timedelta) -> Snapshot:
        held = self._held
        if held is not None and self._clock() - held.at <= self._times.max_age.total_seconds():
            return held.snapshot
        if self._making is None and self._clock() < self._not_before:
            return self._last(self._failure, retry_after=self._pause)
        try:
            # Shielded: a caller who gives up must not end the reading for everybody.
            return await asyncio.wait_for(asyncio.shield(self._refresh()), deadline.total_seconds())
        except TimeoutError:
            return self._last("a newer snapshot is being made", retry_after=SOON)
        except LiveError as error:
            return self._last(str(error), retry_after=self._pause)

    async def probe(self, deadline: timedelta) -> None:
        if self._held is None or self._failure:
            # That it answers something is not enough: only a whole reading tells that the trouble is over.
            await self._again(deadline)
            return
        try:
            await self._objects.confirm(deadline)
        except LiveError as error:
            self._failure = f"{self._objects.server}: {error}"
            raise NoEvidence(self.state.reason, retry_after=SOON) from error

    async def _again(self, deadline: timedelta) -> None:
        if self._making is None and self._clock() < self._not_before:
            raise NoEvidence(self._failure, retry_after=self._pause)
        try:
            await asyncio.wait_for(asyncio.shield(self._refresh()), deadline.total_seconds())
        except (TimeoutError, LiveError) as error:
            raise NoEvidence(self.state.reason, retry_after=SOON) from error
        if self._failure:
            raise NoEvidence(self.state.reason, retry_after=SOON)

    @property
    def state(self) -> SourceState:
        if self._failure:
            held = self._still_speaks()
            as_of = f"; answering from evidence as of {_clock(held.snapshot)}" if held else ""
            return SourceState(
                Connectivity.unhealthy,
                f"{self._failure}{as_of}",
                serves=held is not None,
                identity=self._identity,
                age=self._age(),
            )
        if self._held is None:
            return SourceState(Connectivity.unavailable, "the cluster is being read")
        snapshot = self._held.snapshot
        gaps = f"; {len(snapshot.not_read)} things could not be read" if snapshot.not_read else ""
        words = f"{self._objects.server}, as of {_clock(snapshot)}{gaps}; {self._objects.words}"
        return SourceState(Connectivity.healthy, words, serves=True, identity=self._identity, age=self._age())

    def _age(self) -> timedelta:
        """Of what is held: logs and metrics are of when it was begun, objects perhaps of earlier."""
        if self._held is None:
            return timedelta(0)
        return timedelta(seconds=max(0.0, self._clock() - min(self._held.at, self._held.reading.as_of)))

    @property
    def _identity(self) -> str:
        """The cluster, by what no other has: the uid of the namespace that every cluster has.

        Where that may not be read, this process keeps to itself: inside of two clusters the address is the same.
        """
        if self._held is None:
            return ""
        system = self._held.snapshot.get("Namespace", None, "kube-system")
        return f"live/{system.uid if system is not None and system.uid else self._own}"

    @property
    def _pause(self) -> timedelta:
        return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(self._failures, 10)))

    def _refresh(self) -> asyncio.Task[Snapshot]:
        if self._making is None:
            self._making = asyncio.create_task(self._make(), name="read the cluster")
            self._making.add_done_callback(self._made)
        return self._making

    def _made(self, task: asyncio.Task[Snapshot]) -> None:
        self._making = None
        # Retrieved here: nobody may be waiting any more.
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = str(error) if isinstance(error, LiveError) else f"{type(error).__name__}: a fault"
            self._failures += 1
            self._not_before = self._clock() + self._pause.total_seconds()
            self._stale = None
            level = _log.warning if isinstance(error, LiveError) else _log.error
            level("the cluster could not be read", reason=self._failure, failures=self._failures)

    async def _make(self) -> Snapshot:
        began = self._clock()
        reading = await self._objects.read()
        snapshot = reading.snapshot
        self._held = _Held(reading, began)
        self._failure, self._failures, self._stale = reading.trouble, 0, None
        _log.info(
            "snapshot made",
            objects=len(snapshot.objects),
            events=len(snapshot.events),
            logs=len(snapshot.logs),
            metrics=len(snapshot.metrics),
            not_read=len(snapshot.not_read),
            trouble=reading.trouble,
            took_s=round(self._clock() - began, 3),
        )
        return snapshot

    def _still_speaks(self) -> _Held | None:
        """What is held, while it is not too old to be answered from."""
        held = self._held
        old = held is None or self._clock() - held.reading.as_of > self._times.stale_limit.total_seconds()
        return None if old else held

    def _last(self, reason: str, *, retry_after: timedelta) -> Snapshot:
        """The last snapshot with its age said, as long as it may still speak for the cluster."""
        held = self._still_speaks()
        if held is None:
            raise NoEvidence(self._failure or reason, retry_after=retry_after)
        if held.reading.trouble:
            return held.snapshot  # it says so itself
        if self._stale is None:
            # The same object for everybody until the cluster answers: indexes are built once for each id.
            gap = NotRead("the cluster as it is now", f"{reason}; this is as of {_clock(held.snapshot)}")
            told = blake2b(f"{held.snapshot.id} {gap}".encode(), digest_size=16).hexdigest()
            self._stale = replace(held.snapshot, id=told, not_read=(gap, *held.snapshot.not_read))
        return self._stale


def _clock(snapshot: Snapshot) -> str:
    return snapshot.captured_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
