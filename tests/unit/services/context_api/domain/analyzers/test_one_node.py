"""Nodes on which alone pods fail."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import one_node
from tests.support.kube import (
    ago,
    config_map,
    container,
    deployment,
    edit,
    env,
    event,
    log,
    node,
    pods_in,
    service,
    waiting,
)
from tests.support.series import answered, recorded
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

BAD = "ERROR GET http://api:80/x: dial tcp 10.96.0.7:80: i/o timeout"
NODES = (node("node-1"), node("node-2"), node("node-3"))
API = [service("api", ready=2), deployment("api", node="node-1")]
SETTINGS = config_map("settings", edits=[edit(20, "data/level")], level="warn")


def lines(words: str) -> str:
    return "\n".join(f"{ago(9 - n)} {words}" for n in range(6))


def web(*nodes: str):
    mounted = {"volumes": [{"name": "s", "configMap": {"name": "settings"}}]}
    made = deployment(
        "web", replicas=len(nodes), containers=[container(env=env(API="http://api:80"))], spec=mounted
    )
    for pod, name in zip(pods_in(made), nodes, strict=True):
        pod["spec"]["nodeName"] = name
    return made


def logs(made, *bad: int):
    return [log(p, lines(BAD if n in bad else "INFO served")) for n, p in enumerate(pods_in(made))]


def full(values, instance: str = "node-2:9100"):
    names = ("node_nf_conntrack_entries", "node_nf_conntrack_entries_limit")
    return [
        recorded(name, v, __name__=name, instance=instance)
        for name, v in zip(names, (values, [1000.0] * len(values)), strict=True)
    ]


FILLED = [200.0] * 20 + [1000.0] * 11


def test_the_node_is_the_cause_where_only_its_pods_fail_and_its_table_is_full():
    made = web("node-1", "node-2", "node-3")

    answer = answered(
        "Service/shop/web",
        made,
        service("web", ready=3),
        API,
        NODES,
        SETTINGS,
        logs=logs(made, 1),
        metrics=full(FILLED),
    )

    assert first(answer) == ("Node/_cluster/node-2", "FailsOnlyHere")
    told = answer.ranked[0].text
    assert "pods of the same kind on node-1, node-3 are well" in told
    assert "conntrack" in told


def test_a_workload_that_began_to_use_more_at_that_time_is_told_along():
    made = web("node-1", "node-2", "node-3")
    batch = deployment("batch", "audit", replicas=1, node="node-2")
    used = recorded(
        "rate(container_cpu_usage_seconds_total[5m])", [0.1] * 18 + [0.9] * 13,
        namespace="audit", pod=pods_in(batch)[0]["metadata"]["name"], container="app",
    )  # fmt: skip

    answer = answered(
        "Service/shop/web",
        made,
        service("web", ready=3),
        API,
        NODES,
        batch,
        logs=logs(made, 1),
        metrics=[*full(FILLED), used],
    )

    assert "Deployment audit/batch there began to use more" in answer.ranked[0].text


def test_an_edit_that_the_well_pods_read_too_is_a_poorer_reason_than_without_them():
    made = web("node-1", "node-2", "node-3")
    some, everybody = (
        next(
            o
            for o in causes(
                made, API, NODES, SETTINGS, target="Deployment/shop/web", logs=logs(made, *bad)
            ).ranked
            if o.target.kind == "ConfigMap"
        )
        for bad in ((1,), (0, 1, 2))
    )

    assert some.confidence.value < 0.7 * everybody.confidence.value


def test_several_workloads_without_a_sandbox_lead_to_their_node():
    def half(name: str):
        made = deployment(name, replicas=2, statuses=None)
        new = pods_in(made)[1]
        new["spec"]["nodeName"] = "node-3"
        new["status"] |= {
            "phase": "Pending",
            "containerStatuses": [waiting()],
            "conditions": [{"type": "Ready", "status": "False"}],
        }
        made[0]["status"] |= {"readyReplicas": 1, "availableReplicas": 1}
        message = (
            'Failed to create pod sandbox: plugin type="other" failed (add): no addresses for node node-3'
        )
        return [made, event(new, "FailedCreatePodSandBox", message)]

    one, two = half("web"), half("mail")

    answer = causes(one, two, NODES, target="Deployment/shop/web")

    assert first(answer) == ("Node/_cluster/node-3", "FailsOnlyHere")
    assert "no addresses for node node-3" in answer.ranked[0].text


@pytest.mark.parametrize(
    ("nodes", "bad"),
    [
        (("node-1", "node-2", "node-3"), (0, 1, 2)),
        (("node-1", "node-2", "node-3"), (0, 1)),
        (("node-2", "node-2", "node-3"), (0,)),
    ],
    ids=["all fail", "two nodes fail", "another pod on the node is well"],
)
def test_what_a_node_does_not_tell_apart_is_not_its_fault(nodes, bad):
    made = web(*nodes)

    answer = causes(made, API, NODES, SETTINGS, target="Deployment/shop/web", logs=logs(made, *bad))

    assert "FailsOnlyHere" not in [o.reason for o in answer.ranked]


def test_a_full_table_answers_an_alert_about_its_node_and_nobody_elses():
    made = web("node-1", "node-2", "node-3")
    metrics = full(FILLED)

    here = answered("Node/_cluster/node-2", made, API, NODES, metrics=metrics)
    there = answered(
        "Service/shop/web", made, service("web", ready=3), API, NODES, metrics=metrics, logs=logs(made)
    )

    assert first(here) == ("Node/_cluster/node-2", "NodeAtLimit")
    assert there.ranked == []


def test_nothing_is_seen_without_metrics_of_a_limit():
    assert said(seen(one_node, web("node-1"), NODES)) == []
