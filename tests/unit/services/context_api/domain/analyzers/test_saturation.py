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
