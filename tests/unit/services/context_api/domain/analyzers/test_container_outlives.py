"""Jobs that another container keeps from completing."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.analyzers import container_outlives
from tests.support.kube import Doc, ago, applied, container, crashing, edit, event, pod, running, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def finished(name: str, minutes: float, code: int = 0) -> Doc:
    end = {"exitCode": code, "reason": "Completed", "startedAt": ago(minutes + 1), "finishedAt": ago(minutes)}
    return {"name": name, "ready": False, "restartCount": 0, "state": {"terminated": end}}


def cron(**more: Any) -> Doc:
    return thing(
        "CronJob", "export", api="batch/v1", age=60 * 24 * 9,
        spec={"schedule": "*/15 * * * *", "concurrencyPolicy": "Forbid", "jobTemplate": {}},
        status={"active": [{"name": "export-2"}]}, **more,
    )  # fmt: skip


def run(top: Doc, statuses: list[Doc], *, conditions: list[Doc] | None = None) -> list[Doc]:
    job = thing("Job", "export-2", api="batch/v1", owner=top, age=120, spec={}, status={"active": 1, "startTime": ago(120), "conditions": conditions or []})  # fmt: skip
    names = [container(s["name"]) for s in statuses]
    return [job, pod("export-2-x", owner=job, age=120, containers=names, statuses=statuses)]


def earlier(top: Doc, minutes: float = 2) -> Doc:
    complete = [{"type": "Complete", "status": "True"}]
    return thing("Job", "export-1", api="batch/v1", owner=top, age=300, spec={},
                 status={"startTime": ago(300), "completionTime": ago(300 - minutes), "conditions": complete})  # fmt: skip


OVER = [finished("export", 110), running("proxy", minutes=119)]
REFUSED = "Not starting job because prior execution is running and concurrency policy is Forbid"


def test_a_proxy_that_runs_on_after_the_work_is_why_no_further_run_starts():
    top = cron(
        edits=[edit(130, "spec/jobTemplate/spec/template/spec/containers")],
        annotations=applied({"spec": {"schedule": "*/15 * * * *"}}),
    )
    refused = event(top, "JobAlreadyActive", REFUSED, type_="Normal")

    answer = causes(top, run(top, OVER), earlier(top), refused, target="CronJob/shop/export")

    assert first(answer) == ("CronJob/shop/export", "ContainerOutlivesWork")
    for words in (
        "container export ended well",
        "container proxy beside it",
        "a usual earlier run took 2 min",
        "Forbid",
        "edited",
    ):
        assert words in answer.ranked[0].text


def test_a_run_far_longer_than_those_before_needs_no_word_of_the_controller():
    top = cron()

    (sure,) = seen(container_outlives, top, run(top, OVER), earlier(top))
    (unsure,) = seen(container_outlives, top, run(top, OVER), earlier(top, minutes=100))

    assert sure.certainty > unsure.certainty
    assert (sure.latent, unsure.latent) == (False, True)


def test_a_job_of_its_own_is_told_by_itself():
    top = thing("Job", "load", api="batch/v1", age=120, spec={}, status={"active": 1, "startTime": ago(120)})
    states = [container(s["name"]) for s in OVER]

    found = seen(container_outlives, top, pod("load-x", owner=top, containers=states, statuses=OVER))

    assert said(found) == [("Job/shop/load", "ContainerOutlivesWork")]


@pytest.mark.parametrize(
    ("statuses", "conditions"),
    [
        ([running("export"), running("proxy")], None),
        ([finished("export", 110, code=1), running("proxy")], None),
        ([finished("export", 1), running("proxy")], None),
        ([finished("export", 110), finished("proxy", 109)], None),
        (OVER, [{"type": "Complete", "status": "True"}]),
        ([crashing("export"), running("proxy")], None),
    ],
    ids=["both work", "the work failed", "it ended just now", "both ended", "the job is complete", "it waits to run again"],
)  # fmt: skip
def test_a_job_at_work_or_done_is_no_finding(statuses: list[Doc], conditions: list[Doc] | None):
    top = cron()

    assert seen(container_outlives, top, run(top, statuses, conditions=conditions)) == []


def test_a_run_that_takes_no_longer_than_one_before_is_at_work():
    top = cron()

    assert seen(container_outlives, top, run(top, OVER), earlier(top, minutes=140)) == []
