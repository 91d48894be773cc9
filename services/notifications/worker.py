"""The background work: one task per channel, each on a queue of its own; and what is done by the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from libs.contracts.notifications import Channel
from libs.jobs import Jobs, Retry, current_job
from libs.logs import get_logger
from libs.storage import StorageUnavailable
from services.notifications.adapters.rows import QUEUES, task
from services.notifications.steps.deliver import LONGEST_RUN, WRITE_DOWN_FOR, Deliver

# An accepted notification is never given up with its job; deliveries have an end of their own.
_FOR_EVER = Retry(attempts=None, longest=timedelta(seconds=30))

FINISH_WITHIN = timedelta(seconds=12)
"""For calls that outlast `WORKER_GRACEFUL_STOP` (10 s); both stay below the 30 s a container is given."""

TIDY_EVERY = timedelta(seconds=15)
"""Counting what waits is one query over the few rows that do; removing what is old, one that mostly finds none."""


def declare(jobs: Jobs) -> None:
    """For a process that only takes requests."""
    for channel in Channel:
        jobs.declare(task(channel), QUEUES[channel])


def register(jobs: Jobs, deliver: Deliver, *, longest_call: timedelta) -> None:
    """For a process that delivers. `longest_call`: deadline of the slowest channel."""
    # A job may first have to wait for what its cut-off forerunner has under way.
    max_run = LONGEST_RUN + 2 * (longest_call + WRITE_DOWN_FOR)
    for channel in Channel:
        jobs.task(
            task(channel), QUEUES[channel], _looking(deliver, channel), retry=_FOR_EVER, max_run=max_run
        )


def _looking(deliver: Deliver, channel: Channel) -> Callable[[], Awaitable[None]]:
    async def look() -> None:
        await deliver.run(channel, holder=current_job().id)

    return look


async def run(jobs: Jobs, deliver: Deliver, tidy: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Deliver until `stop`; `tidy` now and then."""
    tidying = asyncio.create_task(_regularly(tidy, stop), name="tidy")
    waking = asyncio.create_task(_once(deliver.wake_all, stop), name="wake")
    try:
        await jobs.run_worker(stop)
        await deliver.finish(FINISH_WITHIN)
    finally:
        tidying.cancel()
        waking.cancel()
        await asyncio.wait({tidying, waking})


async def _once(step: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Until it has succeeded: the database may start after us."""
    while not stop.is_set():
        try:
            await step()
        except StorageUnavailable as error:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), error.retry_after.total_seconds())
        else:
            return


async def _regularly(step: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Again and again; a failed round is logged and the next one comes all the same."""
    while not stop.is_set():
        try:
            await step()
        except StorageUnavailable as error:
            get_logger(__name__).warning("tidying postponed", reason=error.reason)
        except Exception:
            get_logger(__name__).exception("tidying failed")
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), TIDY_EVERY.total_seconds())
