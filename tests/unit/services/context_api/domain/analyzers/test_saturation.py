"""Resources at their limit, by recorded metrics."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libs.contracts.target import Target
from services.context_api.domain.analyzers.saturation import THROTTLED
from services.context_api.domain.snapshot import MetricAnswer
from services.context_api.domain.triage import find_causes
from tests.support.kube import NOW, container, deployment, ended, pods_in, running, snapshot
from tests.support.series import answered, recorded

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


# -- slow leaks, bursts ------------------------------------------------------------------------------

HOUR = 3600.0


def test_a_slow_leak_near_its_limit_is_foretold_by_days_and_told_with_its_release():
    old, new = (
        container(image="registry.example/app:1.0"),
        container(image="registry.example/app:1.1", resources={"limits": {"memory": "256Mi"}}),
    )
    leaking = deployment("api", containers=[new], before=[old], rolled_out=100 * 60, age=60 * 24 * 30)
    pod = next(p["metadata"]["name"] for p in pods_in(leaking))
    memory = rising(*[(100 + 1.4 * n) * MI for n in range(100)], step=HOUR, pod=pod)
    slower = rising(*[(100 + 0.8 * n) * MI for n in range(100)], step=HOUR, pod=pod)

    def ask(metric):
        whole = replace(snapshot(leaking), metrics=[metric])
        return find_causes(whole, target=Target.parse("Deployment/shop/api"))

    best = ask(memory).ranked[0]
    assert best.reason == "MemoryTrendingToLimit"
    assert (
        "238.6Mi of its memory limit 256Mi (93%) and 1.4Mi more every hour: it reaches the limit in 12 h"
        in best.text
    )
    assert "it has risen from 100Mi since the rollout of" in best.text
    assert "`registry.example/app:1.0` → `registry.example/app:1.1`" in best.text
    # 179Mi of 256Mi: four days away, and not near yet.
    assert not [f for f in ask(slower).findings if f.reason == "MemoryTrendingToLimit"]


def test_a_leak_that_is_older_than_the_rollout_is_not_laid_to_it():
    new = container(resources={"limits": {"memory": "256Mi"}})
    leaking = deployment(
        "api",
        containers=[new],
        before=[container(image="registry.example/app:0.9")],
        rolled_out=30,
        age=60 * 24 * 30,
    )
    pod = next(p["metadata"]["name"] for p in pods_in(leaking))
    whole = replace(
        snapshot(leaking), metrics=[rising(*[(100 + 1.4 * n) * MI for n in range(100)], step=HOUR, pod=pod)]
    )

    told = [
        f.text
        for f in find_causes(whole).findings
        + find_causes(whole, target=Target.parse("Deployment/shop/api")).findings
    ]

    assert all("it has risen from" not in text for text in told)


P99 = "histogram_quantile(0.99, rate(http_request_duration_seconds_bucket[5m]))"
LEVEL = [0.03] * 40
BURSTS = [0.34, 0.36] * 20


@pytest.mark.parametrize(
    ("ratio", "seconds", "fault"),
    [
        (BURSTS, LEVEL, False),
        (BURSTS, [0.2] * 20 + [1.8] * 20, True),
        ([0.02] * 20 + [0.36] * 20, LEVEL, True),
        (BURSTS, None, True),
    ],
    ids=["as ever and nobody waits", "requests wait", "newly throttled", "nobody measured the requests"],
)
def test_throttling_that_was_always_there_is_no_fault_while_answers_are_as_fast_as_ever(
    ratio, seconds, fault: bool
):
    metrics = [rising(*ratio, query=RATIO, step=HOUR)]
    if seconds is not None:
        metrics.append(rising(*seconds, query=P99, step=HOUR))

    reasons = [c.reason for c in asked(*metrics).ranked]

    assert ("CpuThrottled" in reasons) is fault


def test_throttling_is_told_instead_of_the_limit_it_comes_from():
    answer = asked(metric(RATIO, 0.8), metric("rate(container_cpu_usage_seconds_total[5m])", 0.499))

    assert [c.reason for c in answer.ranked] == ["CpuThrottled"]
    assert not [f for f in answer.findings if f.reason == "CpuAtLimit"]


def test_descriptors_that_ran_out_since_a_release_are_told_with_it():
    leaking = deployment(
        "api",
        containers=[container(image="registry.example/app:1.1")],
        before=[container(image="registry.example/app:1.0")],
        rolled_out=100 * 60,
        age=60 * 24 * 30,
    )
    pod = next(p["metadata"]["name"] for p in pods_in(leaking))
    used = [min(1024.0, 150 + 9.0 * n) for n in range(100)]
    metrics = [
        recorded(name, values, HOUR, __name__=name, namespace="shop", pod=pod)
        for name, values in (("process_open_fds", used), ("process_max_fds", [1024.0] * 100))
    ]

    best = answered("Deployment/shop/api", leaking, metrics=metrics).ranked[0]

    assert best.reason == "PoolExhausted"
    assert (
        "process_open_fds is at 1024 of process_max_fds 1024; it has risen from 150 since the rollout of"
        in best.text
    )
    assert "`registry.example/app:1.0` → `registry.example/app:1.1`" in best.text


# -- levels that are older than the alert ------------------------------------------------------------

MEMORY = "container_memory_working_set_bytes"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([248] * 40, False),
        ([248, 180, 210, 240] * 10 + [248], False),
        ([180] * 30 + [248] * 10, True),
        ([248] * 10, True),
    ],
    ids=["all along", "again and again", "since a few hours", "nobody knows since when"],
)
def test_memory_that_reached_as_much_a_day_before_without_harm_is_how_a_program_is_set_up(values, told: bool):
    answer = asked(rising(*[v * MI for v in values], query=MEMORY, step=HOUR))

    assert any(c.reason == "MemoryNearLimit" for c in answer.ranked) is told


def test_memory_that_reached_as_much_and_was_killed_for_it_is_told():
    status = running(minutes=60 * 3, restarts=1, last=ended(137, "OOMKilled", minutes=60 * 3))
    killed = deployment(
        "api", containers=[container(resources={"limits": {"memory": "256Mi"}})], statuses=[status]
    )
    whole = replace(snapshot(killed), metrics=[rising(*[248 * MI] * 40, query=MEMORY, step=HOUR)])

    answer = find_causes(whole, target=Target.parse("Deployment/shop/api"))

    assert any(c.reason == "MemoryNearLimit" for c in answer.ranked)


def pool(**values: list[float]) -> list[MetricAnswer]:
    return [
        recorded(
            name, numbers, HOUR, __name__=name, namespace="shop", pod=pods_in(API)[0]["metadata"]["name"]
        )
        for name, numbers in values.items()
    ]


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        (pool(hikaricp_connections=[10.0] * 3, hikaricp_connections_max=[10.0] * 3, hikaricp_connections_idle=[7.0] * 3), False),
        (pool(hikaricp_connections=[10.0] * 3, hikaricp_connections_max=[10.0] * 3, hikaricp_connections_idle=[0.0] * 3), True),
        (pool(worker_threads_busy=[8.0] * 40, worker_threads_max=[8.0] * 40), False),
        (pool(worker_threads_busy=[8.0] * 40, worker_threads_max=[8.0] * 40, worker_threads_pending=[0.0] * 20 + [31.0] * 20), True),
        (pool(worker_threads_busy=[2.0] * 30 + [8.0] * 10, worker_threads_max=[8.0] * 40), True),
        (pool(worker_threads_busy=[8.0] * 3, worker_threads_max=[8.0] * 3), True),
    ],
    ids=["most lie idle", "none lies idle", "busy all along", "and somebody waits", "since a few hours", "nobody knows since when"],
)  # fmt: skip
def test_a_pool_that_is_always_as_full_is_exhausted_only_where_nothing_is_idle_or_somebody_waits(
    metrics, told: bool
):
    assert any(c.reason == "PoolExhausted" for c in asked(*metrics).ranked) is told


@pytest.mark.parametrize("minutes", [0, 60], ids=["measured now", "measured no longer"])
def test_a_level_that_is_measured_no_longer_says_nothing_of_now(minutes: int):
    full, other = rising(*[250 * MI] * 5), rising(*[100 * MI] * 5, container="sidecar")
    values = full.data["result"][0]["values"]
    full.data["result"][0]["values"] = [[t - minutes * 60, v] for t, v in values]
    whole = MetricAnswer(
        full.query,
        "range",
        NOW,
        {"resultType": "matrix", "result": [*full.data["result"], *other.data["result"]]},
    )

    assert any(c.reason == "MemoryNearLimit" for c in asked(whole).ranked) is (minutes == 0)
