"""Who carries the traffic of a route."""

from __future__ import annotations

import pytest

from services.context_api.domain.doors import addresses, doors
from services.context_api.domain.graph import Graph
from tests.support.kube import container, deployment, service, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008")


def balanced(*hosts: str) -> dict[str, object]:
    return {"loadBalancer": {"ingress": [{"hostname": h} for h in hosts]}}


def ingress(status: dict[str, object] | None = None, called: str = "web"):
    return thing(
        "Ingress", "shop", api="networking.k8s.io/v1", spec={"ingressClassName": called}, status=status or {}
    )


def front(*hosts: str):
    made = service("front", "edge", selector={"app": "front"})
    made[0]["status"] = balanced(*hosts)
    return [made, deployment("front", "edge")]


def of(route, *objects) -> list[str]:
    graph = Graph(snapshot(route, *objects))
    found = graph.find(route["kind"], "shop", route["metadata"]["name"])
    assert found is not None
    return [str(door) for door in doors(graph, found)]


def test_the_service_at_the_routes_own_address_carries_it():
    other = service("other", "edge", selector={"app": "other"})
    other[0]["status"] = balanced("b.lb.example.com")

    assert of(ingress(balanced("a.lb.example.com")), front("a.lb.example.com"), other) == [
        "Service/edge/front", "Deployment/edge/front",
    ]  # fmt: skip


def test_a_gateway_tells_its_addresses_in_its_own_field():
    gateway = thing(
        "Gateway",
        "public",
        api="gateway.networking.k8s.io/v1",
        status={"addresses": [{"type": "Hostname", "value": "a.lb.example.com"}]},
    )

    assert of(gateway, front("a.lb.example.com"))[0] == "Service/edge/front"


@pytest.mark.parametrize("argument", ["--ingress-class=web", "--controller-class=example.com/web"])
def test_without_an_address_the_workload_that_serves_its_class_carries_it(argument: str):
    kind = thing(
        "IngressClass", "web", None, api="networking.k8s.io/v1", spec={"controller": "example.com/web"}
    )
    serving = deployment("controller", "edge", containers=[container(args=[argument])])

    assert of(ingress(), kind, serving) == ["Deployment/edge/controller"]


def test_a_controller_of_another_class_does_not():
    serving = deployment("controller", "edge", containers=[container(args=["--ingress-class=internal"])])

    assert of(ingress(), serving, front("c.lb.example.com")) == []


def test_a_status_without_addresses_has_none():
    graph = Graph(snapshot(ingress()))
    (route,) = graph.of_kind("Ingress")

    assert addresses(route) == set()
