"""Inbox: commit what was received; requests that wait together share one commit.

One statement per commit, on an autocommit connection of its own: rows and drain job are one transaction and
one round trip instead of four (`Jobs.defer_statement`). What the rows mean is found out when they are drained.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, LiteralString

import psycopg

from libs.jobs import Jobs
from libs.logs import get_logger
from libs.storage import Database, why_unavailable
from services.alerts.domain.delivery import Delivery
from services.alerts.domain.errors import NotCommitted

DRAIN = "drain"

_LET_GO_S = 1.0
"""How long a cancelled statement may take to end before its connection is closed under it."""

# All in binary: as text every array is quoted and joined, half of what a group costs this process (measured).
# Sorted by key before they come here: two replicas that upsert the same keys in different orders would
# deadlock. Sent again while still pending, a row only counts another copy: same key, same news.
_TAKE: LiteralString = """
WITH taken AS (
    INSERT INTO inbox (idem, tenant, sender, body, copies)
    SELECT * FROM unnest(%b::bytea[], %b::text[], %b::text[], %b::bytea[], %b::int[])
    ON CONFLICT (idem) DO UPDATE SET copies = inbox.copies + excluded.copies, last_seen = now()
)
"""


@dataclass(slots=True)
class _Waiting:
    delivery: Delivery
    done: asyncio.Future[None]


class GroupCommit:
    """Takes deliveries; `put` returns when they are durable. Fulfils `domain.ports.Inbox`.

    One commit is under way at a time: while the disk turns, the next group gathers. Waiting on purpose for
    more gained nothing: 64 busy connections fill groups of 32 by themselves (measured 2026-11).
    """

    def __init__(
        self,
        database: Database,
        jobs: Jobs,
        *,
        deadline: timedelta,
        max_rows: int,
        is_full: Callable[[], bool],
        observe: Callable[[int, float], None],
    ) -> None:
        """Args:
        deadline: longest wait for a commit; then nothing is acknowledged.
        is_full: asked per request, so it must not wait.
        observe: told rows and seconds of each commit.
        """
        self._database = database
        defer, self._defer_values = jobs.defer_statement(DRAIN)
        self._statement: LiteralString = _TAKE + defer
        self._deadline, self._max_rows = deadline.total_seconds(), max_rows
        self._is_full, self._observe = is_full, observe
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._log = get_logger("services.alerts.inbox")

    async def put(self, delivery: Delivery) -> None:
        """Make it durable, with a job that will drain it.

        Raises:
            NotCommitted: full, or not committed in time; not acknowledged, and to be sent again.
        """
        if self._is_full():
            raise not_committed("inbox-full")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(delivery, done))
        self._arrived.set()
        await done

    async def run(self) -> None:
        """Commit group after group until cancelled; then refuse whoever still waits."""
        try:
            while True:
                await self._arrived.wait()
                group, self._waiting = self._waiting[: self._max_rows], self._waiting[self._max_rows :]
                if not self._waiting:
                    self._arrived.clear()
                group = [one for one in group if not one.done.cancelled()]
                if group:
                    await self._commit(group)
        finally:
            _refuse(self._waiting, "stopping")
            await asyncio.gather(*self._closing, return_exceptions=True)
            await self._hang_up()

    async def _commit(self, group: list[_Waiting]) -> None:
        started = time.perf_counter()
        try:
            await self._execute((*_columns(group), *self._defer_values))
        except Exception as error:
            # Whatever it was, this loop must go on, and nobody be left waiting. Whether it was committed is
            # open; the sender repeats it, and the key makes it one.
            _refuse(group, "storage-unavailable")
            self._log.warning(
                "group-not-committed",
                reason=why_unavailable(error) or type(error).__name__,
                sqlstate=getattr(error, "sqlstate", None),
                error=type(error).__name__,
                requests=len(group),
            )
            await self._hang_up()
        except BaseException:
            _refuse(group, "stopping")
            raise
        else:
            for one in group:
                if not one.done.done():
                    one.done.set_result(None)
            self._observe(len(group), time.perf_counter() - started)

    async def _execute(self, values: tuple[object, ...]) -> None:
        """Raises TimeoutError at the deadline, and lets go of a statement that still hangs.

        Waiting for its cancellation could take as long again: psycopg asks the server to cancel, and a server
        that does not answer is the reason for being here.
        """
        if self._connection is None:
            async with asyncio.timeout(self._deadline):
                self._connection = await self._connect()
        running = asyncio.ensure_future(self._connection.execute(self._statement, values))
        try:
            done, _ = await asyncio.wait({running}, timeout=self._deadline)
            if not done:
                raise TimeoutError
        finally:
            if not running.done():
                connection, self._connection = self._connection, None
                self._let_go(running, connection)
        running.result()

    def _let_go(self, running: asyncio.Future[Any], connection: psycopg.AsyncConnection[Any]) -> None:
        async def close() -> None:
            running.cancel()
            try:
                await asyncio.wait({running}, timeout=_LET_GO_S)
            finally:
                await connection.close()
                await asyncio.gather(running, return_exceptions=True)

        closing = asyncio.create_task(close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        connection = await self._database.connect()
        await connection.set_autocommit(True)
        return connection

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def not_committed(reason: str) -> NotCommitted:
    """Spread over some seconds, so that a herd of Alertmanagers does not return at one instant."""
    return NotCommitted(reason, retry_after=timedelta(seconds=random.uniform(1, 5)))


def _refuse(group: list[_Waiting], reason: str) -> None:
    for one in group:
        if not one.done.done():
            one.done.set_exception(not_committed(reason))


def _columns(group: list[_Waiting]) -> tuple[list[bytes], list[str], list[str], list[bytes], list[int]]:
    """One row per key: an upsert may not touch the same row twice."""
    if len(group) == 1:
        only = group[0].delivery
        return [only.idem], [only.tenant], [only.sender], [only.body], [1]
    copies: dict[bytes, int] = {}
    newest: dict[bytes, Delivery] = {}
    for one in group:
        idem = one.delivery.idem
        copies[idem] = copies.get(idem, 0) + 1
        newest[idem] = one.delivery
    rows = [newest[idem] for idem in sorted(newest)]
    return (
        [row.idem for row in rows],
        [row.tenant for row in rows],
        [row.sender for row in rows],
        [row.body for row in rows],
        [copies[row.idem] for row in rows],
    )
