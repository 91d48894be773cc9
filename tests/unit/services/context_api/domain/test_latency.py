"""Response times that rose and stayed high: whose, in which unit, on which pods."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.context_api.domain.latency import is_timed, measure_of, pod_of, seconds, slow, slower, times
from tests.support.kube import NOW, deployment, pods_in, service
from tests.support.series import recorded as metric
from tests.support.series import scene, series

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

P99 = "histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket[5m])))"
RISEN = [0.2] * 20 + [1.8] * 15
EVENINGS = ([*[0.2] * 18, *[1.8] * 6] * 3)[2:]
"""Three, of which the first day was not recorded as a whole."""


@pytest.mark.parametrize(
    ("query", "labels", "measure"),
    [
        (P99, {}, "99th percentile"),
        ("histogram_quantile(0.5, rate(latency_bucket[5m]))", {}, "median"),
        ("rate(page_seconds_sum[5m]) / rate(page_seconds_count[5m])", {}, "average"),
        ("http_server_request_duration_seconds", {"quantile": "0.95"}, "95th percentile"),
    ],
    ids=["histogram", "median", "average", "summary"],
)
def test_response_times_are_known_by_their_query(query: str, labels: dict[str, str], measure: str):
    one = series(query, [1.0], **labels)

    assert is_timed(one)
    assert measure_of(one) == measure


@pytest.mark.parametrize(
    "query",
    ["rate(http_requests_total[5m])", "http_request_duration_seconds_sum", "histogram_quantile(0.9, rate(response_size_bytes_bucket[5m]))"],
    ids=["requests", "a sum that only grows", "sizes"],
)  # fmt: skip
def test_other_metrics_are_no_response_times(query: str):
    assert not is_timed(series(query, [1.0]))


def test_a_rise_is_told_in_seconds_whatever_its_unit():
    by_second, by_milli = slow(series(P99, RISEN)), slow(series("rate(call_duration_ms_sum[5m]) / rate(call_duration_ms_count[5m])", [200.0] * 20 + [1800.0] * 15))  # fmt: skip

    assert by_second is not None
    assert by_milli is not None
    assert (
        (by_second.before, by_second.after) == pytest.approx((by_milli.before, by_milli.after)) == (0.2, 1.8)
    )
    assert by_second.since == by_milli.since


@pytest.mark.parametrize(
    "values",
    [[0.2] * 35, [0.001] * 20 + [0.009] * 15, [0.2] * 15 + [1.8] * 10 + [0.2] * 10, [1.8] * 35, [0.2] * 4 + [1.8] * 4],
    ids=["as ever", "nobody waits", "over", "slow all the time", "too few samples"],
)  # fmt: skip
def test_times_that_did_not_rise_for_good_are_not_slow(values: list[float]):
    assert slow(series(P99, values)) is None


def test_times_are_told_by_whom_they_are_about_and_too_short_ones_say_nothing():
    api = deployment("api")
    pod = pods_in(api)[0]["metadata"]["name"]
    known = scene(
        api, service("api", ready=2), deployment("web"), service("web", ready=2),
        metrics=[
            metric(P99, RISEN, namespace="shop", service="api", pod=pod),
            metric(P99, [0.2] * 35, namespace="shop", service="web"),
            metric(P99, [0.2] * 3, namespace="shop", deployment="web"),
            metric(P99, RISEN, namespace="shop"),
        ],
    )  # fmt: skip

    found = {str(t.about): (len(t.slow), len(t.well)) for t in times(known.graph, known.metrics)}

    assert found == {"Service/shop/api": (1, 0), "Service/shop/web": (0, 1)}
    (one,) = (t for t in times(known.graph, known.metrics) if t.slow)
    slowest = pod_of(known.graph, one.worst.series)
    assert slowest is not None
    assert slowest.name == pod


def test_a_time_reads_as_people_write_it():
    assert (seconds(0.24), seconds(3.9)) == ("240 ms", "3.9 s")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (EVENINGS, False), ([*[0.2] * 42, *[1.8] * 6], True), (EVENINGS[-48:], True),
        ([0.5 if value == 1.8 else value for value in EVENINGS[:-6]] + [1.8] * 6, True),
    ],
    ids=["each evening", "this evening", "yesterday evening too", "more than each evening"],
)  # fmt: skip
def test_answers_that_are_as_slow_at_this_time_of_each_day_are_not_slow(values, expected: bool):
    assert (slow(series(P99, values, 3600.0)) is not None) is expected


@pytest.mark.parametrize("gone", [True, False], ids=["its pod is no more", "its pod goes on"])
def test_what_was_slow_when_its_series_ended_is_not_slow_now(gone: bool):
    one = replace(series(P99, RISEN), until=NOW.timestamp() + (3600.0 if gone else 0.0))

    assert (slow(one) is None) is gone


def test_whoever_answers_is_slower_where_any_of_what_measures_him_rose():
    known = scene(
        deployment("api"), service("api", ready=2), deployment("web"), deployment("job"),
        metrics=[
            metric(P99, RISEN, namespace="shop", service="api"),
            metric(P99, [0.2] * 35, namespace="shop", deployment="api"),
            metric(P99, [0.2] * 35, namespace="shop", deployment="web"),
            metric(P99, RISEN[-10:], namespace="shop", deployment="job"),
        ],
    )  # fmt: skip
    tops = {name: known.graph.get("Deployment", "shop", name) for name in ("api", "web", "job")}

    found = slower(known.graph, known.metrics)

    assert {name: found.get(id(top)) for name, top in tops.items()} == {
        "api": True,
        "web": False,
        "job": None,
    }
    assert known.slower == found
