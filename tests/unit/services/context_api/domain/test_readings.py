"""Series about one resource."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.context_api.domain.graph import Graph
from services.context_api.domain.readings import readings
from services.context_api.domain.snapshot import MetricAnswer
from tests.support.kube import NOW, deployment, pods_in, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "HAPI-BR-CONTEXT-006")

API = deployment("api")
POD = pods_in(API)[0]["metadata"]["name"]


def series(**labels: str):
    points = [[(NOW - timedelta(minutes=m)).timestamp(), str(100 - m)] for m in (60, 4, 1)]
    data = {"result": [{"metric": labels, "values": points}]}
    return MetricAnswer("memory", "range", NOW, data)


def read(resource: str, *answers: MetricAnswer, minutes: int = 5):
    taken = snapshot(API)
    taken = type(taken)(**{**taken.__dict__, "metrics": answers}) if answers else taken
    return readings(Graph(taken), "shop", resource, timedelta(minutes=minutes))


@pytest.mark.parametrize("resource", ["api", POD, "pods", "deployments"])
def test_a_series_is_found_by_its_pod_its_workload_and_their_kinds(resource: str):
    (told,) = read(resource, series(namespace="shop", pod=POD))["series"]

    assert (told["first"], told["last"], told["samples"]) == (96.0, 99.0, 2)


def test_only_the_asked_minutes_are_told():
    (told,) = read("api", series(namespace="shop", pod=POD), minutes=120)["series"]

    assert (told["least"], told["samples"]) == (40.0, 3)


@pytest.mark.parametrize(
    "labels", [{"namespace": "other", "pod": POD}, {"pod": POD}, {"namespace": "shop", "pod": "stranger"}]
)
def test_what_is_of_another_place_or_thing_is_not_told(labels: dict[str, str]):
    assert read("api", series(**labels))["total"] == 0
