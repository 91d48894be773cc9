"""The graph around an object."""

from __future__ import annotations

import pytest

from libs.contracts.context import Topology
from libs.contracts.target import Target
from services.context_api.domain import topology as module
from services.context_api.domain.topology import topology
from services.context_api.domain.triage import judge
from tests.support.kube import config_map, container, crashing, deployment, env, service, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "HAPI-BR-CONTEXT-001")

WEB = deployment("web", containers=[container(env=env(API="http://api:80"))])
SPEC = {"volumes": [{"name": "c", "configMap": {"name": "api-conf"}}]}
API = deployment("api", statuses=[crashing()], spec=SPEC)
OBJECTS = (WEB, API, service("api", ready=0), config_map("api-conf", data={"a": "b"}))


def around(depth: int, name: str = "web") -> Topology:
    target = Target(api_version="apps/v1", kind="Deployment", namespace="shop", name=name)
    return topology(judge(snapshot(*OBJECTS), target=target), target, depth=depth)


def test_each_object_stands_at_its_distance_with_what_is_wrong_with_it():
    nodes = {node.id: node for node in around(3).nodes}

    assert nodes["Deployment/shop/web"].distance == 0
    assert nodes["Service/shop/api"].distance == 1
    assert nodes["Deployment/shop/api"].distance == 2
    assert nodes["ConfigMap/shop/api-conf"].distance == 3
    assert "CrashLoopBackOff" in nodes["Deployment/shop/api"].findings


def test_edges_lead_only_to_what_is_shown_and_what_is_farther_is_said():
    near = around(1)

    shown = {node.id for node in near.nodes}
    assert {edge.target for edge in near.edges} <= shown
    assert "Deployment/shop/api" not in shown
    assert near.cut is not None
    assert "1 step" in near.cut
    assert around(6).cut is None


def test_a_crowd_is_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MOST_NODES", 3)

    crowded = around(6)

    assert len(crowded.nodes) == 3
    assert crowded.cut


def test_what_is_not_recorded_has_no_graph():
    empty = around(3, "nobody")

    assert (empty.nodes, empty.edges) == ([], [])
    assert any("nobody" in gap for gap in empty.not_looked_at)
