"""A line before the pool, for what comes in bursts: it waits longer, and leaves connections to everything else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.storage.awake import awake_timeout
from libs.storage.database import Database
from libs.storage.errors import StorageUnavailable, pause

PATIENCE = timedelta(seconds=10)
"""Longest wait for a turn. The pool alone turns a burst away after two seconds, although each transaction takes
milliseconds; ten leave most of the 25 s within which a caller has its answer, and are part of them."""


class Few:
    """Transactions of one kind, few at once. What waits here takes no connection from what does not."""

    def __init__(self, database: Database, *, at_once: int = 2, patience: timedelta = PATIENCE) -> None:
        """`at_once`: fewer than the pool has connections."""
        self._database, self._patience = database, patience
        self._turns = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, after those that were asked for before.

        Raises:
            StorageUnavailable: `busy` when no turn came in time; else as `Database.begin` says.
        """
        try:
            async with awake_timeout(self._patience):
                await self._turns.acquire()
        except TimeoutError:
            said = f"more at once than can be recorded in {self._patience.total_seconds():g} s"
            raise StorageUnavailable("busy", said, retry_after=pause()) from None
        try:
            async with self._database.begin() as connection:
                yield connection
        finally:
            self._turns.release()
