"""Pods a kubelet would not take."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import node_refused
from tests.support.kube import Doc, ago, deployment, node, pod, running
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def refused(
    reason: str = "OutOfcpu", *, minutes: float = 10, ready: bool = True, replicas: int = 1
) -> list[Doc]:
    objects = deployment("api", replicas=replicas, statuses=None if ready else [running(ready=False)])
    gone = pod("api-7c9d5b6f8-zzzzz", owner=objects[1], phase="Failed", statuses=[], age=minutes)
    gone["status"].update(
        reason=reason, message="Pod was rejected: Node didn't have enough resource: cpu, requested: 900, used: 3800, capacity: 4000", startTime=ago(minutes)
    )  # fmt: skip
    return [*objects, gone]


@pytest.mark.parametrize(
    "reason", ["OutOfcpu", "OutOfephemeral-storage", "UnexpectedAdmissionError", "TopologyAffinityError"]
)
def test_the_kubelets_refusal_is_the_cause_while_pods_lack(reason: str):
    answer = causes(refused(reason, ready=False), node(), target="Deployment/shop/api")

    assert first(answer) == ("Deployment/shop/api", "RefusedByNode")
    for words in (reason, "node-1", "requested: 900"):
        assert words in answer.ranked[0].text


def test_while_the_others_are_ready_it_is_latent():
    assert [o.latent for o in seen(node_refused, refused())] == [True]


@pytest.mark.parametrize(
    "objects",
    [refused("Evicted"), refused("Error"), refused(minutes=300), deployment("api")],
    ids=["evicted", "ended by itself", "long ago", "none"],
)
def test_other_failures_and_old_ones_are_no_refusals(objects):
    assert said(seen(node_refused, objects)) == []
