"""Both jobs are known to the process that defers them and to the one that runs them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from libs.jobs import Jobs
from libs.storage import Database, StorageSettings
from services.holmesgpt_api import worker
from services.holmesgpt_api.adapters.chat_sessions import Limits, PostgresSessions
from services.holmesgpt_api.adapters.ledger import CONDUCT, EXPIRE
from services.holmesgpt_api.domain.triage import Triage
from services.holmesgpt_api.steps.conduct import Conductor
from services.holmesgpt_api.steps.talk import Tidying
from tests.fakes.evidence import ScriptedEvidence
from tests.fakes.ledger import MemoryLedger

pytestmark = pytest.mark.requirement("HAPI-005", "HAPI-037")

LIFE = timedelta(minutes=5)


DATABASE = Database(
    StorageSettings.model_validate({"database_url": "postgresql://nowhere.invalid/none"}), application="test"
)


def jobs() -> Jobs:
    return Jobs(DATABASE, service="holmesgpt_api")


def registered() -> Jobs:
    made = jobs()
    triage = Triage(ScriptedEvidence([]), patience=LIFE)
    worker.register(made, Conductor(MemoryLedger(), triage, retention=LIFE), life=LIFE)
    worker.register_chats(
        made, Tidying(PostgresSessions(DATABASE, made, idle=LIFE, limits=Limits(sessions=1, questions=1)))
    )
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
