"""Who fills a node: the one workload that uses far more than it asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libs.contracts.target import Target
from services.context_api.domain.analyzers import node_filled
from services.context_api.domain.snapshot import MetricAnswer
from services.context_api.domain.triage import find_causes
from tests.support.kube import NOW, Doc, ago, container, deployment, node, pod, pods_in, snapshot
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006", "API-BR-CAPI-009")

GI = 2**30


def pressed(kind: str = "MemoryPressure", status: str = "True") -> Doc:
    return node(
        conditions=[{"type": kind, "status": status, "reason": "KubeletHas", "lastTransitionTime": ago(12)}]
    )


def evicted_from(
    name: str, used: str, asked: str, *, resource: str = "memory", minutes: float = 10
) -> list[Doc]:
    """A Deployment with one pod evicted from node-1, as the kubelet words it, and a new one elsewhere."""
    objects = deployment(name, replicas=1, node="node-2")
    message = (
        f"The node was low on resource: {resource}. Threshold quantity: 100Mi, available: 61Mi. "
        f"Container app was using {used}, request is {asked}, has larger consumption of {resource}. "
    )
    gone = pod(f"{name}-7c9d5b6f8-zzzzz", owner=objects[1], phase="Failed", labels={"app": name}, statuses=[],
               conditions=[{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "lastTransitionTime": ago(minutes)}])  # fmt: skip
    gone["status"].update(reason="Evicted", message=message)
    return [*objects, gone]


def test_the_workload_that_fills_the_node_is_the_cause_of_its_neighbours_eviction():
    objects = [
        evicted_from("api", "300Mi", "256Mi"),
        evicted_from("report", "9Gi", "100Mi"),
        pressed(),
        node("node-2"),
    ]

    answer = causes(objects, target="Deployment/shop/api")

    assert first(answer) == ("Deployment/shop/report", "FillsNodeMemory")
    for words in ("uses 9Gi of memory on node node-1", "asked for 100Mi", "no memory limit"):
        assert words in answer.ranked[0].text
    assert {"Node/_cluster/node-1: NodeMemoryPressure", "Deployment/shop/api: Evicted"} <= set(
        answer.ranked[0].explains
    )
    assert first(causes(objects, target="Node/_cluster/node-1"))[0] == "Deployment/shop/report"


def test_it_is_told_after_the_condition_has_been_taken_back():
    objects = [
        evicted_from("api", "300Mi", "256Mi"),
        evicted_from("report", "9Gi", "100Mi"),
        pressed(status="False"),
    ]

    answer = causes(objects, node("node-2"), target="Deployment/shop/api")

    assert first(answer) == ("Deployment/shop/report", "FillsNodeMemory")
    assert "Node/_cluster/node-1: NodeWasUnderPressure" not in answer.ranked[0].explains


def test_disk_is_judged_alike():
    objects = [
        evicted_from("api", "60Ki", "0", resource="ephemeral-storage"),
        evicted_from("report", "40Gi", "0", resource="ephemeral-storage"),
    ]
    machine = pressed("DiskPressure")
    machine["status"]["allocatable"]["ephemeral-storage"] = "90Gi"

    assert first(causes(objects, machine, target="Deployment/shop/api")) == (
        "Deployment/shop/report",
        "FillsNodeDisk",
    )


def test_a_living_hog_is_found_by_recorded_usage():
    report = deployment(
        "report", replicas=1, containers=[container(resources={"requests": {"memory": "128Mi"}})]
    )
    labels = {"__name__": "container_memory_working_set_bytes", "namespace": "shop", "container": "app",
              "pod": pods_in(report)[0]["metadata"]["name"]}  # fmt: skip
    sample = {"metric": labels, "value": [NOW.timestamp(), str(9 * GI)]}
    usage = MetricAnswer("container_memory_working_set_bytes", "instant", NOW, {"result": [sample]})
    whole = snapshot(evicted_from("api", "300Mi", "256Mi"), report, pressed(), node("node-2"))

    answer = find_causes(replace(whole, metrics=[usage]), target=Target.parse("Deployment/shop/api"))

    assert first(answer) == ("Deployment/shop/report", "FillsNodeMemory")


@pytest.mark.parametrize(
    "objects",
    [
        [
            evicted_from("api", "3Gi", "256Mi"),
            evicted_from("report", "3Gi", "100Mi"),
            evicted_from("web", "3Gi", "0"),
        ],
        [evicted_from("api", "300Mi", "256Mi"), evicted_from("report", "9Gi", "9Gi")],
        [evicted_from("api", "60Mi", "0")],
        [
            evicted_from("api", "300Mi", "256Mi", minutes=90),
            evicted_from("report", "9Gi", "100Mi", minutes=90),
        ],
    ],
    ids=["all of them a little", "large and paid for", "too small to fill a node", "long ago"],
)
def test_nobody_is_blamed_when_no_single_workload_fills_it(objects):
    assert said(seen(node_filled, objects, pressed(), node("node-2"))) == []


def test_a_node_that_is_well_and_evicted_nobody_has_no_hog():
    assert said(seen(node_filled, deployment("report"), pressed(status="False"))) == []
