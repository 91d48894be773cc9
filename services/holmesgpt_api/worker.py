"""Registers what this service does in the background, and nothing else.

conduct   runs an investigation; comes back while what it needs is away
deepen    asks a model, where one is configured; in a queue of its own, since models are slow. Such a job is a call that
          somebody waits: who is taken is whose turn it is (`domain/line.py`), whatever its name
talk      has a model answer a question; in the models' queue too, before investigations: somebody sits and waits
end_turn  ends a question that has no answer by its deadline
tidy_chat ends a session that nobody has used for its idle timeout
expire    ends what has not ended by its deadline, and removes old investigations
"""

from __future__ import annotations

from datetime import timedelta

from libs.jobs import Jobs, Retry, current_job
from services.holmesgpt_api.adapters.chat_sessions import END_TURN, TALK, TIDY
from services.holmesgpt_api.adapters.ledger import CONDUCT, DEEPEN, EXPIRE, MODEL_QUEUE, QUEUE
from services.holmesgpt_api.steps.conduct import Conductor
from services.holmesgpt_api.steps.deepen import Deepening
from services.holmesgpt_api.steps.talk import Talking, Tidying

# Without an end of their own: the investigation's deadline is the end. Ten seconds at most, because a
# dependency that restarts is back by then and somebody is waiting for the answer.
AGAIN = Retry(attempts=None, wait=timedelta(milliseconds=500), longest=timedelta(seconds=10))

SPARE = timedelta(seconds=10)
"""Beyond the deadline: by then a run has ended itself."""


SOMEBODY_WAITS = 10
"""Priority of a question's job: of all that wait for a place at the model it comes first."""


def declare(jobs: Jobs) -> None:
    """For a process that only takes investigations."""
    jobs.declare(CONDUCT, QUEUE)
    jobs.declare(EXPIRE, QUEUE)
    jobs.declare(DEEPEN, MODEL_QUEUE)
    jobs.declare(TALK, MODEL_QUEUE, priority=SOMEBODY_WAITS)
    jobs.declare(END_TURN, QUEUE)
    jobs.declare(TIDY, QUEUE)


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

    async def deepen(investigation_id: str) -> None:
        await deepening.deepen(current_job().id, named=investigation_id)

    jobs.task(DEEPEN, MODEL_QUEUE, deepen, retry=AGAIN, max_run=life + SPARE)


def register_chats(jobs: Jobs, tidying: Tidying) -> None:
    """What ends questions and sessions, wherever questions are answered."""
    again = Retry(attempts=None, longest=timedelta(seconds=30))
    jobs.declare(TALK, MODEL_QUEUE, priority=SOMEBODY_WAITS)
    jobs.task(END_TURN, QUEUE, tidying.end_turn, retry=again)
    jobs.task(TIDY, QUEUE, tidying.tidy, retry=again)


def register_talks(jobs: Jobs, talking: Talking, *, life: timedelta) -> None:
    """For a process that asks models. `life`: the longest that a question may take."""
    jobs.task(TALK, MODEL_QUEUE, talking.talk, retry=AGAIN, max_run=life + SPARE, priority=SOMEBODY_WAITS)
