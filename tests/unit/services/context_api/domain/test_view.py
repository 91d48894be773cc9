from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.context_api.domain.snapshot import ContainerLog, KubeObject, MetricAnswer, NotRead, Snapshot
from services.context_api.domain.view import view
from tests.support import kube

pytestmark = pytest.mark.requirement("HAPI-178", "API-BR-CAPI-018")


def event(name: str, namespace: str, about: dict[str, Any]) -> KubeObject:
    return kube.kube(kube.thing("Event", name, namespace, involvedObject=about))


def series(**labels: str) -> dict[str, Any]:
    return {"metric": labels, "value": [0, "1"]}


def metric(*found: dict[str, Any], query: str = "up") -> MetricAnswer:
    return MetricAnswer(query, "instant", None, {"resultType": "vector", "result": list(found)})


WHOLE = replace(
    kube.snapshot(
        kube.pod("mine", "shop"), kube.pod("theirs", "bank"), kube.thing("Node", "n1", None), kube.thing("Namespace", "shop", None),
        kube.thing("Namespace", "bank", None), kube.thing("Namespace", "shop", None, api="acme.example/v1"),
        logs=[ContainerLog("shop", "mine", "app", False, "x"), ContainerLog("bank", "theirs", "app", False, "y")],
        not_read=[NotRead("namespaces/bank/core/pods.yaml", "is no YAML")],
    ),
    events=[
        event("e1", "shop", {"kind": "Pod", "namespace": "shop", "name": "mine"}),
        event("e2", "bank", {"kind": "Pod", "namespace": "bank", "name": "theirs"}),
        event("e3", "shop", {"kind": "Node", "name": "n1"}),
        event("e4", "shop", {"kind": "Pod", "namespace": "bank", "name": "theirs"}),
    ],
    metrics=[metric(series(namespace="shop")), metric(series(namespace="bank")), metric(series(namespace="shop"), series(namespace="bank")), metric(series())],
)  # fmt: skip


def shop_only(namespace: str | None) -> bool:
    return namespace == "shop"


def seen() -> Snapshot:
    return view(WHOLE, shop_only)


def test_who_may_read_everything_sees_the_whole():
    assert view(WHOLE, lambda _: True) is WHOLE


def test_only_objects_of_readable_namespaces_are_seen_and_their_namespace():
    assert [str(item) for item in seen().objects] == ["Pod/shop/mine", "Namespace/_cluster/shop"]
    assert seen().objects[1].api_version == "v1"


def test_an_event_is_seen_when_both_it_and_what_it_is_about_may_be():
    assert [item.name for item in seen().events] == ["e1"]


def test_only_logs_of_readable_namespaces_are_seen():
    assert [log.text for log in seen().logs] == ["x"]


def test_a_metric_is_seen_when_every_series_is_readable():
    assert [answer.data["result"] for answer in seen().metrics] == [[series(namespace="shop")]]


@pytest.mark.parametrize(
    "labels",
    [
        {"namespace": "shop", "exported_namespace": "bank"},
        {"exported_namespace": "bank"},
        {"namespace": "shop", "source_workload_namespace": "shop", "destination_service_namespace": "bank"},
        {
            "namespace": "shop",
            "destination_workload_namespace": "unknown",
            "source_workload_namespace": "bank",
        },
        {"destination_service_namespace": "unknown"},
    ],
)
def test_a_series_that_names_two_namespaces_is_of_both(labels: dict[str, str]):
    assert view(replace(WHOLE, metrics=[metric(series(**labels))]), shop_only).metrics == ()


def test_a_series_about_a_caller_from_outside_the_mesh_is_of_the_one_it_called():
    called = metric(series(namespace="shop", source_workload_namespace="unknown", exported_namespace=""))

    assert view(replace(WHOLE, metrics=[called]), shop_only).metrics == (called,)


def test_a_namespace_that_is_called_unknown_is_one():
    there = [*WHOLE.objects, kube.kube(kube.pod("theirs", "unknown"))]
    called = metric(series(namespace="shop", source_workload_namespace="unknown"))

    assert view(replace(WHOLE, objects=there, metrics=[called]), shop_only).metrics == ()


def test_an_event_is_told_without_the_neighbour_it_names():
    mine = {"kind": "Pod", "namespace": "shop", "name": "mine"}
    related = [{"kind": "Pod", "namespace": "bank", "name": "theirs"}, {"kind": "Node", "name": "n1"}, mine]
    events = [
        kube.kube(kube.thing("Event", f"e{n}", "shop", involvedObject=mine, related=one))
        for n, one in enumerate(related)
    ]

    told = view(replace(WHOLE, events=events), shop_only).events

    assert [one.body.get("related") for one in told] == [None, None, mine]


def test_no_name_of_another_namespace_is_left():
    assert "bank" not in repr(seen())


def test_it_is_said_that_something_is_not_shown():
    assert [str(gap) for gap in seen().not_read] == [
        "1 files or objects: could not be read",
        "other namespaces and the cluster's own objects: this caller may not read them",
    ]
