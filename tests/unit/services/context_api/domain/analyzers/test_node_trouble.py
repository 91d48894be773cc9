"""Nodes that fail or are under pressure, and evictions."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.analyzers import node_trouble
from services.context_api.domain.analyzers.node_trouble import evicted
from services.context_api.domain.scene import Scene
from tests.support.kube import Doc, ago, crashing, deployment, node, pod, snapshot, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def test_a_silent_node_is_told_and_explains_the_pods_on_it():
    objects = deployment(
        "api", statuses=[{**crashing(), "state": {"running": {"startedAt": ago(100)}}, "lastState": {}}]
    )

    answer = causes(objects, node(ready="Unknown", since=25), target="Deployment/shop/api")

    assert first(answer) == ("Node/_cluster/node-1", "NodeNotReady")
    assert "stopped reporting" in answer.ranked[0].text


def test_pressure_is_told_and_a_cordoned_ready_node_is_not():
    pressed = node(
        "a",
        conditions=[
            {
                "type": "DiskPressure",
                "status": "True",
                "reason": "KubeletHasDiskPressure",
                "lastTransitionTime": ago(9),
            }
        ],
    )

    assert said(seen(node_trouble, pressed, node("b", unschedulable=True))) == [
        ("Node/_cluster/a", "NodeDiskPressure")
    ]


def test_recent_evictions_are_told_with_the_resource_and_old_ones_are_not():
    message = "The node was low on resource: ephemeral-storage. Container app was using 9Gi, request is 0."
    one = pod(
        "web-0",
        phase="Failed",
        statuses=[],
        conditions=[{"type": "Ready", "status": "False", "lastTransitionTime": ago(10)}],
    )
    one["status"].update(reason="Evicted", message=message)
    old = pod(
        "old-0",
        phase="Failed",
        statuses=[],
        conditions=[{"type": "Ready", "status": "False", "lastTransitionTime": ago(900)}],
    )
    old["status"].update(reason="Evicted", message=message)

    (found,) = seen(node_trouble, one, old)

    assert said([found]) == [("Pod/shop/web-0", "Evicted")]
    assert "low on ephemeral-storage" in found.text


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        ("KernelDeadlock", "True", True),
        ("FrequentKubeletRestart", "True", True),
        ("CorruptDockerOverlay2", "True", True),
        ("KubeletProblem", "True", True),
        ("KubeletProblem", "False", False),
        ("EtcdIsVoter", "True", False),
    ],
)
def test_conditions_of_a_problem_detector_are_told_and_good_news_is_not(kind: str, status: str, told: bool):
    machine = node(
        conditions=[{"type": kind, "status": status, "reason": "R", "lastTransitionTime": ago(30)}]
    )

    assert bool(seen(node_trouble, machine)) is told


@pytest.mark.parametrize("odd", ["", "?"])
def test_a_condition_nobody_can_read_is_no_failing_node(odd: str):
    assert seen(node_trouble, node(ready=odd)) == []


@pytest.mark.parametrize(
    "message",
    [
        'Container app exceeded its local ephemeral storage limit "2Gi". ',
        "Pod ephemeral local storage usage exceeds the total limit of containers 2Gi. ",
        'Usage of EmptyDir volume "scratch" exceeds the limit "500Mi". ',
    ],
)
def test_a_pod_evicted_for_its_own_limit_is_not_its_nodes_doing(message: str):
    one = pod("web-0", phase="Failed", statuses=[], conditions=[{"type": "DisruptionTarget", "status": "True", "lastTransitionTime": ago(10)}])  # fmt: skip
    one["status"].update(reason="Evicted", message=message)

    found = seen(node_trouble, one, node())

    assert said(found) == [("Pod/shop/web-0", "EvictedOverLimit")]
    assert found[0].blames == ()
    assert message.strip() in found[0].text


LOW = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 60Mi."


def well(since: float = 42, status: str = "False") -> Doc:
    """A node whose pressure turned then."""
    return node(conditions=[{"type": "MemoryPressure", "status": status, "lastTransitionTime": ago(since)}])


def gone(owner: Doc, minutes: float = 45, message: str = LOW) -> Doc:
    state = [{"type": "DisruptionTarget", "status": "True", "lastTransitionTime": ago(minutes)}]
    one = pod("web-x", phase="Failed", statuses=[], owner=owner, conditions=state)
    one["status"].update(reason="Evicted", message=message)
    return one


WEB = deployment("web")
SET = next(o for o in WEB if o["kind"] == "ReplicaSet")
FEWER = deployment("web", pods=1)


def job(owner: Doc | None = None, **status: Any) -> Doc:
    return thing("Job", "count", api="batch/v1", owner=owner, spec={}, status=status)


CRON = thing("CronJob", "count", api="batch/v1", spec={"schedule": "0 * * * *"})
COMPLETE: dict[str, Any] = {
    "conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": ago(35)}]
}
FAILED: dict[str, Any] = {"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": ago(35)}]}


def agents(ready: int) -> tuple[list[Doc], Doc]:
    """A DaemonSet of three nodes of which so many are ready, two of its pods, and a pod that was evicted."""
    top = thing(
        "DaemonSet",
        "agent",
        api="apps/v1",
        spec={},
        status={"desiredNumberScheduled": 3, "numberReady": ready},
    )
    return [top, *(pod(f"agent-{n}", owner=top) for n in range(2))], gone(top)


@pytest.mark.parametrize(
    "objects",
    [
        (WEB, gone(SET), well()),
        (job(**COMPLETE), gone(job(**COMPLETE)), well()),
        (CRON, job(CRON, **COMPLETE), gone(job(CRON, **COMPLETE)), well()),
        (*agents(3), well()),
    ],
    ids=[
        "replaced since",
        "a job that is complete",
        "a run of a schedule that is complete",
        "an agent of every node",
    ],
)
def test_evictions_of_whoever_has_long_been_well_again_on_a_node_that_is_are_over(objects):
    scene = Scene(snapshot(objects))

    assert evicted(scene) == []
    assert seen(node_trouble, objects) == []


@pytest.mark.parametrize(
    "objects",
    [
        (WEB, gone(SET, message='Usage of EmptyDir volume "scratch" exceeds the limit "500Mi". '), well()),
        (WEB, gone(SET), well(status="True")),
        (WEB, gone(SET), well(since=12)),
        (WEB, gone(SET, minutes=20), well(since=31)),
        (WEB, gone(SET), node()),
        (FEWER, gone(SET), well()),
        (job(), gone(job()), well()),
        (job(**FAILED), gone(job(**FAILED)), well()),
        (CRON, job(CRON), gone(job(CRON)), well()),
        (*agents(2), well()),
    ],
    ids=[
        "for a limit of its own", "the node is under pressure again", "or was a moment ago", "evicted a moment ago", "the node says nothing",
        "fewer than wanted", "a job that goes on", "a job that failed", "a run that goes on", "an agent less than nodes",
    ],
)  # fmt: skip
def test_evictions_that_are_not_over_are_kept(objects):
    assert [p.name for p in evicted(Scene(snapshot(objects)))] == ["web-x"]
