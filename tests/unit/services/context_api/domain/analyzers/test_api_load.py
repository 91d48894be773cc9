"""An API server that does not keep up, and the client that asks it so much."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kube import container, deployment, env, pods_in, service
from tests.support.series import answered, recorded
from tests.support.triage import first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

SENT = "sum by (namespace, pod) (rate(rest_client_requests_total[5m]))"
REFUSED = "sum by (priority_level) (rate(apiserver_flowcontrol_rejected_requests_total[5m]))"
P99 = "histogram_quantile(0.99, sum by (verb, le) (rate(apiserver_request_duration_seconds_bucket[5m])))"
SERVER = service("kubernetes", "default", selector={}, address="10.96.0.1")
SYNC = deployment(
    "sync",
    "inventory",
    replicas=1,
    containers=[container(env=env(RESYNC="1"))],
    before=[container(env=env(RESYNC="10m"))],
    rolled_out=16,
)
OTHER = deployment("controller", "delivery", replicas=1)
OBJECTS = (SERVER, SYNC, OTHER)
RISE, LEVEL = [1.0] * 20 + [150.0] * 15, [6.0] * 35
FEELS = recorded(REFUSED, [0.0] * 20 + [60.0] * 15, priority_level="workload-low")


def sends(objects: Any, values: list[float]):
    meta = pods_in(objects)[0]["metadata"]
    return recorded(SENT, values, namespace=meta["namespace"], pod=meta["name"])


@pytest.mark.parametrize(
    "felt",
    [FEELS, recorded(P99, [0.2] * 20 + [9.0] * 15, verb="LIST")],
    ids=["it refuses", "it answers slowly"],
)
def test_the_client_whose_requests_rose_is_why_the_api_server_does_not_keep_up(felt: Any):
    answer = answered(
        "Service/default/kubernetes", *OBJECTS, metrics=[felt, sends(SYNC, RISE), sends(OTHER, LEVEL)]
    )

    assert first(answer) == ("Deployment/inventory/sync", "FloodsApiServer")
    for words in ("150 requests a second", "96% of all", "RESYNC", "The API server does not keep up"):
        assert words in answer.ranked[0].text


@pytest.mark.parametrize(
    "metrics",
    [
        [sends(SYNC, RISE), sends(OTHER, LEVEL)],
        [FEELS, sends(SYNC, [150.0] * 35), sends(OTHER, LEVEL)],
        [FEELS, sends(SYNC, RISE), sends(OTHER, [400.0] * 35)],
        [FEELS, sends(SYNC, [1.0] * 3 + [150.0] * 2)],
        [FEELS],
    ],
    ids=["it keeps up", "it always asked so much", "another asks more", "too few samples", "nobody counts"],
)
def test_nobody_is_accused_of_a_load_that_is_not_theirs_or_not_felt(metrics: list[Any]):
    answer = answered("Service/default/kubernetes", *OBJECTS, metrics=metrics)

    assert "FloodsApiServer" not in [cause.reason for cause in answer.ranked]


def test_a_rollout_of_a_client_that_asks_as_ever_is_no_rise():
    meta = pods_in(SYNC)[0]["metadata"]
    old = recorded(SENT, [150.0] * 20 + [0.0] * 15, namespace="inventory", pod="sync-5d9c7b6f8-x2k9d")
    new = recorded(SENT, [0.0] * 20 + [150.0] * 15, namespace="inventory", pod=meta["name"])

    answer = answered("Service/default/kubernetes", *OBJECTS, metrics=[FEELS, old, new])

    assert "FloodsApiServer" not in [cause.reason for cause in answer.ranked]


@pytest.mark.parametrize(("verb", "told"), [("WATCH", False), ("CONNECT", False), ("GET", True)])
def test_requests_that_last_as_long_as_somebody_wants_tell_of_no_overload(verb: str, told: bool):
    metric = recorded(P99, [0.2] * 20 + [9.0] * 15, verb=verb)

    answer = answered("Service/default/kubernetes", *OBJECTS, metrics=[metric])

    assert ("ApiServerOverloaded" in [cause.reason for cause in answer.ranked]) is told
