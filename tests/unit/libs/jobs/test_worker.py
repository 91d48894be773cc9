from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from procrastinate.jobs import Job
from psycopg_pool import PoolTimeout
from pydantic import SecretStr

from libs.jobs import Jobs, Retry
from libs.jobs.worker import HOUSEKEEPING, JITTER, build_app, passes
from libs.storage import Database, StorageSettings

pytestmark = pytest.mark.requirement("INT-BR-REL-004", "API-BR-MQ-001")


async def nothing() -> None:
    return None


@pytest.fixture
def jobs() -> Jobs:
    settings = StorageSettings.model_construct(database_url=SecretStr("postgresql://nowhere.invalid/x"))
    made = Jobs(Database(settings, application="alerts"), service="alerts")
    made.task("drain", "inbox", nothing, retry=Retry(attempts=2, wait=timedelta(seconds=4)))
    made.declare("elsewhere", "other")
    return made


def job(attempts: int) -> Job:
    return Job(queue="alerts.inbox", lock=None, queueing_lock=None, task_name="drain", attempts=attempts)


@pytest.mark.parametrize(
    "cause", [PoolTimeout(), psycopg.OperationalError(), psycopg.errors.ForeignKeyViolation()]
)
def test_a_database_that_is_away_is_waited_for(cause: Exception):
    assert passes(cause)


@pytest.mark.parametrize("cause", [None, psycopg.errors.UndefinedFunction(), KeyError()])
def test_what_waiting_cannot_cure_ends_the_worker(cause: Exception | None):
    assert not passes(cause)


def test_what_is_only_declared_is_not_run_here(jobs: Jobs):
    tasks = build_app(jobs).tasks

    assert "drain" in tasks
    assert "elsewhere" not in tasks


def test_there_is_always_a_periodic_task_because_without_one_a_worker_goes_deaf(jobs: Jobs):
    registered = build_app(jobs).periodic_registry.periodic_tasks

    assert [name for name, _ in registered] == [HOUSEKEEPING]


def test_a_second_app_of_the_same_jobs_has_the_same_tasks(jobs: Jobs):
    first, second = build_app(jobs), build_app(jobs)

    assert "drain" in first.tasks
    assert "drain" in second.tasks
    assert first.tasks["drain"] is not second.tasks["drain"]


def test_a_run_cut_short_by_a_stop_is_put_back_at_once_even_when_it_was_the_last(jobs: Jobs):
    strategy = build_app(jobs).tasks["drain"].retry_strategy
    assert strategy is not None

    returned = strategy.get_retry_exception(asyncio.CancelledError(), job(attempts=1))
    failed = strategy.get_retry_exception(LookupError(), job(attempts=1))

    assert returned is not None
    assert failed is None


def test_what_failed_together_does_not_come_back_together(jobs: Jobs):
    strategy = build_app(jobs).tasks["drain"].retry_strategy
    assert strategy is not None

    decided = [strategy.get_retry_decision(exception=LookupError(), job=job(attempts=0)) for _ in range(100)]

    now = datetime.now(UTC)
    waits = [(one.retry_at - now).total_seconds() for one in decided if one is not None and one.retry_at]
    assert len(waits) == 100
    assert 4 * (1 - JITTER) - 0.5 <= min(waits) < max(waits) <= 4
    assert max(waits) - min(waits) > 4 * JITTER / 2


def test_who_says_when_to_come_back_is_not_come_back_to_before_that(jobs: Jobs):
    class Away(Exception):
        retry_after = timedelta(seconds=20)

    strategy = build_app(jobs).tasks["drain"].retry_strategy
    assert strategy is not None

    decided = [strategy.get_retry_decision(exception=Away(), job=job(attempts=0)) for _ in range(50)]

    now = datetime.now(UTC)
    waits = [(one.retry_at - now).total_seconds() for one in decided if one is not None and one.retry_at]
    assert len(waits) == 50
    assert 20 - 0.5 <= min(waits) < max(waits) <= 20 * (1 + JITTER)
