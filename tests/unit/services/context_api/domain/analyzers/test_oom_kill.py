"""Kills for memory: seen while crashing, seen when running again, forgotten when old."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import oom_kill
from tests.support.kube import container, crashing, deployment, ended, env, pod, running, thing
from tests.support.triage import said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

LIMITED = {"limits": {"memory": "128Mi"}, "requests": {"memory": "64Mi"}}


def oom(minutes: float = 5):
    return ended(137, "OOMKilled", minutes=minutes)


def test_the_limit_the_container_and_the_restarts_are_told():
    objects = deployment(
        "api",
        containers=[container(resources=LIMITED)],
        statuses=[crashing(code=137, reason="OOMKilled", restarts=4)],
    )

    (found,) = seen(oom_kill, objects)

    assert said([found]) == [("Deployment/shop/api", "OOMKilled")]
    for words in ("container app", "128Mi", "4 restarts", "2 of 2 pods"):
        assert words.lower() in found.text.lower()
    assert found.remediation
    assert "--limits=memory=256Mi" in (found.remediation.command or "")


def test_a_container_killed_minutes_ago_counts_though_it_runs_and_is_ready():
    status = running(minutes=10, restarts=1, last=oom(10))

    assert said(seen(oom_kill, pod("web-0", statuses=[status]))) == [("Pod/shop/web-0", "OOMKilled")]


def test_a_slow_leak_that_kills_every_few_hours_counts_at_any_moment():
    status = running(minutes=150, restarts=8, last=oom(150))

    assert said(seen(oom_kill, pod("web-0", age=60 * 24, statuses=[status]))) == [
        ("Pod/shop/web-0", "OOMKilled")
    ]


def test_a_single_kill_days_ago_is_history():
    status = running(minutes=60 * 48, restarts=1, last=oom(60 * 48))

    assert seen(oom_kill, pod("web-0", age=60 * 72, statuses=[status])) == []


def test_exit_code_137_without_the_kernels_word_is_not_called_out_of_memory():
    assert seen(oom_kill, pod("web-0", statuses=[crashing(code=137, reason="Error")])) == []


def test_init_and_sidecar_containers_are_looked_at():
    broken = pod("web-0", spec={"initContainers": [container("load", resources=LIMITED)]})
    broken["status"]["initContainerStatuses"] = [crashing("load", 137, reason="OOMKilled")]

    assert "Init container load" in seen(oom_kill, broken)[0].text


def test_a_heap_setting_larger_than_the_limit_is_pointed_out():
    java = container(resources={"limits": {"memory": "512Mi"}}, env=env(JAVA_OPTS="-Xmx1g -XX:+UseG1GC"))

    (found,) = seen(
        oom_kill, pod("web-0", containers=[java], statuses=[crashing(code=137, reason="OOMKilled")])
    )

    assert "-Xmx1g" in found.text
    assert "1Gi" in found.text


def test_a_rollout_that_lowered_the_limit_is_told_with_both_values():
    old = container(resources={"limits": {"memory": "1Gi"}})
    new = container(resources={"limits": {"memory": "128Mi"}})

    (found,) = seen(
        oom_kill,
        deployment(
            "api",
            containers=[new],
            before=[old],
            rolled_out=20,
            statuses=[crashing(code=137, reason="OOMKilled")],
        ),
    )

    assert "`1Gi` → `128Mi`" in found.text


def test_without_a_limit_the_node_is_what_ran_out():
    (found,) = seen(oom_kill, pod("web-0", statuses=[crashing(code=137, reason="OOMKilled")]))

    assert "no memory limit" in found.text


@pytest.mark.parametrize("done", [True, False], ids=["done at the second try", "not done yet"])
def test_a_try_that_was_killed_counts_until_its_job_is_done(done: bool):
    state = [{"type": "Complete", "status": "True"}] if done else []
    job = thing("Job", "fill", api="batch/v1", age=30, status={"conditions": state, "failed": 1})
    first_try = pod(
        "fill-x2k9d", owner=job, age=30, phase="Failed", spec={"restartPolicy": "Never"},
        statuses=[{"name": "app", "ready": False, "restartCount": 0, "state": {"terminated": oom(20)}}],
    )  # fmt: skip

    assert bool(seen(oom_kill, job, first_try)) is not done
