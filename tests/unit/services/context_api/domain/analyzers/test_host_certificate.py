"""Who serves a host whose certificate is refused."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.analyzers import host_certificate
from tests.support.kube import Doc, ago, applied, edit, service, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-007")

HOST = "login.apps.example.com"
OTHER = f'Get "https://{HOST}/healthz": tls: failed to verify certificate: x509: certificate is valid for apps.example.com, not {HOST}'
UNKNOWN = f'Get "https://{HOST}/healthz": tls: failed to verify certificate: x509: certificate signed by unknown authority'


def operator(message: str = OTHER, turned: float = 20) -> Doc:
    state = {"type": "Degraded", "status": "True", "reason": "RouteCheck", "message": message, "lastTransitionTime": ago(turned)}  # fmt: skip
    return thing(
        "ClusterOperator", "login", None, api="config.openshift.io/v1", status={"conditions": [state]}
    )


def router(*, edited: float | None = None, domain: str = "apps.example.com") -> Doc:
    return thing(
        "IngressController", "default", "routers", api="operator.openshift.io/v1", annotations=applied({"spec": {"defaultCertificate": {"name": "old"}}}),
        edits=[edit(edited, "spec/defaultCertificate/name")] if edited is not None else [], spec={"domain": domain, "defaultCertificate": {"name": "new"}},
    )  # fmt: skip


def ingress(*hosts: str) -> Doc:
    return thing("Ingress", "login", api="networking.k8s.io/v1", spec={"tls": [{"hosts": list(hosts), "secretName": "login-tls"}]})  # fmt: skip


def secret(name: str, namespace: str, age: float) -> Doc:
    return thing("Secret", name, namespace, age=age, dataSummary={"tls.crt": {"bytes": 900}})


def test_who_serves_the_domain_of_a_refused_host_is_the_cause_with_what_was_changed():
    answer = causes(operator(), router(edited=24), target="ClusterOperator/_cluster/login")

    assert first(answer) == ("IngressController/routers/default", "CertificateRefused")
    for fact in ("Secret new", "`old` → `new`", f"not {HOST}"):
        assert fact in answer.ranked[0].text


@pytest.mark.parametrize("hosts", [(HOST,), ("*.apps.example.com",)])
def test_an_ingress_whose_secret_was_renewed_just_before_is_told(hosts: tuple[str, ...]):
    (found,) = seen(host_certificate, operator(UNKNOWN), ingress(*hosts), secret("login-tls", "shop", 25))

    assert said([found]) == [("Ingress/shop/login", "CertificateRefused")]
    assert "Secret shop/login-tls was made" in found.text


def test_a_gateways_listener_serves_as_well():
    gateway = thing("Gateway", "edge", api="gateway.networking.k8s.io/v1", spec={"listeners": [
        {"name": "https", "hostname": "*.apps.example.com", "tls": {"certificateRefs": [{"name": "edge-tls"}]}}]})  # fmt: skip

    assert said(seen(host_certificate, operator(), gateway)) == [("Gateway/shop/edge", "CertificateRefused")]


@pytest.mark.parametrize(
    "objects",
    [
        [operator(UNKNOWN), router()],
        [operator(UNKNOWN), router(edited=400)],
        [operator(), router(domain="other.example.com")],
        [operator(f"{HOST} answers 503"), router(edited=24)],
        [operator(UNKNOWN), ingress("*.example.com"), secret("login-tls", "shop", 25)],
        [operator(OTHER.replace(HOST, "db.shop.svc.cluster.local")), router(edited=24, domain="svc.cluster.local"), service("db")],
    ],
    ids=["unchanged", "changed long before", "another domain", "no certificate", "a star is one label", "a Service"],
)  # fmt: skip
def test_who_has_nothing_to_do_with_the_refusal_is_not_named(objects: list[Any]):
    assert said(seen(host_certificate, *objects)) == []
