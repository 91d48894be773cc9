"""Which failed runs are history, and which still say how things are."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.context_api.domain.analyzers import unhealthy_condition
from services.context_api.domain.runs import longest_run
from services.context_api.domain.scene import Scene
from tests.support.kube import Doc, ago, snapshot, thing
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


def test_the_longest_run_is_that_of_the_cron_jobs_own_that_went_well():
    cron = thing("CronJob", "report", api="batch/v1", spec={"jobTemplate": {}})

    def job(name: str, began: float, done: float | None) -> Doc:
        status = {"startTime": ago(began), **({"completionTime": ago(done)} if done is not None else {})}
        return thing("Job", name, api="batch/v1", owner=cron, age=began, status=status)

    other = thing("Job", "by-hand", api="batch/v1", status={"startTime": ago(900), "completionTime": ago(1)})
    scene = Scene(snapshot(cron, job("a", 300, 260), job("b", 200, 170), job("c", 100, None), other))
    top, newest = scene.graph.get("CronJob", "shop", "report"), scene.graph.get("Job", "shop", "a")
    assert top

    assert longest_run(scene, top, None) == timedelta(minutes=40)
    assert longest_run(scene, top, newest) == timedelta(minutes=30)
