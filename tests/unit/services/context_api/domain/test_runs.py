"""Which failed runs are history, and which still say how things are."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.context_api.domain.analyzers import unhealthy_condition
from services.context_api.domain.runs import done_since, usual_run
from services.context_api.domain.scene import Scene
from tests.support.kube import Doc, ago, container, deployment, moment, pod, snapshot, thing
from tests.support.triage import said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-009")


def run(
    name: str, minutes: float, *, good: bool = False, owner: Doc | None = None, ended: bool = True
) -> Doc:
    state = {"type": "Succeeded", "status": str(good), "reason": "Completed" if good else "Failed", "message": "step copy: exit code 2", "lastTransitionTime": ago(minutes)}  # fmt: skip
    status = {"conditions": [state], **({"completionTime": ago(minutes)} if ended else {})}
    return thing("PipelineRun", name, api="tekton.dev/v1", owner=owner, age=minutes + 5, status=status)


def told(*runs: Doc) -> list[str]:
    return [about for about, _ in said(seen(unhealthy_condition, *runs))]


def test_a_failed_run_is_told_until_another_of_its_name_has_ended_well():
    assert told(run("publish-7", 40)) == ["PipelineRun/shop/publish-7"]
    assert told(run("publish-7", 40), run("publish-8", 20, good=True)) == []
    assert told(run("publish-x7k2b", 40), run("publish-q9v4d", 20, good=True)) == []


@pytest.mark.parametrize(
    "other",
    [
        run("publish-6", 90, good=True),
        run("deploy-8", 20, good=True),
        run("publish-8", 20, good=True, ended=False),
    ],
    ids=["an earlier one", "another's", "one that goes on"],
)
def test_what_does_not_make_up_for_it_leaves_it_told(other: Doc):
    assert "PipelineRun/shop/publish-7" in told(run("publish-7", 40), other)


def test_a_run_that_failed_long_ago_is_history_but_for_the_newest_of_a_schedule():
    daily = thing("CronPipeline", "daily", api="tekton.dev/v1", spec={"schedule": "0 2 * * *"})

    assert told(run("publish-7", 60 * 9)) == []
    assert told(daily, run("daily-7", 60 * 9, owner=daily)) == ["CronPipeline/shop/daily"]


def test_a_usual_run_is_the_median_of_the_cron_jobs_own_that_went_well():
    cron = thing("CronJob", "report", api="batch/v1", spec={"jobTemplate": {}})

    def job(name: str, began: float, done: float | None) -> Doc:
        status = {"startTime": ago(began), **({"completionTime": ago(done)} if done is not None else {})}
        return thing("Job", name, api="batch/v1", owner=cron, age=began, status=status)

    other = thing("Job", "by-hand", api="batch/v1", status={"startTime": ago(900), "completionTime": ago(1)})
    own = [job("a", 800, 300), job("b", 300, 260), job("c", 200, 170), job("d", 100, None)]
    scene = Scene(snapshot(cron, own, other))
    top, hung = scene.graph.get("CronJob", "shop", "report"), scene.graph.get("Job", "shop", "a")
    assert top

    assert usual_run(scene, top, None) == timedelta(minutes=40)
    assert usual_run(scene, top, hung) == timedelta(minutes=35)
    assert usual_run(Scene(snapshot(cron)), top, None) is None


@pytest.mark.parametrize(
    ("about", "made_up_for"),
    [(None, True), ("Deployment/api", True), ("Job/report", False), ("Pod/report-x", False)],
    ids=["nobody's alert", "another's", "about the job", "about its pod"],
)
def test_work_that_was_done_since_is_no_excuse_where_the_alert_is_about_the_job(about: str | None, made_up_for: bool):  # fmt: skip
    spec = {"template": {"spec": {"containers": [container()]}}}
    failed = thing("Job", "report", api="batch/v1", age=40, spec=spec)
    by_hand = thing("Job", "by-hand", api="batch/v1", age=20, spec=spec, status={"completionTime": ago(10)})
    frozen = snapshot(failed, pod("report-x", owner=failed, phase="Failed"), by_hand, deployment("api"))
    kind, _, name = (about or "").partition("/")
    scene = Scene(frozen, target=Scene(frozen).graph.get(kind, "shop", name))
    job = scene.graph.get("Job", "shop", "report")
    assert job

    assert done_since(scene, job, moment(30)) is made_up_for
    assert not done_since(scene, job, moment(5))
    assert not done_since(scene, job, None)
