from __future__ import annotations

import pytest
from pydantic import SecretStr

from libs.jobs import Jobs, UnknownTask
from libs.storage import Database, StorageSettings

pytestmark = pytest.mark.requirement("API-BR-MQ-001")


async def nothing() -> None:
    return None


@pytest.fixture
def jobs() -> Jobs:
    settings = StorageSettings.model_construct(database_url=SecretStr("postgresql://nowhere.invalid/x"))
    return Jobs(Database(settings, application="alerts"), service="alerts")


def test_a_job_for_a_task_nobody_declared_is_a_mistake_that_is_named(jobs: Jobs):
    with pytest.raises(UnknownTask, match="'drain' is not declared"):
        jobs.defer_statement("drain")


def test_the_queue_carries_the_service_s_name_because_channels_ignore_schemas(jobs: Jobs):
    jobs.declare("drain", "inbox")

    _, values = jobs.defer_statement("drain", {"a": 1}, lock="l")

    assert values == ("alerts.inbox", "drain", 0, "l", '{"a":1}', None)


def test_a_declared_task_may_be_registered_later_in_either_order(jobs: Jobs):
    jobs.declare("drain", "inbox")
    jobs.task("drain", "inbox", nothing)
    jobs.declare("drain", "inbox")

    assert jobs.tasks["drain"].function is nothing


def test_registering_a_task_twice_is_refused(jobs: Jobs):
    jobs.task("drain", "inbox", nothing)

    with pytest.raises(ValueError, match="registered twice"):
        jobs.task("drain", "inbox", nothing)


@pytest.mark.parametrize("queue", ["", "UPPER", "a b", "x" * 40, 'q"; --'])
def test_a_queue_name_that_no_channel_can_carry_is_refused(jobs: Jobs, queue: str):
    with pytest.raises(ValueError, match="queue"):
        jobs.declare("drain", queue)
