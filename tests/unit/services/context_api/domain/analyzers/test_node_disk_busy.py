"""A node's disk that cannot keep up, and who keeps it busy."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kube import deployment, node, pods_in
from tests.support.series import answered, recorded
from tests.support.triage import first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

QUEUE = "rate(node_disk_io_time_weighted_seconds_total[5m])"
BUSY = "rate(node_disk_io_time_seconds_total[5m])"
WRITES = "sum by (namespace, pod, container) (rate(container_fs_writes_bytes_total[5m]))"
READS = "sum by (namespace, pod, container) (rate(container_fs_reads_bytes_total[5m]))"
FULL = [0.8] * 20 + [28.0] * 15
COPY = deployment("copy", "archive", replicas=1, pod_age=14)
DB = deployment("db", replicas=1)
FAR = deployment("far", replicas=1, node="node-2")
OBJECTS = (node(), node("node-2"), COPY, DB, FAR)


def disk(values: list[float] = FULL, query: str = QUEUE, instance: str = "node-1"):
    return recorded(query, values, instance=instance, device="nvme0n1")


def moves(objects: Any, values: list[float], query: str = WRITES):
    meta = pods_in(objects)[0]["metadata"]
    return recorded(query, values, namespace=meta["namespace"], pod=meta["name"], container="app")


NEW = [180e6] * 14


@pytest.mark.parametrize(
    "busy", [disk(), disk([0.2] * 20 + [0.99] * 15, BUSY)], ids=["a long queue", "busy all the time"]
)
def test_the_workload_that_writes_most_is_why_a_disk_does_not_keep_up(busy: Any):
    answer = answered(
        "Node/_cluster/node-1", *OBJECTS, metrics=[busy, moves(COPY, NEW), moves(DB, [4e6] * 35)]
    )

    assert first(answer) == ("Deployment/archive/copy", "TakesNodeDisk")
    for words in ("writes 180 MB/s", "98% of what all pods there move", "disk nvme0n1 does not keep up"):
        assert words in answer.ranked[0].text


def test_reading_counts_as_well():
    answer = answered("Node/_cluster/node-1", *OBJECTS, metrics=[disk(), moves(COPY, NEW, READS)])

    assert "reads 180 MB/s" in answer.ranked[0].text


@pytest.mark.parametrize(
    "metrics",
    [
        [disk([0.8] * 35), moves(COPY, NEW)],
        [disk(), moves(FAR, [180e6] * 35)],
        [disk(), moves(COPY, NEW), moves(DB, [190e6] * 35)],
        [disk(), moves(COPY, [1e6] * 14)],
    ],
    ids=["the disk keeps up", "it is on another node", "another moves more, as ever", "it moves little"],
)
def test_who_is_not_most_of_it_or_is_as_ever_is_not_blamed(metrics: list[Any]):
    answer = answered("Node/_cluster/node-1", *OBJECTS, metrics=metrics)

    assert "TakesNodeDisk" not in {cause.reason for cause in answer.ranked}


STEP, DAYS = 1800.0, 48
WEEKLY = [*[28.0] * 6, *[0.8] * (2 * DAYS), *[28.0] * 4]
P99 = "histogram_quantile(0.99, sum by (le, service) (rate(http_request_duration_seconds_bucket[5m])))"
STEADY, SLOWED = [0.2] * 50, [0.2] * 40 + [3.0] * 10


def checked(values: list[float] = WEEKLY):
    """The disk's queue every half hour, for two days."""
    return recorded(QUEUE, values, STEP, instance="node-1", device="md0")


def answers(values: list[float], name: str = "db", query: str = P99):
    return recorded(query, values, namespace="shop", deployment=name)


def reasons(*metrics: Any) -> set[str]:
    return {f.reason for f in answered("Node/_cluster/node-1", *OBJECTS, metrics=metrics).findings}


def test_a_disk_that_is_busy_as_it_was_days_ago_and_slows_nobody_is_no_finding():
    assert "NodeDiskBusy" not in reasons(checked(), answers(STEADY))


@pytest.mark.parametrize(
    "metrics",
    [
        [checked(), answers(SLOWED)],
        [checked(), answers(STEADY), answers(SLOWED, "other")],
        [checked([*[0.8] * (2 * DAYS), *[28.0] * 4]), answers(STEADY)],
        [checked([*[14.0] * 6, *[0.8] * (2 * DAYS), *[28.0] * 4]), answers(STEADY)],
        [checked([*[28.0] * 6, *[0.8] * 12, *[28.0] * 4]), answers(STEADY)],
        [checked()],
        [checked(), answers(STEADY, "far")],
        [checked(), answers([300.0] * 50, query="rate(http_requests_total[5m])")],
        [checked(), answers([0.2] * 3)],
    ],
    ids=[
        "felt", "felt by one of two", "the first time", "half as busy then", "this very morning", "nobody's answers are measured",
        "measured on another node", "requests are no response times", "too few to compare",
    ],
)  # fmt: skip
def test_a_busy_disk_that_is_felt_or_new_is_one(metrics: list[Any]):
    everybody = (*OBJECTS, deployment("other", replicas=1))
    found = answered("Node/_cluster/node-1", *everybody, metrics=metrics).findings

    assert "NodeDiskBusy" in {f.reason for f in found}
