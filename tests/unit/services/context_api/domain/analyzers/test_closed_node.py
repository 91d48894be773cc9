"""Nodes somebody closed before pods found no place."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import closed_node
from tests.support.kube import ago, deployment, edit, node
from tests.support.triage import causes, first

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def test_a_cordoned_node_is_the_cause_of_pods_that_find_no_place():
    state = [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 node(s) were unschedulable.",
            "lastTransitionTime": ago(10),
        }
    ]
    objects = deployment("api", replicas=1, node=None, statuses=[], pod_conditions=state)

    answer = causes(
        objects,
        node(unschedulable=True, edits=[edit(30, "spec/unschedulable", by="kubectl-cordon")]),
        target="Deployment/shop/api",
    )

    assert first(answer) == ("Node/_cluster/node-1", "NodeCordoned")
    assert closed_node.NAME == "closed_node"
