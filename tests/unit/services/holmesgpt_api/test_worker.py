"""Both jobs are known to the process that defers them and to the one that runs them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from libs.jobs import Jobs
from libs.storage import Database, StorageSettings
from services.holmesgpt_api import worker
from services.holmesgpt_api.adapters.chat_sessions import END_TURN, TALK, TIDY
from services.holmesgpt_api.adapters.ledger import CONDUCT, DEEPEN, EXPIRE
from services.holmesgpt_api.adapters.no_model import NoModelConfigured
from services.holmesgpt_api.domain.triage import Triage
from services.holmesgpt_api.steps.conduct import Conductor
from services.holmesgpt_api.steps.talk import Talking, Tidying
from tests.fakes.chat_sessions import MemorySessions
from tests.fakes.evidence import ScriptedEvidence
from tests.fakes.ledger import MemoryLedger

pytestmark = pytest.mark.requirement("HAPI-005", "HAPI-037")

LIFE = timedelta(minutes=5)


def jobs() -> Jobs:
    settings = StorageSettings.model_validate({"database_url": "postgresql://nowhere.invalid/none"})
    return Jobs(Database(settings, application="test"), service="holmesgpt_api")


def registered() -> Jobs:
    made = jobs()
    triage = Triage(ScriptedEvidence([]), patience=LIFE)
    worker.register(made, Conductor(MemoryLedger(), triage, retention=LIFE), life=LIFE)
    worker.register_chats(made, Tidying(MemorySessions()))
    return made


def test_what_the_api_defers_the_worker_runs():
    declared = jobs()
    worker.declare(declared)

    assert {(task.name, task.queue) for task in declared.tasks.values()} == {
        (task.name, task.queue) for task in registered().tasks.values()
    }


def test_a_run_may_last_as_long_as_its_investigation_and_comes_back_for_ever():
    task = registered().tasks[CONDUCT]

    assert task.max_run > LIFE
    assert task.retry.pause_after(1_000) is not None


def test_no_pause_between_runs_is_long_enough_to_miss_a_short_outages_end():
    retry = registered().tasks[CONDUCT].retry

    assert max(retry.pause_after(failed) or LIFE for failed in range(1, 50)) <= timedelta(seconds=10)


async def test_a_passed_deadline_ends_it_and_cleans_up():
    expire = registered().tasks[EXPIRE].function

    assert expire is not None
    await expire(investigation_id="inv-unknown")


@pytest.mark.requirement("HAPI-006", "HAPI-134")
def test_who_sits_and_waits_comes_before_investigations_at_the_model():
    declared = jobs()
    worker.declare(declared)
    asking = jobs()
    worker.register_talks(asking, Talking(MemorySessions(), NoModelConfigured()), life=LIFE)

    assert declared.tasks[TALK].priority > declared.tasks[DEEPEN].priority
    assert asking.tasks[TALK].priority == declared.tasks[TALK].priority
    assert asking.tasks[TALK].queue == declared.tasks[DEEPEN].queue


def test_what_ends_questions_and_sessions_is_never_given_up():
    tasks = registered().tasks

    assert all(tasks[name].retry.pause_after(1_000) is not None for name in (END_TURN, TIDY))
