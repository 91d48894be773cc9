"""Slow requests lead along the calls to the workload that is at its limit, and blame no caller."""

from __future__ import annotations

import pytest

from tests.support.kube import container, deployment, env, log, pods_in, service
from tests.support.series import answered, recorded
from tests.support.triage import first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

P99 = "histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket[5m])))"
RATIO = "rate(container_cpu_cfs_throttled_periods_total[5m]) / rate(container_cpu_cfs_periods_total[5m])"
RISEN, LEVEL = [0.2] * 20 + [1.8] * 15, [0.2] * 35
WEB = deployment("web", containers=[container(env=env(PRICES="http://prices:80", PLACES="http://places:80"))])
PRICES = deployment("prices", containers=[container(resources={"limits": {"cpu": "250m"}})])
PLACES = deployment("places", containers=[container(resources={"limits": {"cpu": "1"}})])
THREE = (WEB, PRICES, PLACES, service("web", ready=2), service("prices", ready=2), service("places", ready=2))


def p99(values, name: str):
    return recorded(P99, values, namespace="shop", service=name)


def throttled(objects, values):
    return recorded(
        RATIO, values, namespace="shop", pod=pods_in(objects)[0]["metadata"]["name"], container="app"
    )


def test_a_callee_that_is_throttled_is_named_and_not_the_caller_that_waits():
    metrics = [
        p99(RISEN, "web"),
        p99(RISEN, "prices"),
        p99(LEVEL, "places"),
        throttled(PRICES, [0.02] * 20 + [0.8] * 15),
    ]

    answer = answered("Service/shop/web", *THREE, metrics=metrics)

    assert first(answer) == ("Deployment/shop/prices", "CpuThrottled")
    assert "throttled in 80% of its periods (2% before" in answer.ranked[0].text
    assert "250m" in answer.ranked[0].text


def test_a_callee_that_answers_as_fast_as_before_is_no_cause_though_it_is_throttled():
    metrics = [p99(RISEN, "web"), p99(LEVEL, "places"), throttled(PLACES, [0.02] * 20 + [0.8] * 15)]

    assert first(answered("Service/shop/web", *THREE, metrics=metrics)) == (
        "Service/shop/web",
        "RequestsSlow",
    )


def test_a_callee_nobody_measured_counts_when_the_log_calls_it_slow():
    logs = [log(p, 'level=warn msg="slow call" peer=prices took=2900ms') for p in pods_in(WEB)]
    metrics = [p99(RISEN, "web"), throttled(PRICES, [0.8] * 35)]

    told = answered("Service/shop/web", *THREE, metrics=metrics, logs=logs)
    unsaid = answered("Service/shop/web", *THREE, metrics=metrics)

    assert first(told) == first(unsaid) == ("Deployment/shop/prices", "CpuThrottled")
    assert told.ranked[0].confidence.value > unsaid.ranked[0].confidence.value


def test_slow_requests_without_a_reason_are_told_with_before_and_since():
    answer = answered("Service/shop/web", *THREE, metrics=[p99(RISEN, "web")])

    assert first(answer) == ("Service/shop/web", "RequestsSlow")
    assert "take 1.8 s (99th percentile) since" in answer.ranked[0].text
    assert "200 ms before" in answer.ranked[0].text
    assert answer.ranked[0].confidence.value < 0.5


@pytest.mark.parametrize("values", [LEVEL, [0.2] * 15 + [1.8] * 8 + [0.2] * 12], ids=["as ever", "over"])
def test_requests_that_are_as_fast_as_before_are_no_cause(values):
    assert answered("Service/shop/web", *THREE, metrics=[p99(values, "web")]).no_cause


def test_an_alert_about_another_object_hears_nothing_of_it():
    assert answered("Service/shop/places", *THREE, metrics=[p99(RISEN, "web")]).no_cause


def test_a_callee_that_measures_itself_as_fast_is_a_cause_where_its_caller_waits_in_vain():
    waiting = 'level=warn msg="late" err="Get http://places:80/p: timeout awaiting response headers"'
    logs = [log(p, waiting) for p in pods_in(WEB)]
    pod = pods_in(PLACES)[0]["metadata"]["name"]
    metrics = [
        p99(RISEN, "web"),
        p99(LEVEL, "places"),
        *(recorded(name, [1024.0] * 35, __name__=name, namespace="shop", pod=pod) for name in ("process_open_fds", "process_max_fds")),
    ]  # fmt: skip

    told = answered("Service/shop/web", *THREE, metrics=metrics, logs=logs)

    assert first(told) == ("Deployment/shop/places", "PoolExhausted")
    assert "process_open_fds is at 1024 of process_max_fds 1024" in told.ranked[0].text
    assert first(answered("Service/shop/web", *THREE, metrics=metrics))[0] == "Service/shop/web"
