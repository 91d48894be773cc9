"""Put jobs back whose worker is gone.

Two signs: the worker has been silent for too long, or the job has been running for longer than it may. The
second is for a worker that lives but lost the end of a job in an outage: the job is done, and nobody will
ever say so.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, LiteralString

from libs.storage.database import RawPool
from libs.storage.errors import StorageUnavailable, storage_faults

if TYPE_CHECKING:
    from libs.jobs.jobs import Jobs

_log = logging.getLogger(__name__)

# A run is cancelled at its `max_run`; what is marked as running well after that is running nowhere.
OVERDUE_BY = timedelta(seconds=10)

# Locked while we decide, so that of several workers one rescues a job, and none takes back a job that was
# rescued and started again since. The library's own list of stalled jobs can promise neither, and knows no
# limit per task.
_STALLED: LiteralString = """
SELECT job.id, job.task_name, job.attempts
  FROM procrastinate_jobs AS job
 WHERE job.status = 'doing'
   AND (
     NOT EXISTS (SELECT FROM procrastinate_workers AS worker
                  WHERE worker.id = job.worker_id AND worker.last_heartbeat >= now() - %(silence)s)
     OR (SELECT max(event.at) FROM procrastinate_events AS event
          WHERE event.job_id = job.id AND event.type = 'started')
        < now() - (SELECT longest FROM unnest(%(tasks)s::text[], %(bounds)s::interval[]) AS bound (task, longest)
                    WHERE task = job.task_name)
   )
   FOR UPDATE OF job SKIP LOCKED
"""
_PUT_BACK: LiteralString = "SELECT procrastinate_retry_job_v2(%s, now(), NULL, NULL, NULL)"
_GIVE_UP: LiteralString = "SELECT procrastinate_finish_job_v1(%s, 'failed', false)"


class Rescue:
    """Looks for such jobs at the rate of the heartbeat."""

    def __init__(self, jobs: Jobs, pool: RawPool) -> None:
        self._jobs, self._pool = jobs, pool

    async def run(self) -> None:
        while True:
            try:
                await self.once()
            except StorageUnavailable as error:
                _log.info("no look for stalled jobs: %s", error)
            await asyncio.sleep(self._jobs.settings.worker_heartbeat.total_seconds())

    async def once(self) -> None:
        known = [task for task in self._jobs.tasks.values() if task.function]
        parameters = {
            "silence": self._jobs.settings.worker_stalled_after,
            "tasks": [task.name for task in known],
            "bounds": [task.max_run + OVERDUE_BY for task in known],
        }
        ended: list[tuple[str, bool]] = []
        with storage_faults():
            async with self._pool.connection() as connection, connection.transaction():
                for id_, name, attempts in await (await connection.execute(_STALLED, parameters)).fetchall():
                    again = self._worth_it(name, attempts + 1)
                    await connection.execute(_PUT_BACK if again else _GIVE_UP, (id_,))
                    _log.warning(
                        "job %s[%d] lost its worker: %s", name, id_, "again" if again else "given up"
                    )
                    ended.append((name, again))
        for name, again in ended:
            self._jobs.ended(name, "rescued" if again else "abandoned", 0.0)

    def _worth_it(self, name: str, runs: int) -> bool:
        task = self._jobs.tasks.get(name)
        return task is None or task.retry.worth_rescuing(runs)
