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
