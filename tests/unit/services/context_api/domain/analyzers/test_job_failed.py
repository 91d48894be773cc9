"""Failed jobs, and failures that were made good."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.analyzers import job_failed
from tests.support.kube import Doc, ago, container, ended, log, pod, thing
from tests.support.triage import said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def job(name: str = "report", minutes: float = 30, owner: Doc | None = None, failed: bool = True) -> Doc:
    state = {
        "type": "Failed" if failed else "Complete",
        "status": "True",
        "reason": "BackoffLimitExceeded",
        "message": "Job has reached the specified backoff limit",
        "lastTransitionTime": ago(minutes),
    }
    return thing(
        "Job",
        name,
        api="batch/v1",
        owner=owner,
        age=minutes + 5,
        spec={"template": {"spec": {"containers": [container()]}}},
        status={"startTime": ago(minutes + 5), "conditions": [state]},
    )


def test_a_failed_job_is_told_with_its_pods_last_words():
    made = job()
    status = {"name": "app", "ready": False, "restartCount": 0, "state": {"terminated": ended(3)}}
    broken = pod("report-x", owner=made, phase="Failed", statuses=[status], spec={"restartPolicy": "Never"})

    (found,) = seen(job_failed, made, broken, logs=[log(broken, "ERROR: table `orders_old` does not exist")])

    assert said([found]) == [("Job/shop/report", "JobFailed")]
    for words in ("BackoffLimitExceeded", "exit code 3", "orders_old"):
        assert words in found.text


def test_a_cron_jobs_failure_that_a_newer_job_made_good_is_history():
    cron = thing(
        "CronJob",
        "report",
        api="batch/v1",
        spec={
            "schedule": "0 * * * *",
            "jobTemplate": {"spec": {"template": {"spec": {"containers": [container()]}}}},
        },
    )

    assert seen(job_failed, cron, job("report-1", 90, cron), job("report-2", 30, cron, failed=False)) == []
    assert said(
        seen(job_failed, cron, job("report-1", 90, cron, failed=False), job("report-2", 30, cron))
    ) == [("CronJob/shop/report", "JobFailed")]


def test_a_completed_job_is_no_finding():
    assert seen(job_failed, job(failed=False)) == []


def again(name: str, minutes: float, **spec: Any) -> Doc:
    """A later job that went well."""
    made = job(name, minutes, failed=False)
    made["status"]["completionTime"] = ago(minutes)
    made["spec"] = {"template": {"spec": {"containers": [container(**spec)]}}}
    return made


def test_a_job_whose_work_another_has_done_since_is_history():
    newer = again("report-by-hand", 10, image="registry.example/app:1.1")

    assert seen(job_failed, job(), newer) == []


@pytest.mark.parametrize(
    "other",
    [
        again("report-by-hand", 50),
        again("report-by-hand", 10, args=["--month=october"]),
        again("report-by-hand", 10, image="registry.example/other:1.0"),
    ],
    ids=["before it", "of another month", "of another program"],
)
def test_a_job_that_has_done_something_else_makes_up_for_nothing(other: Doc):
    assert said(seen(job_failed, job(), other)) == [("Job/shop/report", "JobFailed")]
