"""Owners, pods of a workload, pods behind a Service, versions of one object."""

from __future__ import annotations

import pytest

from services.context_api.domain.graph import Graph
from tests.support.kube import (
    config_map,
    crashing,
    deployment,
    kube,
    pod,
    pods_in,
    service,
    snapshot,
    stateful_set,
    thing,
)

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008")


def graph(*objects) -> Graph:
    return Graph(snapshot(*objects))


def named(objects) -> list[str]:
    return sorted(str(o) for o in objects)


def test_a_pods_top_owner_is_its_deployment_also_when_the_replica_set_was_not_recorded():
    objects = deployment("api")
    whole, without = graph(objects), graph([o for o in objects if o["kind"] != "ReplicaSet"])

    for one in (whole, without):
        assert {str(one.top(p)) for p in one.pods} == {"Deployment/shop/api"}


def test_an_owner_that_is_not_recorded_leaves_the_pod_on_its_own():
    lone = pods_in(stateful_set("db"))

    assert named(graph(lone).workloads) == ["Pod/shop-data/db-0"]


def test_a_custom_resource_is_the_top_and_the_set_below_it_the_workload():
    owner = thing("Cluster", "db", "shop-data", api="postgresql.cnpg.io/v1")
    one = graph(owner, stateful_set("db", owner=owner))
    found = one.get("Pod", "shop-data", "db-0")

    assert found
    assert str(one.top(found)) == "Cluster/shop-data/db"
    assert str(one.workload(found)) == "StatefulSet/shop-data/db"
    assert named(one.pods_of(one.top(found))) == ["Pod/shop-data/db-0"]
    assert named(one.workloads_of(one.top(found))) == ["StatefulSet/shop-data/db"]


def test_a_node_does_not_own_what_a_person_would_change():
    one = graph(thing("Node", "n1", None), pod("etcd-n1", "kube-system", owner=thing("Node", "n1", None)))

    assert named(one.workloads) == ["Pod/kube-system/etcd-n1"]


def test_selection_needs_every_label_and_an_empty_selector_selects_nothing():
    one = graph(
        deployment("api", labels={"app": "api", "tier": "web"}),
        deployment("web", labels={"app": "web", "tier": "web"}),
    )

    assert len(one.pods_with("shop", {"tier": "web"})) == 4
    assert len(one.pods_with("shop", {"tier": "web", "app": "api"})) == 2
    assert one.pods_with("shop", {}) == []
    assert one.pods_with("elsewhere", {"tier": "web"}) == []
    assert named(one.workloads_with("shop", {"app": "web"})) == ["Deployment/shop/web"]


def test_behind_a_service_stand_the_owners_of_its_pods_even_without_pods():
    objects = service("api")

    assert named(graph(deployment("api"), objects).behind(kube(objects[0]))) == ["Deployment/shop/api"]
    assert named(graph(deployment("api", replicas=0), objects).behind(kube(objects[0]))) == [
        "Deployment/shop/api"
    ]


@pytest.mark.parametrize(
    ("objects", "ready", "not_ready", "recorded"),
    [
        (service("api", ready=2, not_ready=1), 2, 1, True),
        (
            [
                *service("api"),
                thing("Endpoints", "api", subsets=[{"addresses": [{}, {}], "notReadyAddresses": None}]),
            ],
            2,
            0,
            True,
        ),
        ([*service("api"), *deployment("api", statuses=[crashing()])], 0, 2, False),
        (
            [*service("api"), *deployment("api"), thing("Endpoints", "api", subsets=[{"addresses": "two"}])],
            2,
            0,
            False,
        ),
    ],
    ids=["slices", "endpoints", "pods alone", "endpoints that nobody can read"],
)
def test_endpoints_come_from_the_best_source_recorded(objects, ready: int, not_ready: int, recorded: bool):
    one = graph(objects)
    found = one.get("Service", "shop", "api")

    assert found
    state = one.endpoints(found)
    assert (state.ready, state.not_ready, state.recorded) == (ready, not_ready, recorded)


def test_of_several_versions_the_newest_counts_and_the_older_are_kept():
    old, new = config_map("c", v="1"), config_map("c", v="2")
    new["metadata"]["resourceVersion"] = "2000"
    for order in ([old, new], [new, old]):
        one = graph(order)
        found = one.get("ConfigMap", "shop", "c")
        assert found
        assert found.body["data"] == {"v": "2"}
        assert [o.body["data"] for o in one.earlier(found)] == [{"v": "1"}]


def test_a_kind_is_found_however_a_person_wrote_it():
    one = graph(deployment("api"), thing("Node", "n1", None))

    assert str(one.find("deployment", "shop", "api")) == "Deployment/shop/api"
    assert str(one.find("node", "shop", "n1")) == "Node/_cluster/n1"
    assert one.find("Nothing", "shop", "x") is None


def test_namesakes_of_other_api_groups_are_not_taken_for_built_in_kinds():
    knative = thing("Service", "api", api="serving.knative.dev/v1", spec={"template": {}})
    longhorn = thing(
        "Node",
        "n1",
        "longhorn-system",
        api="longhorn.io/v1beta2",
        status={"conditions": [{"type": "Ready", "status": "False"}]},
    )
    one = graph(knative, service("api", port=80), longhorn, thing("Node", "n1", None))

    assert named(one.of_kind("Service", "Node")) == ["Node/_cluster/n1", "Service/shop/api"]
    found = one.names.find("api", "shop")
    assert found
    assert found.group == ""


def test_nodes_with_a_ready_endpoint_are_those_of_the_slices_else_of_the_pods():
    pods = deployment("api", node="node-7")
    bare = service("api")
    sliced = service("api", ready=1, not_ready=1)
    sliced[1]["endpoints"] = [
        {"conditions": {"ready": True}, "nodeName": "node-1"},
        {"conditions": {"ready": False}, "nodeName": "node-2"},
    ]

    for objects, nodes in ((sliced, {"node-1"}), (bare, {"node-7"})):
        graph = Graph(snapshot(pods, objects))
        found = graph.get("Service", "shop", "api")
        assert found is not None
        assert graph.served_nodes(found) == nodes


@pytest.mark.parametrize("kind", ["EndpointSlice", "Endpoints"])
def test_a_service_that_was_not_recorded_is_told_by_its_endpoints(kind: str):
    api = deployment("api")
    name = pods_in(api)[0]["metadata"]["name"]
    listed = {"targetRef": {"kind": "Pod", "name": name}}
    labels = {"kubernetes.io/service-name": "web"}
    told = thing(kind, "web", api="v1" if kind == "Endpoints" else "discovery.k8s.io/v1", labels=labels)
    told |= {"subsets": [{"notReadyAddresses": [listed]}]} if kind == "Endpoints" else {"endpoints": [listed]}

    graph = Graph(snapshot(api, told))

    assert [str(top) for top in graph.served("shop", "web")] == ["Deployment/shop/api"]
    assert graph.served("shop", "other") == []
