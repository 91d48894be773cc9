"""Who carries calls between pods, and whose calls go astray."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.carriers import carriers
from services.context_api.domain.dependencies import ASTRAY, Dependencies, blames
from services.context_api.domain.graph import Graph
from tests.support.kube import deployment, log, pods_in, service, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")


def agent(name: str = "net-agent", *, network: bool = True, rank: str = "system-node-critical", **more: Any):
    spec = {"hostNetwork": network, "priorityClassName": rank, "containers": [{"name": "app"}], **more}
    return thing(
        "DaemonSet", name, "kube-system", api="apps/v1",
        spec={"selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}}, "spec": spec}},
    )  # fmt: skip


WEB = deployment("web", replicas=1)
CALLED = [
    service("pay", ready=2, port=8080),
    service("stock", ready=1, port=8080),
    service("gone", ready=0, port=8080),
]


def complaints(*hosts: str) -> str:
    return "\n".join(f"ERROR Get http://{host}:8080/: connect: no route to host" for host in hosts)


def asked(text: str):
    graph = Graph(snapshot(WEB, CALLED, agent(), logs=[log(pods_in(WEB)[0], text)]))
    top = graph.get("Deployment", "shop", "web")
    assert top is not None
    return Dependencies(graph), top


def test_a_carrier_runs_on_every_node_in_its_network_and_is_critical_for_it():
    graph = Graph(
        snapshot(agent(), agent("exporter", rank=""), agent("disks", network=False), deployment("net-agent"))
    )

    assert [str(one) for one in carriers(graph)] == ["DaemonSet/kube-system/net-agent"]


def test_calls_of_services_with_ready_pods_go_astray_and_others_do_not():
    deps, top = asked(complaints("pay", "gone"))

    assert [service.name for service in deps.astray(top)] == ["pay"]


@pytest.mark.parametrize(
    "words",
    ["ERROR POST http://pay:8080/ status 500", "ERROR http://pay:8080/ unauthorized", "INFO Get http://pay:8080/ 200"],
    ids=["it answers with an error", "it refuses who asks", "all is well"],
)  # fmt: skip
def test_whoever_answered_was_reached(words: str):
    deps, top = asked(words)

    assert deps.astray(top) == []


def test_several_services_that_are_not_reached_have_their_carriers_in_common():
    deps, top = asked(complaints("pay", "stock"))

    strengths = {str(b.on): b.strength for b in blames(deps, top, [])}

    assert strengths["DaemonSet/kube-system/net-agent"] == ASTRAY


def test_one_service_alone_is_the_better_suspect():
    deps, top = asked(complaints("pay"))

    assert "DaemonSet/kube-system/net-agent" not in {str(b.on) for b in blames(deps, top, [])}
