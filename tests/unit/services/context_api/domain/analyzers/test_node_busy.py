"""Who takes a node's processors, and whose requests wait there."""

from __future__ import annotations

import pytest

from tests.support.kube import container, deployment, edit, node, pods_in, service
from tests.support.series import answered, recorded
from tests.support.triage import first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

IDLE = '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m]))'
USAGE = "sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total[5m]))"
P99 = "histogram_quantile(0.99, sum by (namespace, service, pod, le) (rate(http_request_duration_seconds_bucket[5m])))"
BUSY = [0.3] * 20 + [0.99] * 15


def asking(cpu: str):
    return [container(resources={"requests": {"cpu": cpu}})]


API = deployment("api", containers=asking("400m"), node="node-1")
FAR = deployment("api-far", labels={"app": "api", "zone": "far"}, containers=asking("400m"), node="node-2")
GREEDY = deployment(
    "greedy",
    "media",
    replicas=1,
    containers=asking("500m"),
    node="node-1",
    edits=[edit(15, "spec/template/spec/containers/app/env")],
)
NODES = (node("node-1", cpu="4"), node("node-2", cpu="4"))
ALL = (*NODES, API, service("api", ready=2), GREEDY)


def name(objects, index: int = 0) -> str:
    return str(pods_in(objects)[index]["metadata"]["name"])


def used(objects, cores: float, namespace: str = "shop"):
    return recorded(USAGE, [cores] * 35, namespace=namespace, pod=name(objects), container="app")


SLOW = recorded(P99, [0.2] * 20 + [1.8] * 15, namespace="shop", service="api", pod=name(API))


def busy(values=BUSY, instance: str = "node-1"):
    return recorded(IDLE, values, instance=instance)


def test_the_workload_that_takes_the_node_is_named_with_what_it_takes_and_asked_for():
    answer = answered(
        "Service/shop/api", *ALL, metrics=[busy(), SLOW, used(GREEDY, 3.4, "media"), used(API, 0.3)]
    )

    assert first(answer) == ("Deployment/media/greedy", "TakesNodeCpu")
    told = answer.ranked[0].text
    assert "takes 3.4 of the 4 CPU cores of node node-1 and asked for 0.5; it has no cpu limit" in told
    assert "node-1 is 99.0% busy (30% before" in told


@pytest.mark.parametrize("instance", ["node-1", "node-1:9100"])
def test_an_alert_about_the_node_itself_is_answered_alike(instance: str):
    answer = answered(
        "Node/_cluster/node-1", *ALL, metrics=[busy(instance=instance), used(GREEDY, 3.4, "media")]
    )

    assert first(answer) == ("Deployment/media/greedy", "TakesNodeCpu")


def test_use_within_a_request_is_paid_for():
    paid = deployment("paid", "media", replicas=1, containers=asking("3500m"), node="node-1")

    answer = answered(
        "Service/shop/api",
        *NODES,
        API,
        service("api", ready=2),
        paid,
        metrics=[busy(), SLOW, used(paid, 3.4, "media")],
    )

    assert first(answer) == ("Node/_cluster/node-1", "NodeCpuBusy")


@pytest.mark.parametrize(
    "metrics",
    [
        [busy([0.3] * 35), used(GREEDY, 3.4, "media")],
        [busy(instance="node-2"), used(GREEDY, 3.4, "media")],
        [used(GREEDY, 3.4, "media")],
    ],
    ids=["a node with room", "another node", "nobody measured the node"],
)
def test_a_workload_on_a_node_with_room_takes_nothing_from_anybody(metrics):
    assert first(answered("Service/shop/api", *ALL, metrics=[SLOW, *metrics])) == (
        "Service/shop/api",
        "RequestsSlow",
    )


def test_slow_pods_on_other_nodes_are_not_its_doing():
    elsewhere = recorded(P99, [0.2] * 20 + [1.8] * 15, namespace="shop", service="api", pod=name(FAR))

    answer = answered("Service/shop/api", *ALL, FAR, metrics=[busy(), elsewhere, used(GREEDY, 3.4, "media")])

    assert first(answer) == ("Service/shop/api", "RequestsSlow")


def test_a_busy_node_is_no_fault_for_an_alert_about_what_does_not_wait():
    assert answered("Service/shop/api", *ALL, metrics=[busy(), used(GREEDY, 3.4, "media")]).no_cause


HOUR = 3600.0
NIGHTLY = [0.99 if n % 24 < 2 else 0.3 for n in range(72, -1, -1)]


def test_a_node_that_is_as_busy_each_night_is_no_fault():
    nightly = recorded(IDLE, NIGHTLY, HOUR, instance="node-1")
    tonight = recorded(IDLE, [0.3] * 71 + [0.99] * 2, HOUR, instance="node-1")

    assert answered("Node/_cluster/node-1", *ALL, metrics=[nightly]).no_cause
    assert first(answered("Node/_cluster/node-1", *ALL, metrics=[tonight])) == (
        "Node/_cluster/node-1",
        "NodeCpuBusy",
    )


def test_a_busy_node_on_which_all_answers_are_as_fast_as_before_is_no_fault():
    fast = recorded(P99, [0.2] * 35, namespace="shop", service="api", pod=name(API))
    use = used(GREEDY, 3.4, "media")

    assert answered("Node/_cluster/node-1", *ALL, metrics=[busy(), fast, use]).no_cause
    assert answered("Node/_cluster/node-1", *ALL, metrics=[busy(), SLOW, use]).ranked
