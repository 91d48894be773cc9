"""Resources at their limit, by recorded metrics."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libs.contracts.target import Target
from services.context_api.domain.analyzers.saturation import THROTTLED
from services.context_api.domain.snapshot import MetricAnswer
from services.context_api.domain.triage import find_causes
from tests.support.kube import NOW, container, deployment, pods_in, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

API = deployment("api", containers=[container(resources={"limits": {"cpu": "500m", "memory": "256Mi"}})])
RATIO = "rate(container_cpu_cfs_throttled_periods_total[5m]) / rate(container_cpu_cfs_periods_total[5m])"
MI = 2**20


def metric(query: str, value: float, name: str = "", **labels: str) -> MetricAnswer:
    named = {
        "namespace": "shop",
        "pod": pods_in(API)[0]["metadata"]["name"],
        "container": "app",
        **({"__name__": name} if name else {}),
        **labels,
    }
    return MetricAnswer(
        query,
        "instant",
        NOW,
        {"resultType": "vector", "result": [{"metric": named, "value": [NOW.timestamp(), str(value)]}]},
    )


def asked(*metrics: MetricAnswer, target: str | None = "Deployment/shop/api"):
    return find_causes(
        replace(snapshot(API), metrics=list(metrics)), target=Target.parse(target) if target else None
    )


@pytest.mark.parametrize(
    ("metrics", "reason", "words"),
    [
        ([metric(RATIO, 0.8)], "CpuThrottled", "500m"),
        ([metric("container_memory_working_set_bytes", 250 * MI)], "MemoryNearLimit", "256Mi"),
        ([metric("rate(container_cpu_usage_seconds_total[5m])", 0.499)], "CpuAtLimit", "500m"),
        ([metric("a", 50, "hikaricp_connections_active", pool="main"), metric("b", 50, "hikaricp_connections_max", pool="main")], "PoolExhausted", "hikaricp_connections_active is at 50"),
    ],
)  # fmt: skip
def test_an_alert_about_a_workload_at_its_limit_is_answered_by_the_metric(metrics, reason: str, words: str):
    answer = asked(*metrics)

    assert answer.ranked[0].reason == reason
    assert words in answer.ranked[0].text


@pytest.mark.parametrize(
    "metrics",
    [
        [metric(RATIO, THROTTLED / 2)],
        [metric("container_memory_working_set_bytes", 100 * MI)],
        [
            metric("a", 50, "hikaricp_connections_active", pool="main"),
            metric("b", 50, "hikaricp_connections_max", pool="other"),
        ],
        [metric("up", 1, "up")],
    ],
    ids=["little throttling", "half the memory", "another pool", "another metric"],
)
def test_resources_with_room_are_no_cause(metrics):
    assert asked(*metrics).no_cause


def test_nobody_asked_so_being_busy_is_no_fault():
    assert asked(metric(RATIO, 0.9), target=None).no_cause


# -- rising, counters, databases ---------------------------------------------------------------------


def rising(
    *values: float, query: str = "container_memory_working_set_bytes", step: float = 300, **labels: str
):
    named = {"namespace": "shop", "pod": pods_in(API)[0]["metadata"]["name"], "container": "app", **labels}
    start = NOW.timestamp() - step * (len(values) - 1)
    samples = [[start + step * i, str(v)] for i, v in enumerate(values)]
    return MetricAnswer(
        query, "range", NOW, {"resultType": "matrix", "result": [{"metric": named, "values": samples}]}
    )


def test_memory_that_rises_to_its_limit_is_told_with_the_time_it_gets_there():
    answer = asked(rising(*[(150 + 5 * i) * MI for i in range(10)]))

    best = answer.ranked[0]
    assert best.reason == "MemoryTrendingToLimit"
    # 195Mi after 45 minutes, 60Mi an hour, 61Mi to go.
    assert "60Mi more every hour: it reaches the limit in 61 min, at 2026-11-18 10:31:00 UTC" in best.text


def test_memory_that_was_killed_at_its_limit_before_is_forecast_from_the_restart_on():
    saw = [200, 220, 240, 250, 130, 140, 150, 160, 170, 180]

    assert asked(rising(*[v * MI for v in saw])).ranked[0].reason == "MemoryTrendingToLimit"


@pytest.mark.parametrize(
    "values",
    [
        [150, 180, 120, 150, 180, 120, 150, 180, 120, 150],
        [60, 70, 80, 90, 100, 110, 115, 118, 120, 122],
        [150, 170, 190, 200, 201, 200, 201, 200, 201, 200],
        [150, 151, 150, 152, 150, 151, 150, 152, 151, 150],
        [200, 195, 190, 185, 180, 175, 170, 165, 160, 155],
        [150, 155, 160],
    ],
    ids=["collected in time", "a start-up", "levelled off", "noise", "falls", "too few samples"],
)
def test_memory_that_does_not_rise_steadily_is_no_cause(values):
    assert asked(rising(*[v * MI for v in values])).no_cause


def test_throttling_is_counted_from_the_two_counters():
    periods = rising(0, 600, 1200, query="container_cpu_cfs_periods_total")
    throttled = rising(0, 300, 800, query="container_cpu_cfs_throttled_periods_total")
    little = rising(0, 30, 80, query="container_cpu_cfs_throttled_periods_total")

    assert "throttled in 67% of its periods" in asked(periods, throttled).ranked[0].text
    assert asked(periods, little).no_cause
    assert asked(throttled).no_cause


def test_connections_of_a_database_are_summed_against_its_maximum():
    used = [
        metric("a", n, "pg_stat_database_numbackends", datname=d) for d, n in (("orders", 80), ("audit", 17))
    ]
    most = metric("b", 100, "pg_settings_max_connections")

    best = asked(*used, most).ranked[0]

    assert best.reason == "PoolExhausted"
    assert "97 of pg_settings_max_connections 100, most of them datname=orders" in best.text
    assert asked(used[0], most).no_cause


def test_a_maximum_that_only_bears_the_word_in_its_name_is_enough():
    busy = [metric("a", 20, "worker_connections"), metric("b", 20, "worker_max_connections")]
    other = [metric("a", 20, "jobs_seen"), metric("b", 20, "jobs_seen_total")]

    assert asked(*busy).ranked[0].reason == "PoolExhausted"
    assert asked(*other).no_cause
