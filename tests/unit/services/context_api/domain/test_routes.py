"""Which hosts and paths routes claim, and which one a URL reaches."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.graph import Graph
from services.context_api.domain.routes import claims, covers, reached, refusal, standing, within
from tests.support.kube import kube, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-016")


def ingress(name: str, host: str, *paths: str, **more: Any):
    rule = {
        "host": host,
        "http": {"paths": [{"path": p, "backend": {"service": {"name": name}}} for p in paths]},
    }
    return thing("Ingress", name, api="networking.k8s.io/v1", spec={"rules": [rule]}, **more)  # fmt: skip


def route(name: str, host: str, path: str = "", *, admitted: str = "", namespace: str = "shop", **more: Any):
    said = [{"conditions": [{"type": "Admitted", "status": admitted, "reason": "HostAlreadyClaimed"}]}]
    status = {"ingress": said} if admitted else {}
    spec = {"host": host, "path": path, "to": {"kind": "Service", "name": name}}
    return thing("Route", name, namespace, api="route.openshift.io/v1", spec=spec, status=status, **more)


def http_route(name: str, *hosts: str, path: str = "/"):
    rules = [{"matches": [{"path": {"value": path}}], "backendRefs": [{"name": name}]}]
    return thing(
        "HTTPRoute",
        name,
        api="gateway.networking.k8s.io/v1",
        spec={"hostnames": list(hosts), "rules": rules},
    )


@pytest.mark.parametrize(
    ("doc", "asked"),
    [
        (ingress("a", "Shop.example.com", "/x", "/y"), [("shop.example.com", "/x"), ("shop.example.com", "/y")]),
        (ingress("a", "shop.example.com"), [("shop.example.com", "/")]),
        (ingress("a", ""), []),
        (route("a", "shop.example.com", "/api"), [("shop.example.com", "/api")]),
        (http_route("a", "a.example.com", "b.example.com", path="/v1"), [("a.example.com", "/v1"), ("b.example.com", "/v1")]),
        (thing("Service", "a", spec={"host": "shop.example.com"}), []),
    ],
    ids=["ingress", "ingress without paths", "ingress for every host", "route", "http route", "no route"],
)  # fmt: skip
def test_a_route_claims_hosts_with_paths(doc: dict[str, Any], asked: list[tuple[str, str]]):
    assert claims(kube(doc)) == asked


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://shop.example.com/", "front"),
        ("https://shop.example.com/api/v2/items?x=1", "api"),
        ("https://shop.example.com/apis", "front"),
        ("https://user@shop.example.com:8443/api", "api"),
        ("https://blog.example.com/", "any"),
        ("https://elsewhere.example.org/", None),
        ("https://[broken/", None),
        ("tcp", None),
    ],
)
def test_a_url_reaches_the_most_exact_host_and_the_longest_path(url: str, name: str | None):
    graph = Graph(
        snapshot(
            ingress("front", "shop.example.com", "/"), ingress("api", "shop.example.com", "/api"), ingress("any", "*.example.com", "/")
        )
    )  # fmt: skip

    found = reached(graph, url)

    assert (found.name if found else None) == name


def test_of_equal_claims_the_one_that_is_not_refused_then_the_oldest_is_reached():
    refused = route("first", "shop.example.com", admitted="False", age=9000)
    second, third = route("second", "shop.example.com", age=800), route("third", "shop.example.com", age=7)

    found = reached(Graph(snapshot(third, refused, second)), "https://shop.example.com/")

    assert found is not None
    assert found.name == "second"


def test_a_route_is_refused_where_nobody_takes_it():
    some = route("a", "shop.example.com", admitted="False")
    some["status"]["ingress"].append({"conditions": [{"type": "Admitted", "status": "True"}]})

    assert refusal(kube(some)) is None
    assert refusal(kube(route("a", "shop.example.com", admitted="False"))) is not None
    assert refusal(kube(route("a", "shop.example.com"))) is None


def test_hosts_and_paths_are_compared_by_whole_parts():
    assert covers("*.example.com", "a.example.com")
    assert not covers("*.example.com", "a.b.example.com")
    assert within("/api", "/api/v1")
    assert not within("/api", "/apis")


def test_what_asks_for_more_than_a_path_shares_it_with_others():
    doc = http_route("a", "shop.example.com")
    beta = {"path": {"value": "/x"}, "headers": [{"name": "beta", "value": "1"}]}
    doc["spec"]["rules"][0]["matches"].append(beta)

    assert claims(kube(doc)) == [("shop.example.com", "/")]


def router(name: str):
    return thing("IngressController", name, "openshift-ingress-operator", api="operator.openshift.io/v1")


def said_by(**by: str):
    entries = [
        {"routerName": name, "conditions": [{"type": "Admitted", "status": status}]}
        for name, status in by.items()
    ]
    return thing("Route", "api", api="route.openshift.io/v1", status={"ingress": entries})


def of_gateways(**by: str):
    entries = [
        {"parentRef": {"name": name}, "conditions": [{"type": "Accepted", "status": status}]}
        for name, status in by.items()
    ]
    return thing("HTTPRoute", "api", api="gateway.networking.k8s.io/v1", status={"parents": entries})


def gateway(name: str):
    return thing("Gateway", name, api="gateway.networking.k8s.io/v1")


@pytest.mark.parametrize(
    ("objects", "statuses"),
    [
        ([said_by(default="True", fair="False"), router("default")], ["True"]),
        ([said_by(default="True", fair="False"), router("default"), router("fair")], ["True", "False"]),
        ([said_by(default="True", fair="False")], ["True", "False"]),
        ([said_by(default="False", fair="False"), router("default")], ["False", "False"]),
        ([said_by(fair="False"), router("default")], ["False"]),
        ([of_gateways(outer="True", inner="False"), gateway("outer")], ["True"]),
        ([of_gateways(outer="False", inner="False"), gateway("outer")], ["False"]),
        ([of_gateways(outer="True", inner="False"), gateway("outer"), gateway("inner")], ["True", "False"]),
        ([of_gateways(outer="True", inner="False")], ["True", "False"]),
    ],
    ids=[
        "router gone", "router there", "no router recorded", "no other takes it", "of no other", "Gateway gone",
        "Gateway gone, and the other says the same", "Gateway there", "none recorded",
    ],
)  # fmt: skip
def test_what_a_router_or_for_a_gateway_that_is_no_more_is_said_stands_no_longer(objects, statuses):
    graph = Graph(snapshot(*objects))
    (found,) = graph.of_kind("Route", "HTTPRoute")

    assert [c.status for c in standing(graph, found)] == statuses
