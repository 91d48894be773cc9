"""Run one worker of procrastinate, and start it again when the database has been away.

The library fetches, locks, notifies and retries. Added here: a bounded run, retries in our terms, the
rescue of jobs whose worker died, and an end that is always counted.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import psycopg
from procrastinate import App, BaseRetryStrategy, JobContext, PsycopgConnector, RetryDecision
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from procrastinate.worker import Worker

from libs.jobs.rescue import Rescue
from libs.jobs.run import CURRENT, JobRun
from libs.storage.errors import why_unavailable

if TYPE_CHECKING:
    from libs.jobs.jobs import Jobs, Outcome, Task

_log = logging.getLogger(__name__)

# Waits between two attempts to reach a database that is away; the last one repeats.
_PAUSES_S = (0.2, 0.5, 1.0, 2.0)
HOUSEKEEPING = "housekeeping"

JITTER = 0.3
"""Share of a wait that chance takes off it, or adds to one that was asked for. Without it all that failed together come back together, and in step with
whatever fails by the clock: under kills, with a peer away every second second, two of 793 runs never met it in 300 s."""


@runtime_checkable
class SaysWhen(Protocol):
    """An error that knows how long to leave alone what it is about."""

    retry_after: timedelta | None


async def run_worker(jobs: Jobs, stop: asyncio.Event) -> None:
    """Until `stop`: one worker after another, each as long as the database lasts.

    A worker of the library ends when LISTEN cannot be had back, when its heartbeat fails, or when others
    took it for dead and removed its row. The next one registers under a new id, so that what the old one
    left running is rescued like a stranger's.
    """
    # Two lines for each job, with its arguments; how a job failed is said below, in one.
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    app = build_app(jobs)
    failures = 0
    while not stop.is_set():
        began = time.monotonic()
        try:
            await _one_worker(app, jobs, stop)
        except ConnectorException as error:
            if not passes(error.__cause__):
                raise
            _log.warning("worker of %s lost the database: %r", jobs.service, error.__cause__)
        lasted = time.monotonic() - began
        failures = 0 if lasted > jobs.settings.worker_stalled_after.total_seconds() else failures + 1
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _PAUSES_S[min(failures, len(_PAUSES_S) - 1)])


def passes(cause: BaseException | None) -> bool:
    """Whether waiting can cure it. A foreign key refuses a worker whose row others have removed."""
    if isinstance(cause, psycopg.errors.ForeignKeyViolation):
        return True
    return cause is not None and why_unavailable(cause) is not None


async def _one_worker(app: App, jobs: Jobs, stop: asyncio.Event) -> None:
    # Two connections: one may be fetching while another says that a job is done. Each query is a
    # transaction of its own, so autocommit saves two round trips in three.
    pool = jobs.database.raw_pool(min_size=1, max_size=2, autocommit=True)
    # A new connector each time: the library's keeps the pool it was opened with, closed or not.
    with app.replace_connector(PsycopgConnector()):
        async with pool, app.open_async(pool):
            worker = _worker(app, jobs)
            running = asyncio.create_task(worker.run(), name=f"worker of {jobs.service}")  # type: ignore[no-untyped-call]
            beside = [
                asyncio.create_task(Rescue(jobs, pool).run(), name="rescue"),
                asyncio.create_task(_keep_alive(app, worker, jobs), name="keep alive"),
                asyncio.create_task(stop.wait(), name="stop"),
            ]
            try:
                await asyncio.wait({running, *beside}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                worker.stop()  # type: ignore[no-untyped-call]
                await asyncio.wait({running})
                for task in beside:
                    task.cancel()
                await asyncio.wait(beside)
            for task in (running, *beside):
                if not task.cancelled() and (error := task.exception()):
                    raise error


def _worker(app: App, jobs: Jobs) -> Worker:
    settings = jobs.settings
    return Worker(
        app,
        queues=sorted({task.queue for task in jobs.tasks.values() if task.function} | {_own_queue(jobs)}),
        name=jobs.service,
        concurrency=settings.worker_concurrency,
        fetch_job_polling_interval=settings.worker_poll.total_seconds(),
        shutdown_graceful_timeout=settings.worker_graceful_stop.total_seconds(),
        delete_jobs="successful",
        install_signal_handlers=False,  # the process has its own
        update_heartbeat_interval=settings.worker_heartbeat.total_seconds(),
        stalled_worker_timeout=settings.worker_stalled_after.total_seconds(),
    )


async def _keep_alive(app: App, worker: Worker, jobs: Jobs) -> None:
    """Go on with the heartbeat while a stopping worker finishes its jobs.

    The library ends its own heartbeat first; a job that takes longer than `worker_stalled_after` to finish
    would be given to another worker while it still runs.
    """
    while True:
        await asyncio.sleep(jobs.settings.worker_heartbeat.total_seconds())
        if worker.worker_id is not None:
            with suppress(ConnectorException):  # the library's own heartbeat reports it
                await app.job_manager.update_heartbeat(worker.worker_id)


def build_app(jobs: Jobs) -> App:
    """An App with the tasks registered on it, one for each run of a worker: Apps cannot share tasks."""
    app = App(connector=PsycopgConnector())
    app.job_manager = _Manager(connector=app.connector)
    for task in jobs.tasks.values():
        if task.function is not None:
            run = _runner(jobs, task, task.function)
            app.task(name=task.name, queue=task.queue, retry=_Strategy(task), pass_context=True)(run)

    async def housekeeping(timestamp: int) -> None:
        hours = max(1, round(jobs.settings.worker_keep_failed / timedelta(hours=1)))
        await app.job_manager.delete_old_jobs(
            nb_hours=hours, include_failed=True, include_cancelled=True, include_aborted=True
        )

    # With no periodic task at all the library's periodic side ends at once, and with it the watch over
    # LISTEN: after a restart of the database such a worker hears of nothing any more.
    daily = app.task(name=HOUSEKEEPING, queue=_own_queue(jobs), retry=3)(housekeeping)
    app.periodic(cron="17 3 * * *")(daily)
    return app


class _Manager(JobManager):
    """Wakes the workers when a lock is free.

    The library does not: the next job with the same lock would wait for the next poll, and a chain of four
    such jobs for two seconds.
    """

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        await super().finish_job(job=job, status=status, delete_job=delete_job)
        if job.lock is not None:
            await self.connector.execute_query_async(
                "SELECT pg_notify(%(channel)s, %(payload)s)",
                channel=f"procrastinate_queue_v1#{job.queue}",
                payload='{"type": "job_inserted", "job_id": 0}',
            )


def _own_queue(jobs: Jobs) -> str:
    return f"{jobs.service}.{HOUSEKEEPING}"


def _runner(
    jobs: Jobs, task: Task, function: Callable[..., Awaitable[None]]
) -> Callable[..., Awaitable[None]]:
    async def run(context: JobContext, **arguments: Any) -> None:
        began = time.monotonic()
        number = context.job.attempts + 1
        job = JobRun(context.job.id or 0, task.name, number, task.retry.pause_after(number) is None)
        token = CURRENT.set(job)
        outcome: Outcome = "succeeded"
        try:
            async with asyncio.timeout(task.max_run.total_seconds()):
                await function(**arguments)
        except asyncio.CancelledError:
            outcome = "returned"
            raise
        except Exception as error:
            outcome = "failed" if job.last else "retried"
            _log.warning("job %s[%d] %s in run %d: %r", task.name, job.id, outcome, number, error)
            raise
        finally:
            CURRENT.reset(token)
            jobs.ended(task.name, outcome, time.monotonic() - began)

    return run


class _Strategy(BaseRetryStrategy):
    """Our `Retry` in the library's terms.

    Every task has one: a job cancelled by a stop would otherwise stay `aborted` for ever.
    """

    def __init__(self, task: Task) -> None:
        self._retry = task.retry

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_in={"seconds": 0})
        asked = exception.retry_after if isinstance(exception, SaysWhen) else None
        pause = self._retry.pause_after(job.attempts + 1, asked)
        if pause is None:
            return None
        # Who asks for a time to be left alone is not come back to before it.
        pause *= random.uniform(1, 1 + JITTER) if asked is not None else random.uniform(1 - JITTER, 1)
        return RetryDecision(retry_in={"milliseconds": round(pause / timedelta(milliseconds=1))})
