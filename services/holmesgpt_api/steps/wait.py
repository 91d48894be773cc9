"""Wait for the ends of investigations: one query for all who wait in this process, no connection held.

Asking again and again instead of LISTEN: it needs no connection of its own and survives every restart of
the database, and costs one indexed query per `pause` only while somebody waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta

from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.patience import Deadline
from services.holmesgpt_api.domain.ports import Ledger
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.steps.in_time import in_time

_log = logging.getLogger(__name__)

PAUSE = timedelta(milliseconds=100)
"""Between two looks: half of it is what a synchronous answer loses on average. Triage takes about as long."""


class Waiting:
    """Use it with `async with`; leaving it cancels its task, and who still waits gets what is known."""

    def __init__(self, ledger: Ledger, *, pause: timedelta = PAUSE) -> None:
        self._ledger, self._pause = ledger, pause.total_seconds()
        self._waiters: dict[str, set[asyncio.Future[Record]]] = defaultdict(set)
        self._somebody = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Waiting:
        self._task = asyncio.create_task(self._look(), name="ends of investigations")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        for waiters in list(self._waiters.values()):
            for waiter in waiters:
                waiter.cancel()

    @property
    def waiters(self) -> int:
        return sum(len(waiters) for waiters in self._waiters.values())

    async def for_end(self, record: Record, until: Deadline) -> Record:
        """The record when it has ended; as it is then when the time is up first, or as it was where even that cannot
        be read in time."""
        end: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._waiters[record.id].add(end)
        self._somebody.set()
        try:
            return await asyncio.wait_for(end, until.to_wait.total_seconds())
        except TimeoutError:
            return await self._as_it_is(record, until)
        finally:
            self._leave(record.id, end)

    async def _as_it_is(self, record: Record, until: Deadline) -> Record:
        try:
            async with in_time(until.to_tell):
                return await self._ledger.get(record.id, tenant=record.tenant) or record
        except StorageUnavailable as error:
            # Its row is committed; what was true when it was taken is still a true answer.
            _log.info("no fresh look at %s: %s", record.id, error)
            return record

    def _leave(self, investigation_id: str, end: asyncio.Future[Record]) -> None:
        waiters = self._waiters[investigation_id]
        waiters.discard(end)
        if not waiters:
            del self._waiters[investigation_id]
        if not self._waiters:
            self._somebody.clear()

    async def _look(self) -> None:
        while True:
            await self._somebody.wait()
            try:
                self._tell({record.id: record for record in await self._ledger.ended(list(self._waiters))})
            except StorageUnavailable as error:
                _log.info("no look at who has ended: %s", error)
            except Exception:
                # Whoever waits for that one is told what is known; all others must still hear of theirs.
                _log.exception("a look at who has ended failed")
            await asyncio.sleep(self._pause)

    def _tell(self, ended: Mapping[str, Record]) -> None:
        for investigation_id, record in ended.items():
            for waiter in self._waiters.get(investigation_id, ()):
                if not waiter.done():
                    waiter.set_result(record)
