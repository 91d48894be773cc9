"""What analyzers are given."""

from __future__ import annotations

import pytest

from services.context_api.domain.graph import Graph
from services.context_api.domain.scene import Scene
from tests.support.kube import NOW, deployment, moment, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-008")


def test_now_is_when_the_snapshot_was_taken_and_slow_readings_are_made_once():
    scene = Scene(snapshot(deployment("api")), onset=moment(5))

    assert scene.now == NOW
    assert scene.onset == moment(5)
    assert scene.deps is scene.deps
    assert scene.needs is scene.needs
    assert scene.rollouts is scene.rollouts
    assert scene.capacity is scene.capacity
    assert scene.work is scene.work
    assert scene.node_ends is scene.node_ends


def test_a_graph_that_is_already_built_is_used():
    frozen = snapshot(deployment("api"))
    graph = Graph(frozen)

    assert Scene(frozen, graph=graph).graph is graph
