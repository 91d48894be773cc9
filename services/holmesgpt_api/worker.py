"""Registers what this service does in the background, and nothing else.

conduct   runs an investigation; comes back while what it needs is away
deepen    asks a model, where one is configured; in a queue of its own, since models are slow
expire    ends what has not ended by its deadline, and removes old investigations
"""

from __future__ import annotations

from datetime import timedelta

from libs.jobs import Jobs, Retry
from services.holmesgpt_api.adapters.ledger import CONDUCT, DEEPEN, EXPIRE, MODEL_QUEUE, QUEUE
from services.holmesgpt_api.steps.conduct import Conductor
from services.holmesgpt_api.steps.deepen import Deepening

# Without an end of their own: the investigation's deadline is the end. Ten seconds at most, because a
# dependency that restarts is back by then and somebody is waiting for the answer.
AGAIN = Retry(attempts=None, wait=timedelta(milliseconds=500), longest=timedelta(seconds=10))

SPARE = timedelta(seconds=10)
"""Beyond the deadline: by then a run has ended itself."""


def declare(jobs: Jobs) -> None:
    """For a process that only takes investigations."""
    jobs.declare(CONDUCT, QUEUE)
    jobs.declare(EXPIRE, QUEUE)
    jobs.declare(DEEPEN, MODEL_QUEUE)


def register(jobs: Jobs, conductor: Conductor, *, life: timedelta) -> None:
    """For a process that conducts them. `life`: an investigation's, from asked to deadline."""

    async def expire(investigation_id: str) -> None:
        await conductor.expire(investigation_id)
        await conductor.clean()

    jobs.declare(DEEPEN, MODEL_QUEUE)
    jobs.task(CONDUCT, QUEUE, conductor.conduct, retry=AGAIN, max_run=life + SPARE)
    jobs.task(EXPIRE, QUEUE, expire, retry=Retry(attempts=None, longest=timedelta(seconds=30)))


def register_model(jobs: Jobs, deepening: Deepening, *, life: timedelta) -> None:
    """For a process that asks models. `jobs` runs nothing else, so that its concurrency is theirs."""
    jobs.task(DEEPEN, MODEL_QUEUE, deepening.deepen, retry=AGAIN, max_run=life + SPARE)
