"""A queue with quick timings for tests, and the same as a worker process to be killed.

Run as `python -m tests.support.queue DATABASE_URL`. Its tasks write into the table
`effect`, which tests/support/migrations makes.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from libs.jobs import JobEnd, Jobs, JobsSettings, Retry
from libs.storage import Database
from libs.storage.settings import StorageSettings
from tests.support.children import start

MIGRATIONS = Path(__file__).parent / "migrations" / "versions"

QUICK = JobsSettings.model_construct(
    worker_heartbeat=timedelta(milliseconds=200),
    worker_stalled_after=timedelta(milliseconds=800),
    worker_poll=timedelta(milliseconds=100),
    worker_graceful_stop=timedelta(milliseconds=500),
)


class Queue:
    """One service's jobs with what tests want to know of them."""

    def __init__(self, database_url: str, *, service: str = "alerts", settings: JobsSettings = QUICK) -> None:
        storage = StorageSettings.model_validate({"database_url": database_url})
        self.database = Database(storage, application=service)
        self.ends: list[JobEnd] = []
        self.jobs = Jobs(self.database, service=service, settings=settings, observe=self.ends.append)

    async def defer(
        self, name: str, /, *, lock: str | None = None, in_: timedelta | None = None, **args: object
    ) -> int:
        async with self.database.begin() as connection:
            return await self.jobs.defer(connection, name, args, lock=lock, in_=in_)

    async def record(self, name: str) -> None:
        async with self.database.begin() as connection:
            await connection.execute(text("INSERT INTO effect (name) VALUES (:name)"), {"name": name})

    async def effects(self) -> list[str]:
        async with self.database.begin() as connection:
            return list(await connection.scalars(text("SELECT name FROM effect ORDER BY at")))

    async def states(self) -> dict[str, int]:
        """How many jobs are in which state; what has succeeded is no longer there."""
        query = text("SELECT status, count(*) FROM procrastinate_jobs GROUP BY status")
        async with self.database.begin() as connection:
            rows = await connection.execute(query)
        return {row[0]: row[1] for row in rows}

    async def reaches(self, *, within: float = 15.0, **states: int) -> None:
        """Wait until exactly these states are counted; `todo=0` alone is written as no argument."""
        async with asyncio.timeout(within):
            while await self.states() != states:
                await asyncio.sleep(0.02)

    async def is_listening(self) -> None:
        """Wait until a worker hears of new jobs."""
        listeners = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
        async with asyncio.timeout(10):
            while True:
                async with self.database.begin() as connection:
                    if await connection.scalar(listeners):
                        return
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[asyncio.Event]:
        """A worker beside the test; set the event to stop it early."""
        stop = asyncio.Event()
        worker = asyncio.create_task(self.jobs.run_worker(stop))
        try:
            yield stop
        finally:
            stop.set()
            await worker


def register(queue: Queue) -> None:
    """The tasks of the worker process."""

    async def slow(name: str, seconds: float) -> None:
        await queue.record(f"{name} begun")
        await asyncio.sleep(seconds)
        await queue.record(f"{name} done")

    queue.jobs.task("slow", "work", slow, retry=Retry(attempts=3), max_run=timedelta(seconds=60))


class WorkerProcess:
    def __init__(self, database_url: str) -> None:
        self.process = start("tests.support.queue", database_url, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


async def main(database_url: str) -> None:
    queue = Queue(database_url)
    register(queue)
    await queue.jobs.run_worker(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
