"""Every job that can be deferred can be run, and nothing acknowledged is ever given up."""

import asyncio
import re
from datetime import timedelta

import pytest

from libs.jobs import Jobs
from libs.storage import StorageUnavailable
from services.alerts import worker
from services.alerts.settings import AlertsSettings
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("INT-BR-WH-007", "INT-BR-AP-024@3.2")


def registered():
    jobs = Jobs(None, service="alerts")  # type: ignore[arg-type]
    nothing: worker.Peers = worker.Peers(None, None, None)  # type: ignore[arg-type]
    worker.register(
        jobs,
        None,  # type: ignore[arg-type]
        nothing,
        AlertsSettings(),
        worker.Watchers(lambda changes: None, lambda count: None),
    )
    return jobs


def test_every_task_a_step_defers_is_registered():
    source = "".join(path.read_text() for path in (ROOT / "services" / "alerts").rglob("*.py"))
    names = dict(re.findall(r'^([A-Z]+)(?:, [A-Z]+)* = "([a-z]+)"$', source, re.MULTILINE))
    deferred = {names[word] for word in re.findall(r"work\.defer\(\s*([A-Z]+)", source)}

    tasks = registered().tasks
    assert {"attach", "settle", "investigate", "follow", "patience", "rekey", "tell", "drain"} == deferred
    assert deferred <= tasks.keys()
    assert all(tasks[name].function for name in deferred)


def test_no_task_is_ever_given_up():
    assert {task.retry.attempts for task in registered().tasks.values()} == {None}


def test_the_api_knows_only_the_drain_and_does_not_run_it():
    jobs = Jobs(None, service="alerts")  # type: ignore[arg-type]

    worker.declare(jobs)

    assert list(jobs.tasks) == ["drain"]
    assert jobs.tasks["drain"].function is None
    assert jobs.tasks["drain"].queue == registered().tasks["drain"].queue


@pytest.mark.parametrize(
    "fault", [StorageUnavailable("unreachable", "x", retry_after=timedelta(seconds=1)), ValueError("a bug")]
)
async def test_a_failed_round_of_ageing_is_followed_by_the_next(fault):
    stop = asyncio.Event()
    rounds: list[int] = []

    async def age():
        rounds.append(len(rounds))
        if len(rounds) == 1:
            raise fault
        stop.set()

    async with asyncio.timeout(5):
        await worker._regularly(age, timedelta(0), stop)

    assert rounds == [0, 1]
