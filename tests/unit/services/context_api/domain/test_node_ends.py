"""When what runs on a node ended last."""

from __future__ import annotations

import pytest

from services.context_api.domain.graph import Graph
from services.context_api.domain.node_ends import NodeEnds
from tests.support.kube import deployment, ended, moment, pod, running, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-001")

AGAIN = [running(minutes=30, restarts=1, last=ended(255, "Unknown", minutes=30))]


def test_the_last_ends_of_a_nodes_containers_stand_by_workload_and_are_read_once():
    graph = Graph(
        snapshot(
            deployment("api", statuses=AGAIN),
            pod("steady", node="node-1"),
            pod("other", node="node-2", statuses=AGAIN),
        )
    )
    ends = NodeEnds(graph)

    assert {top.name: list(times) for top, times in ends.on("node-1")} == {
        "api": [moment(30)] * 2,
        "steady": [],
    }
    assert ends.on("node-1") is ends.on("node-1")
    assert list(ends.on("")) == []
