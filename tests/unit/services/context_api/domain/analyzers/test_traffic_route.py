"""Routes that lead nowhere."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import traffic_route
from tests.support.kube import crashing, deployment, service, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def ingress(name: str = "api", port=80, **spec):
    backend = {
        "service": {"name": name, "port": {"number": port} if isinstance(port, int) else {"name": port}}
    }
    return thing(
        "Ingress",
        "web",
        api="networking.k8s.io/v1",
        spec={"rules": [{"http": {"paths": [{"backend": backend}]}}], **spec},
    )


def test_a_missing_service_is_told_with_one_spelled_alike():
    (found,) = seen(traffic_route, ingress("orders-svc"), service("orders", ready=1))

    assert said([found]) == [("Ingress/shop/web", "BackendServiceNotFound")]
    assert "Service shop/orders" in found.text


def test_a_port_the_service_does_not_serve_is_told_with_those_it_does():
    (found,) = seen(traffic_route, ingress(port=8080), service("api", port=80, ready=1))

    assert found.reason == "BackendPortNotFound"
    assert "serves 80" in found.text


@pytest.mark.parametrize(
    "route",
    [
        thing("Route", "r", api="route.openshift.io/v1", spec={"to": {"kind": "Service", "name": "apy"}}),
        thing(
            "HTTPRoute",
            "r",
            api="gateway.networking.k8s.io/v1",
            spec={"rules": [{"backendRefs": [{"name": "apy", "port": 80}]}]},
        ),
        thing(
            "VirtualService",
            "r",
            api="networking.istio.io/v1",
            spec={"http": [{"route": [{"destination": {"host": "apy"}}]}]},
        ),
    ],
    ids=["openshift", "gateway", "mesh"],
)
def test_routes_of_every_kind_are_judged(route):
    assert [o.reason for o in seen(traffic_route, route, service("api", ready=1))] == [
        "BackendServiceNotFound"
    ]


def test_a_missing_certificate_and_a_class_nobody_serves_are_told():
    other = [
        thing("Secret", "other"),
        thing("IngressClass", "nginx", None, api="networking.k8s.io/v1"),
        service("api", ready=1),
    ]

    found = seen(traffic_route, ingress(tls=[{"secretName": "web-tls"}], ingressClassName="ngnix"), other)

    assert sorted(o.reason for o in found) == ["IngressClassNotFound", "TlsSecretNotFound"]


def test_an_ingress_over_a_broken_workload_leads_to_it():
    objects = [
        ingress(),
        service("api", not_ready=2),
        deployment("api", statuses=[crashing(code=137, reason="OOMKilled")]),
    ]

    answer = causes(objects, target="Ingress/shop/web")

    assert first(answer) == ("Deployment/shop/api", "OOMKilled")
    assert answer.ranked[0].path == ["Deployment/shop/api", "Service/shop/api", "Ingress/shop/web"]


@pytest.mark.parametrize(
    "objects",
    [
        [ingress(), service("api", ready=2), deployment("api")],
        [ingress("unrecorded")],
        [ingress(port=""), service("api", ready=1)],
    ],
)
def test_routes_that_lead_somewhere_are_no_findings(objects):
    assert causes(objects).no_cause


def test_an_ingress_before_a_workload_scaled_to_zero_is_no_fault_by_itself():
    assert causes(ingress(), service("api"), deployment("api", replicas=0)).no_cause


def default_class(*, default: bool):
    notes = {"ingressclass.kubernetes.io/is-default-class": "true"} if default else None
    return thing("IngressClass", "nginx", None, api="networking.k8s.io/v1", annotations=notes)


def test_an_ingress_nobody_takes_is_told_to_an_alert_about_it():
    objects = [ingress(), service("api", ready=2), deployment("api")]

    assert (
        first(causes(objects, default_class(default=False), target="Ingress/shop/web"))[1]
        == "IngressClassUnset"
    )
    assert causes(objects, default_class(default=False)).no_cause
    assert causes(objects, default_class(default=True), target="Ingress/shop/web").no_cause


def test_an_ingress_that_has_an_address_or_the_annotation_of_old_is_served():
    served = ingress()
    served["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
    noted = ingress()
    noted["metadata"]["annotations"]["kubernetes.io/ingress.class"] = "nginx"

    for one in (served, noted):
        assert said(seen(traffic_route, one, service("api", ready=2), default_class(default=False))) == []


def test_gateways_and_classes_that_do_not_exist_are_told():
    gateway = thing(
        "Gateway", "edge", "infra", api="gateway.networking.k8s.io/v1", spec={"gatewayClassName": "envoi"}
    )
    klass = thing("GatewayClass", "envoy", None, api="gateway.networking.k8s.io/v1")
    route = thing(
        "HTTPRoute",
        "r",
        api="gateway.networking.k8s.io/v1",
        spec={"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": "api", "port": 80}]}]},
    )

    found = seen(traffic_route, route, gateway, klass, service("api", ready=1))

    assert said(found) == [
        ("HTTPRoute/shop/r", "GatewayNotFound"),
        ("Gateway/infra/edge", "GatewayClassNotFound"),
    ]
    assert "Gateway shop/edge, which does not exist; there are Gateway infra/edge" in found[0].text


def test_a_route_to_a_gateway_of_another_namespace_is_well():
    gateway = thing(
        "Gateway", "edge", "infra", api="gateway.networking.k8s.io/v1", spec={"gatewayClassName": "envoy"}
    )
    route = thing(
        "HTTPRoute", "r", api="gateway.networking.k8s.io/v1",
        spec={"parentRefs": [{"name": "edge", "namespace": "infra"}], "rules": [{"backendRefs": [{"name": "api", "port": 80}]}]},
    )  # fmt: skip

    assert said(seen(traffic_route, route, gateway, service("api", ready=1))) == []
