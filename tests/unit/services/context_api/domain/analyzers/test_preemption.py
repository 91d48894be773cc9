"""Pods that had to go for more important ones."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import preemption
from tests.support.kube import ago, deployment, event, node, pod, pods_in
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")

STUCK = [
    {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient cpu.",
        "lastTransitionTime": ago(16),
    }
]
WINNER = deployment("trainer", "ml", spec={"priorityClassName": "high"})


def preempted(by: str, waits: bool = True):
    api = (
        deployment("api", replicas=1, statuses=[], node=None, pod_conditions=STUCK)
        if waits
        else deployment("api")
    )
    victim = pod("api-7c9d5b6f8-gone1", owner=api[1])
    return [
        api,
        event(victim, "Preempted", f"Preempted by {by} on node node-1", first=17, last=17),
        node(cpu="1"),
    ]


@pytest.mark.parametrize(
    "by",
    [f"pod {pods_in(WINNER)[0]['metadata']['uid']}", f"ml/{pods_in(WINNER)[0]['metadata']['name']}"],
    ids=["by uid", "by name"],
)
def test_who_took_the_place_is_named(by: str):
    answer = causes(WINNER, preempted(by), target="Deployment/shop/api")

    assert first(answer) == ("Deployment/ml/trainer", "PreemptedOthers")
    assert "priority class high" in answer.ranked[0].text


@pytest.mark.parametrize(
    "objects",
    [preempted("pod unknown-uid"), preempted("ml/trainer-7c9d5b6f8-x2k9d", waits=False)],
    ids=["the winner is gone", "the victim found a place"],
)
def test_a_preemption_that_hurts_nobody_now_is_no_finding(objects):
    assert said(seen(preemption, WINNER, objects)) == []
