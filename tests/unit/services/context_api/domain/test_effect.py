"""Nothing is felt of what a program complains of: measured, low, and as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.context_api.domain.effect import harmed, unfelt_on, unharmed
from services.context_api.domain.snapshot import MetricAnswer
from tests.support.kube import deployment, moment, node, service
from tests.support.series import recorded, scene

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-009")

SHARE = 'sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))'
P99 = "histogram_quantile(0.99, rate(http_request_duration_seconds_bucket[5m]))"
OF_API = {"namespace": "shop", "service": "api"}


def felt_nothing(*metrics, minutes: float = 30) -> bool:
    known = scene(deployment("api"), service("api", ready=2), deployment("web"), metrics=metrics)
    top = known.graph.find("Deployment", "shop", "api")
    assert top is not None
    return unharmed(known, top, moment(minutes)) is not None


def test_a_share_of_failures_as_low_as_ever_says_that_nothing_is_felt():
    assert felt_nothing(recorded(SHARE, [0.0003, 0.0004] * 25, **OF_API))


@pytest.mark.parametrize(
    "metrics",
    [
        [],
        [recorded(SHARE, [0.0003] * 25 + [0.2] * 25, **OF_API)],
        [recorded(SHARE, [0.02] * 50, **OF_API)],
        [recorded(SHARE, [0.0003] * 50, **OF_API), recorded(P99, [0.2] * 25 + [2.0] * 25, **OF_API)],
        [recorded(SHARE, [0.0003] * 50, namespace="shop", deployment="web")],
        [recorded(P99, [0.2] * 50, **OF_API)],
        [recorded(SHARE, [0.0003] * 20, **OF_API)],
    ],
    ids=["not measured", "fails now", "fails all the time", "slower than before", "another's", "times alone", "recorded too late"],
)  # fmt: skip
def test_what_is_not_measured_or_is_worse_is_no_such_sign(metrics):
    assert not felt_nothing(*metrics)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (recorded(SHARE, [0.0003] * 50, **OF_API), False),
        (recorded(SHARE, [0.2] * 50, **OF_API), True),
        (recorded(P99, [0.2] * 25 + [2.0] * 25, **OF_API), True),
        (recorded(SHARE, [0.2] * 50, namespace="shop", deployment="web"), False),
    ],
    ids=["well", "fails", "slow", "another's"],
)
def test_harm_is_what_is_recorded_to_fail_or_to_be_slow(metric, expected: bool):
    known = scene(deployment("api"), service("api", ready=2), deployment("web"), metrics=[metric])
    top = known.graph.find("Deployment", "shop", "api")
    assert top is not None

    assert harmed(known, top) is expected


@pytest.mark.parametrize(
    ("values", "where", "expected"),
    [
        ([0.2] * 50, "node-1", True),
        ([0.2] * 25 + [2.0] * 25, "node-1", False),
        ([0.2] * 50, "node-2", False),
    ],
    ids=["as fast", "slower", "nobody is measured there"],
)
def test_a_node_is_unfelt_where_all_that_is_measured_there_is_as_fast(values, where: str, expected: bool):
    known = scene(
        deployment("api"),
        node("node-1"),
        node("node-2"),
        service("api", ready=2),
        metrics=[recorded(P99, values, **OF_API)],
    )
    about = known.graph.get("Node", None, where)
    assert about is not None

    assert unfelt_on(known, about) is expected


def ended(values: list[float]) -> MetricAnswer:
    """Series of one answer: the Service's has ended an hour ago, another's goes on."""
    over, on = recorded(P99, values, **OF_API), recorded(P99, values, namespace="far", service="off")
    mine = [{**one, "values": [[at - 3600, v] for at, v in one["values"]]} for one in over.data["result"]]
    return replace(over, data={"resultType": "matrix", "result": [*mine, *on.data["result"]]})


def test_what_was_fast_when_its_series_ended_says_nothing_of_now():
    known = scene(deployment("api"), node("node-1"), service("api", ready=2), metrics=[ended([0.2] * 50)])
    about = known.graph.get("Node", None, "node-1")
    assert about is not None

    assert not unfelt_on(known, about)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (("Deployment", "shop", "api"), True),
        (("Service", "shop", "api"), True),
        (("Node", None, "node-1"), True),
        (("Deployment", "shop", "web"), False),
        (("Service", "shop", "web"), False),
    ],
    ids=["measured", "its Service", "the node", "not measured", "the Service of that"],
)
def test_who_is_asked_about_must_be_measured_too(target, expected: bool):
    known = scene(
        deployment("api"), service("api", ready=2), deployment("web"), service("web", ready=2), node("node-1"),
        metrics=[recorded(P99, [0.2] * 50, **OF_API)],
    )  # fmt: skip
    known.target = known.graph.get(*target)
    about = known.graph.get("Node", None, "node-1")
    assert about is not None
    assert known.target is not None

    assert unfelt_on(known, about) is expected
