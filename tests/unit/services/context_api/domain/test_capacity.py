"""What nodes have left."""

from __future__ import annotations

import pytest

from services.context_api.domain.capacity import VOLUMES, Capacity, requests_of, volumes_of
from services.context_api.domain.graph import Graph
from tests.support.kube import container, node, pod, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


def asks(cpu: str, **more):
    return container(resources={"requests": {"cpu": cpu}}, **more)


def test_a_pod_asks_for_its_containers_together_or_for_its_largest_init_container():
    assert requests_of({"containers": [asks("1"), asks("500m")], "initContainers": [asks("1")]}) == {
        "cpu": 1.5
    }
    assert requests_of({"containers": [asks("1")], "initContainers": [asks("4"), asks("3")]}) == {"cpu": 4.0}
    assert requests_of(None) == {}


def test_the_roomiest_open_node_is_found_by_what_its_pods_ask_for():
    nodes = [node("a", cpu="4"), node("b", cpu="8"), node("closed", cpu="64", unschedulable=True)]
    pods = [
        pod("x", containers=[asks("1")], node="a"),
        pod("y", containers=[asks("6")], node="b"),
        pod("failed", containers=[asks("2")], node="a", phase="Failed"),
        pod("done", containers=[asks("2")], node="a", phase="Succeeded"),
    ]

    capacity = Capacity(Graph(snapshot(nodes, pods)))

    assert capacity.roomiest("cpu") == ("a", 3.0, 4.0)
    assert capacity.left("cpu") == {"a": 3.0, "b": 2.0}
    assert capacity.left("example.com/gpu") == {}


def test_without_nodes_nothing_is_known():
    assert Capacity(Graph(snapshot())).roomiest("cpu") is None


def test_a_drivers_volumes_are_a_resource_of_the_nodes_that_say_how_many_they_take():
    def uses(name: str, claim: str, **more):
        return pod(
            name, spec={"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": claim}}]}, **more
        )

    def claim(name: str, volume: str = ""):
        spec = {"volumeName": volume, "storageClassName": "block"}
        return thing("PersistentVolumeClaim", name, spec=spec)

    bound = thing("PersistentVolume", "v", None, spec={"csi": {"driver": "disk"}})
    block = thing("StorageClass", "block", None, provisioner="disk")
    limits = thing("CSINode", "a", None, spec={"drivers": [{"name": "disk", "allocatable": {"count": 3}}]})
    pods = [uses("x", "one", node="a"), uses("y", "one", node="a"), uses("z", "two", node="a"),
            uses("done", "three", node="a", phase="Succeeded"), uses("waits", "three", node=None)]  # fmt: skip
    objects = [
        bound,
        block,
        limits,
        node("a"),
        node("b"),
        claim("one", "v"),
        claim("two"),
        claim("three"),
        pods,
    ]
    graph = Graph(snapshot(*objects))

    assert Capacity(graph).left(f"{VOLUMES}disk") == {"a": 1.0}
    assert volumes_of(graph, graph.pods[0]) == {f"{VOLUMES}disk": frozenset({"shop/three"})}
