"""Nodes that fail or are under pressure, and evictions."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import node_trouble
from tests.support.kube import ago, crashing, deployment, node, pod
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
