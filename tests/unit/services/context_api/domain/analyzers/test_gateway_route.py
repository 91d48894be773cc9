"""Routes that no gateway takes, and gateways that cannot serve."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import gateway_route
from tests.support.kube import Doc, deployment, edit, service, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

GROUP = "gateway.networking.k8s.io/v1"


def gateway(
    *listeners: Doc, namespace: str = "shop", cls: str = "front", edits: list[Doc] | None = None
) -> Doc:
    every = list(listeners) or [{"name": "web", "port": 80}]
    return thing(
        "Gateway",
        "public",
        namespace,
        api=GROUP,
        edits=edits or [],
        spec={"gatewayClassName": cls, "listeners": every},
    )


def route(
    parent: Doc | None = None, *, hosts: list[str] | None = None, backends: list[Doc] | None = None
) -> Doc:
    spec = {"parentRefs": [{"name": "public", **(parent or {})}], "hostnames": hosts or [], "rules": [{"backendRefs": backends or [{"name": "api", "port": 80}]}]}  # fmt: skip
    return thing("HTTPRoute", "web", api=GROUP, spec=spec)


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ([route({"name": "pubic"}), gateway()], "GatewayNotFound"),
        ([route({"sectionName": "https"}), gateway()], "ListenerNotFound"),
        ([route({"port": 8443}), gateway()], "ListenerNotFound"),
        ([route({"namespace": "edge"}), gateway(namespace="edge")], "RouteNamespaceNotAllowed"),
        ([route({"namespace": "edge"}), gateway({"name": "web", "port": 80, "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"public": "yes"}}}}}, namespace="edge")], "RouteNamespaceNotAllowed"),
        ([route(hosts=["shop.example.org"]), gateway({"name": "web", "port": 80, "hostname": "*.example.com"})], "HostnameNotServed"),
        ([route(backends=[{"name": "api", "namespace": "other", "port": 80}]), gateway(), service("api", "other")], "ReferenceNotGranted"),
    ],
)  # fmt: skip
def test_a_route_that_no_listener_takes_is_told(objects: list[object], reason: str):
    assert said(seen(gateway_route, *objects)) == [("HTTPRoute/shop/web", reason)]


@pytest.mark.parametrize(
    "objects",
    [
        [route(), gateway()],
        [route({"name": "unrecorded"})],
        [route({"kind": "Service", "group": "", "name": "api"}), gateway()],
        [route({"namespace": "edge"}), gateway({"name": "web", "port": 80, "allowedRoutes": {"namespaces": {"from": "All"}}}, namespace="edge")],
        [
            route({"namespace": "edge"}),
            gateway({"name": "web", "port": 80, "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"public": "yes"}}}}}, namespace="edge"),
            thing("Namespace", "shop", None, labels={"public": "yes"}),
        ],
        [route(hosts=["shop.example.com"]), gateway({"name": "web", "port": 80, "hostname": "*.example.com"})],
        [
            route(backends=[{"name": "api", "namespace": "other", "port": 80}]), gateway(), service("api", "other"),
            thing("ReferenceGrant", "in", "other", api="gateway.networking.k8s.io/v1beta1", spec={"from": [{"kind": "HTTPRoute", "namespace": "shop"}], "to": [{"kind": "Service"}]}),
        ],
        [thing("Gateway", "public", api="networking.istio.io/v1", spec={"servers": []})],
    ],
    ids=["same-namespace", "unrecorded", "mesh-parent", "all", "selector", "wildcard", "granted", "istios-gateway"],
)  # fmt: skip
def test_a_route_that_is_let_in_is_no_finding(objects: list[object]):
    assert seen(gateway_route, *objects) == []


def test_the_gateway_is_at_fault_when_it_was_changed_last():
    narrowed = gateway(namespace="edge", edits=[edit(20, "spec/listeners")])

    answer = causes(
        route({"namespace": "edge"}),
        narrowed,
        service("api", ready=2),
        deployment("api"),
        target="Service/shop/api",
    )

    assert first(answer) == ("Gateway/edge/public", "RouteNamespaceNotAllowed")
    assert "kubectl-edit" in answer.ranked[0].text


def test_a_class_and_a_certificate_that_do_not_exist_are_told():
    tls = {"name": "https", "port": 443, "tls": {"certificateRefs": [{"name": "web-tls"}]}}

    found = seen(
        gateway_route,
        gateway(tls, cls="fornt"),
        thing("GatewayClass", "front", None, api=GROUP),
        thing("Secret", "other"),
    )

    assert sorted(o.reason for o in found) == ["GatewayClassNotFound", "TlsSecretNotFound"]
    well = [gateway(tls), thing("GatewayClass", "front", None, api=GROUP), thing("Secret", "web-tls")]
    assert seen(gateway_route, *well) == []


ELSEWHERE = {"name": "api", "namespace": "other", "port": 80}


def grant(
    *namespaces: str, to: str = "Service", kind: str = "HTTPRoute", edits: list[Doc] | None = None
) -> Doc:
    spec = {"from": [{"kind": kind, "namespace": n} for n in namespaces], "to": [{"kind": to}]}
    return thing("ReferenceGrant", "in", "other", api="gateway.networking.k8s.io/v1beta1", spec=spec, edits=edits or [])  # fmt: skip


def spaces(*names: str) -> list[Doc]:
    return [thing("Namespace", name, None) for name in names]


def test_a_grant_that_names_a_namespace_which_does_not_exist_is_the_cause_for_what_the_route_leads_to():
    answer = causes(
        route(backends=[ELSEWHERE]), gateway(), service("api", "other", ready=2), deployment("api", "other"),
        grant("shopp"), spaces("shop", "other"), target="Deployment/other/api",
    )  # fmt: skip

    assert first(answer) == ("ReferenceGrant/other/in", "ReferenceNotGranted")
    assert "there is no namespace `shopp`" in answer.ranked[0].text


@pytest.mark.parametrize(
    ("granted", "about"),
    [
        (grant("desk", edits=[edit(20, "spec/from")]), "ReferenceGrant/other/in"),
        (grant("desk"), "HTTPRoute/shop/web"),
        (grant("shop", kind="GRPCRoute", edits=[edit(20, "spec/from")]), "HTTPRoute/shop/web"),
        (grant("desk", to="Secret", edits=[edit(20, "spec/from")]), "HTTPRoute/shop/web"),
    ],
    ids=["edited-last", "for-somebody-else", "for-another-kind", "to-another-kind"],
)
def test_a_grant_for_others_is_at_fault_only_when_it_was_edited_last(granted: Doc, about: str):
    objects = (route(backends=[ELSEWHERE]), gateway(), service("api", "other"), granted, spaces("shop", "other", "desk"))  # fmt: skip

    assert said(seen(gateway_route, *objects)) == [(about, "ReferenceNotGranted")]


def test_a_certificate_of_another_namespace_needs_a_grant_too():
    tls = {"name": "https", "port": 443, "tls": {"certificateRefs": [{"name": "web-tls", "namespace": "other"}]}}  # fmt: skip
    held = thing("Secret", "web-tls", "other")

    assert said(seen(gateway_route, gateway(tls), held)) == [("Gateway/shop/public", "ReferenceNotGranted")]
    assert seen(gateway_route, gateway(tls), held, grant("shop", to="Secret", kind="Gateway")) == []


def test_a_gateway_that_is_gone_is_a_leftover_where_another_one_takes_the_route():
    moved = route()
    moved["spec"]["parentRefs"].append({"name": "former"})
    lost = route({"sectionName": "https"})
    lost["spec"]["parentRefs"].append({"name": "former"})

    (found,) = seen(gateway_route, moved, gateway())
    assert (found.reason, found.latent) == ("GatewayNotFound", True)
    assert sorted((o.reason, o.latent) for o in seen(gateway_route, lost, gateway())) == [
        ("GatewayNotFound", False),
        ("ListenerNotFound", False),
    ]
