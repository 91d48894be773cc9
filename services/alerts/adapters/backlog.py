"""Backlog: how many deliveries wait to be drained, known without asking per request; and how many cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy import text

from libs.logs import get_logger
from libs.storage import Database, StorageUnavailable

# Ids only grow, so what waits lies between the oldest and the newest: two looks into an index. Counting 50,000
# rows every second took PostgreSQL 15 ms each time, which one acknowledgement in a hundred had to wait for.
# The span also holds ids that were drained out of order or never used.
_SPAN = text("""
SELECT coalesce((SELECT max(id) FROM inbox) - (SELECT min(id) FROM inbox) + 1, 0),
       (SELECT count(*) FROM set_aside)
""")

# Exact, for when the span says "full"; bounded, because past the mark the number changes nothing.
_COUNT = text("SELECT count(*) FROM (SELECT 1 FROM inbox LIMIT :enough) AS waiting")


class Backlog:
    """Estimated every second; in between what is committed is added, so it errs towards full."""

    def __init__(
        self, database: Database, *, high_water: int, every: float, observe: Callable[[int, int], None]
    ) -> None:
        """Args:
        every: seconds between counts.
        observe: told each count: those waiting, those set aside.
        """
        self._database, self._high_water, self._every = database, high_water, every
        self._observe = observe
        self._counted = 0
        self._added = 0
        self.set_aside = 0
        """Deliveries that could not be drained and wait for a person."""
        self._log = get_logger("services.alerts.backlog")

    def is_full(self) -> bool:
        return self._counted + self._added >= self._high_water

    def add(self, rows: int) -> None:
        self._added += rows

    async def run(self) -> None:
        """Count until cancelled. A failed count leaves the last one standing: commits fail by themselves."""
        while True:
            try:
                await self.count()
            except StorageUnavailable as error:
                self._log.warning("backlog-not-counted", reason=error.reason)
            except Exception:
                # Never counted again, it would be full for ever once enough has been added.
                self._log.exception("backlog-not-counted")
            await asyncio.sleep(self._every)

    async def count(self) -> None:
        # What is committed while we count may be in the count as well; it then counts twice for a second.
        before = self._added
        async with self._database.begin() as connection:
            counted, aside = (await connection.execute(_SPAN)).one()
            if counted >= self._high_water:
                counted = await connection.scalar(_COUNT, {"enough": self._high_water})
        self._counted, self._added, self.set_aside = counted, self._added - before, aside
        self._observe(counted, aside)
