"""Which object a series tells of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from services.context_api.domain.metrics import Series
from services.context_api.domain.scene import Scene
from services.context_api.domain.series_of import MOST_READ, beside_pods, object_of
from services.context_api.domain.snapshot import MetricAnswer
from tests.support.kube import NOW, deployment, node, pods_in, service, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-006")

API = deployment("api")
CLUSTER = snapshot(
    API, service("api"), node("node-1"), thing("Namespace", "shop", None), thing("PersistentVolumeClaim", "data")
)  # fmt: skip


def about(**labels: str) -> str:
    found = object_of(Scene(CLUSTER).graph, Series("q", labels, ((1.0, 2.0),)))
    return str(found) if found is not None else ""


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        ({"namespace": "shop", "service": "api"}, "Service/shop/api"),
        ({"namespace": "shop", "deployment": "api"}, "Deployment/shop/api"),
        ({"namespace": "shop", "persistentvolumeclaim": "data"}, "PersistentVolumeClaim/shop/data"),
        ({"instance": "node-1:9100", "job": "node-exporter"}, "Node/_cluster/node-1"),
        ({"namespace": "shop", "channel": "sms"}, "Namespace/_cluster/shop"),
        ({"namespace": "elsewhere", "service": "api"}, ""),
        ({"queue": "sms.retry"}, ""),
        ({}, ""),
    ],
)
def test_the_narrowest_object_that_its_labels_name(labels: dict[str, str], named: str):
    assert about(**labels) == named


def answered(*labels: Mapping[str, str]) -> Scene:
    result = [{"metric": dict(one), "values": [[1, "1"], [2, "5"]]} for one in labels]
    answer = MetricAnswer("q", "range", NOW, {"resultType": "matrix", "result": result})
    return Scene(replace(CLUSTER, metrics=(answer,)))


def test_series_of_one_pod_and_of_other_namespaces_are_left_to_others():
    pod = pods_in(API)[0]["metadata"]["name"]
    scene = answered(
        {"namespace": "shop", "pod": pod}, {"namespace": "shop", "service": "api"}, {"namespace": "far", "service": "api"},
        {"instance": "node-1"},
    )  # fmt: skip

    found = beside_pods(scene, {"shop"})

    told = {str(obj): len(found[id(obj)]) for obj in scene.snapshot.objects if id(obj) in found}
    assert told == {"Service/shop/api": 1, "Node/_cluster/node-1": 1}


def test_no_more_than_so_many_are_read():
    scene = answered(*({"namespace": "shop", "service": "api", "n": str(n)} for n in range(MOST_READ + 5)))

    assert sum(len(series) for series in beside_pods(scene, {"shop"}).values()) == MOST_READ
