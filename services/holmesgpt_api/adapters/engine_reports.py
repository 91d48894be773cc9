"""Carries the engines' states from the workers to the API's /health, through the database both have anyway."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from libs.storage import Database, StorageUnavailable
from services.holmesgpt_api.adapters import ledger_sql as sql
from services.holmesgpt_api.domain.engine_health import Report

_log = logging.getLogger(__name__)

EVERY = 5.0
"""Seconds between two reports of a worker."""

FRESH = timedelta(seconds=20)
"""A report that has not been renewed for so long is about a worker that is gone."""


class EngineReports:
    """What workers have reported. For the API."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def latest(self) -> tuple[list[Report], int]:
        """Every live worker's report, and how many runs are held. Raises StorageUnavailable."""
        async with self._database.begin() as conn:
            rows = (await conn.execute(sql.REPORTS, {"fresh": FRESH})).mappings().all()
            held = (await conn.execute(sql.HELD)).scalar_one()
        return [Report(**row) for row in rows], held


class Reporter:
    """Reports this worker's engine while it lives. For the worker."""

    def __init__(self, database: Database, now: Callable[[], Report]) -> None:
        """`now`: the report as it would be this moment, without the last run's end."""
        self._database, self._now = database, now
        self._worker = uuid.uuid4().hex
        self._last: tuple[str, datetime] | None = None
        self._news = asyncio.Event()

    def ended(self, outcome: str) -> None:
        """A run at the model has ended so."""
        self._last = (outcome, datetime.now(UTC))
        self._news.set()

    def changed(self) -> None:
        self._news.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then this worker's report is taken away."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                self._news.clear()
                await self._report()
                news = asyncio.create_task(self._news.wait())
                await asyncio.wait({stopping, news}, timeout=EVERY, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
        finally:
            stopping.cancel()
            with suppress(StorageUnavailable):
                async with self._database.begin() as conn:
                    await conn.execute(sql.WITHDRAW, {"worker": self._worker})

    async def _report(self) -> None:
        now = self._now()
        outcome, at = self._last or (None, None)
        values = {
            "worker": self._worker,
            "model": now.model,
            "state": now.state,
            "detail": now.detail[:500],
            "running": now.running,
            "max_running": now.max_running,
            "last_outcome": outcome,
            "last_at": at,
        }
        try:
            async with self._database.begin() as conn:
                await conn.execute(sql.REPORT, values)
        except StorageUnavailable as error:
            _log.info("no report of the engine: %s", error)
