"""Cron jobs that do not start their jobs."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import cron_job
from tests.support.kube import ago, event, thing
from tests.support.triage import said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def cron(**more):
    status = more.pop("status", {})
    return thing(
        "CronJob",
        "report",
        api="batch/v1",
        spec={"schedule": "*/5 * * * *", "jobTemplate": {}, **more},
        status=status,
    )


def test_a_schedule_that_cannot_be_read_is_told():
    one = cron(schedule="61 * * * *")

    (found,) = seen(
        cron_job,
        one,
        event(one, "UnparseableSchedule", "unparseable schedule: end of range (61) above maximum (59)"),
    )

    assert said([found]) == [("CronJob/shop/report", "ScheduleNotReadable")]
    assert "61 * * * *" in found.text


def test_a_job_that_never_ends_and_blocks_the_next_is_named():
    one = cron(concurrencyPolicy="Forbid", status={"active": [{"name": "report-1"}]})
    job = thing("Job", "report-1", api="batch/v1", owner=one, age=300, spec={}, status={"active": 1})

    (found,) = seen(
        cron_job,
        one,
        job,
        event(
            one,
            "JobAlreadyActive",
            "Not starting job because prior execution is running and concurrency policy is Forbid",
            type_="Normal",
        ),
    )

    assert found.reason == "BlockedByActiveJob"
    assert "report-1" in found.text
    assert "5 h" in found.text


@pytest.mark.parametrize(
    "one",
    [cron(suspend=True), cron(), cron(concurrencyPolicy="Forbid", status={"active": [{"name": "report-1"}]})],
)
def test_suspended_idle_and_busy_cron_jobs_are_no_findings(one):
    old = event(one, "UnparseableSchedule", "x", first=900, last=900)

    assert seen(cron_job, one, old) == []


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ("61 * * * *", "ScheduleNotReadable"),
        ("0 0 31 2 *", "ScheduleNeverFires"),
        ("@dayly", "ScheduleNotReadable"),
    ],
)
def test_a_schedule_that_starts_nothing_needs_no_event_to_be_told(schedule: str, reason: str):
    assert said(seen(cron_job, cron(schedule=schedule))) == [("CronJob/shop/report", reason)]


def test_a_deadline_shorter_than_the_controllers_round_is_latent():
    (found,) = seen(cron_job, cron(startingDeadlineSeconds=5))

    assert found.reason == "StartingDeadlineTooShort"
    assert found.latent
    assert seen(cron_job, cron(startingDeadlineSeconds=200)) == []


MISSED = ("MissSchedule", "Missed scheduled time to start a job: Wed, 18 Nov 2026 08:30:00 +0000")


def test_a_start_that_was_missed_is_over_when_a_run_was_started_since():
    late, again = cron(status={"lastScheduleTime": ago(70)}), cron(status={"lastScheduleTime": ago(5)})

    assert said(seen(cron_job, late, event(late, *MISSED, first=60, last=60))) == [
        ("CronJob/shop/report", "StartMissed")
    ]
    assert seen(cron_job, again, event(again, *MISSED, first=60, last=60)) == []


@pytest.mark.parametrize(("usual", "blocked"), [(290, False), (30, True)], ids=["as long", "far shorter"])
def test_a_run_that_keeps_the_next_waiting_is_a_fault_where_others_took_far_less(usual: float, blocked: bool):
    one = cron(concurrencyPolicy="Forbid", status={"active": [{"name": "report-2"}]})
    job = thing("Job", "report-2", api="batch/v1", owner=one, age=300, spec={}, status={"active": 1})
    done = {"startTime": ago(900), "completionTime": ago(900 - usual)}
    before = thing("Job", "report-1", api="batch/v1", owner=one, age=900, spec={}, status=done)
    refused = event(one, "JobAlreadyActive", "prior execution is running", type_="Normal")

    assert bool(seen(cron_job, one, job, before, refused)) is blocked
