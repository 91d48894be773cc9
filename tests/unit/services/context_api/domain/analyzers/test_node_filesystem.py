"""Nodes whose disk is full, or will be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libs.contracts.target import Target
from services.context_api.domain.snapshot import MetricAnswer
from services.context_api.domain.triage import find_causes
from tests.support.kube import NOW, deployment, node, snapshot
from tests.support.triage import first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

RATIO = 'node_filesystem_avail_bytes{mountpoint="/"} / node_filesystem_size_bytes{mountpoint="/"}'
GI = 2**30


def answer(query: str, *values: float, **labels: str) -> MetricAnswer:
    named = {"instance": "10.0.0.11:9100", "mountpoint": "/", "device": "/dev/sda1", **labels}
    start = NOW.timestamp() - 600 * (len(values) - 1)
    samples = [[start + 600 * i, str(v)] for i, v in enumerate(values)]
    return MetricAnswer(
        query, "range", NOW, {"resultType": "matrix", "result": [{"metric": named, "values": samples}]}
    )


def asked(*metrics: MetricAnswer, target: str | None = "Node/_cluster/node-1"):
    machine = node()
    machine["status"]["addresses"] = [{"type": "InternalIP", "address": "10.0.0.11"}]
    return find_causes(
        replace(snapshot(machine, deployment("api")), metrics=list(metrics)),
        target=Target.parse(target) if target else None,
    )


def test_a_full_disk_is_told_about_its_node():
    found = asked(answer(RATIO, 0.09, 0.08))

    assert first(found) == ("Node/_cluster/node-1", "NodeDiskFull")
    assert "file system / has 92% of its bytes used" in found.ranked[0].text


def test_a_disk_that_fills_is_told_with_the_time_pods_will_be_evicted():
    found = asked(answer(RATIO, *[0.40 - 0.02 * i for i in range(7)]))

    assert found.ranked[0].reason == "NodeDiskFilling"
    # 12 % an hour, 18 % to go.
    assert "rises by 12.0% an hour: it reaches 90%" in found.ranked[0].text
    assert "in 90 min, at 2026-11-18 11:00:00 UTC" in found.ranked[0].text


def test_bytes_are_read_beside_the_size_of_the_same_mount():
    size = answer("node_filesystem_size_bytes", 100 * GI)
    free = answer("node_filesystem_avail_bytes", 6 * GI, 5 * GI)

    assert asked(free, size).ranked[0].reason == "NodeDiskFull"
    assert asked(free).no_cause


def test_an_alert_about_a_workload_on_the_node_hears_of_it():
    found = asked(answer(RATIO, 0.09, 0.08), target="Deployment/shop/api")

    assert ("Node/_cluster/node-1", "NodeDiskFull") in [(str(c.target), c.reason) for c in found.ranked]


@pytest.mark.parametrize(
    "metric",
    [
        answer(RATIO, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5),
        answer(RATIO, 0.05, mountpoint="/boot/efi"),
        answer(RATIO, 0.05, instance="10.9.9.9:9100"),
        answer(RATIO, *[0.30, 0.20, 0.30, 0.20, 0.30, 0.20, 0.30, 0.20]),
        answer("node_filesystem_readonly", 1, 1),
    ],
    ids=["half empty", "a mount nobody runs on", "another machine", "images collected", "another metric"],
)
def test_disks_with_room_and_those_of_others_are_no_findings(metric):
    assert asked(metric).no_cause


def test_a_disk_that_only_fills_or_that_its_kubelet_finds_roomy_is_not_why_a_workload_is_asked_about():
    fills = answer(RATIO, *[0.40 - 0.02 * i for i in range(7)])
    calm = {"type": "DiskPressure", "status": "False", "reason": "KubeletHasNoDiskPressure"}
    roomy = [node(conditions=[calm]), deployment("api")]

    def told(metric: MetricAnswer, *objects: object) -> bool:
        machine = next(o for o in objects if isinstance(o, dict))
        machine["status"]["addresses"] = [{"type": "InternalIP", "address": "10.0.0.11"}]
        whole = replace(snapshot(*objects), metrics=[metric])
        return bool(find_causes(whole, target=Target.parse("Deployment/shop/api")).ranked)

    assert asked(fills, target="Deployment/shop/api").no_cause
    assert not told(answer(RATIO, 0.09, 0.08), *roomy)
    assert told(answer(RATIO, 0.09, 0.08), node(), deployment("api"))


def test_a_disk_that_has_been_as_full_for_days_without_pressure_is_no_finding():
    calm = {"type": "DiskPressure", "status": "False", "reason": "KubeletHasNoDiskPressure"}
    machine = node(conditions=[calm])
    machine["status"]["addresses"] = [{"type": "InternalIP", "address": "10.0.0.11"}]

    def told(*free: float) -> bool:
        whole = replace(snapshot(machine, deployment("api")), metrics=[answer(RATIO, *free)])
        return bool(find_causes(whole, target=Target.parse("Node/_cluster/node-1")).ranked)

    assert not told(*[0.09] * 300)
    assert told(*[0.005] * 300)
    assert told(*[0.4] * 290, *[0.09] * 10)
