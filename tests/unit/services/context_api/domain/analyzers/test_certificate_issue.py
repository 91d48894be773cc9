"""Certificates that are not issued, not renewed, or not taken up."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.analyzers import certificate_issue
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import ContainerLog
from services.context_api.domain.triage import observe
from tests.support.kube import (
    Doc,
    ago,
    container,
    deployment,
    env,
    event,
    log,
    pods_in,
    running,
    service,
    snapshot,
    thing,
)
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

GROUP = "cert-manager.io/v1"


def certificate(renewal: float = -60 * 24, ends: float = -60 * 24 * 30, **status: object) -> Doc:
    """`renewal`, `ends`: minutes ago; negative ones are to come."""
    return thing(
        "Certificate", "web-tls", api=GROUP, spec={"secretName": "web-tls", "issuerRef": {"name": "ca", "kind": "ClusterIssuer"}},
        status={"renewalTime": ago(renewal), "notAfter": ago(ends), **status},
    )  # fmt: skip


def issuer(name: str = "ca", spec: Doc | None = None) -> Doc:
    return thing("ClusterIssuer", name, None, api=GROUP, spec=spec or {})


TOKEN = {
    "acme": {"solvers": [{"dns01": {"cloudflare": {"apiTokenSecretRef": {"name": "token", "key": "t"}}}}]}
}
ELSEWHERE = thing("Secret", "account", "cert-manager")


def test_a_renewal_that_is_overdue_is_told_with_what_the_last_step_says():
    owner = certificate(60 * 30, -60)
    request = thing("CertificateRequest", "web-tls-2", api=GROUP, owner=owner, status={})
    order = thing(
        "Order", "web-tls-2-1", api="acme.cert-manager.io/v1", owner=request, status={"state": "pending"}
    )
    challenge = thing("Challenge", "web-tls-2-1-1", api="acme.cert-manager.io/v1", owner=order, status={"reason": "DNS record not yet propagated"})  # fmt: skip

    found = [
        o
        for o in seen(certificate_issue, owner, issuer(), request, order, challenge)
        if o.about.kind == "Certificate"
    ]

    assert said(found) == [("Certificate/shop/web-tls", "CertificateNotRenewed")]
    assert "Challenge shop/web-tls-2-1-1 says `DNS record not yet propagated`" in found[0].text


def test_a_certificate_within_its_time_or_just_being_renewed_is_well():
    assert seen(certificate_issue, certificate(), issuer()) == []
    assert seen(certificate_issue, certificate(10), issuer()) == []


def test_an_issuer_that_does_not_exist_is_told_with_those_that_do():
    (found,) = seen(certificate_issue, certificate(), issuer("corp-ca"))

    assert found.reason == "IssuerNotFound"
    assert "corp-ca" in found.text


def test_issuers_that_were_not_recorded_are_not_missing():
    assert seen(certificate_issue, certificate()) == []


def test_an_issuer_without_its_credentials_is_why_its_certificates_are_late():
    answer = causes(
        certificate(60 * 30, 20), issuer(spec=TOKEN), ELSEWHERE, target="Certificate/shop/web-tls"
    )

    assert first(answer) == ("ClusterIssuer/_cluster/ca", "IssuerSecretNotFound")
    assert "cert-manager/token" in answer.ranked[0].text


def test_missing_credentials_nobody_needs_yet_are_no_fault():
    (found,) = seen(certificate_issue, certificate(), issuer(spec=TOKEN), ELSEWHERE)

    assert found.latent
    assert causes(certificate(), issuer(spec=TOKEN), ELSEWHERE).no_cause


def test_secrets_that_were_not_recorded_are_not_missing():
    assert seen(certificate_issue, certificate(), issuer(spec=TOKEN)) == []


def a_client_and_a_server(
    valid_from: float, server_age: float, line: str
) -> tuple[list[Any], list[ContainerLog]]:
    tls = {"volumes": [{"name": "tls", "secret": {"secretName": "web-tls"}}]}
    secret = thing(
        "Secret",
        "web-tls",
        dataSummary={"tls.crt": {"not_before": ago(valid_from), "not_after": ago(-60 * 24 * 60)}},
    )
    server = deployment("web", spec=tls, age=server_age)
    unready = [running(ready=False)]
    client = deployment("desk", containers=[container(env=env(WEB_URL="https://web"), readinessProbe={"httpGet": {"path": "/", "port": 80}})], statuses=unready)  # fmt: skip
    objects: list[Any] = [secret, server, service("web", port=443, ready=2), client]
    objects += [
        event(p, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
        for p in pods_in(client)
    ]
    return objects, [log(p, line) for p in pods_in(client)]


EXPIRED = 'Get "https://web/x": tls: failed to verify certificate: x509: certificate has expired or is not yet valid'


def still_serving(*case: Any) -> list[tuple[str, str]]:
    objects, logs = a_client_and_a_server(*case)
    everything = observe(Scene(snapshot(*objects, logs=logs)))
    return said([o for o in everything if o.analyzer == certificate_issue.NAME])


def test_a_server_older_than_its_new_certificate_still_serves_the_old_one():
    assert still_serving(60 * 24 * 3, 60 * 24 * 20, EXPIRED) == [
        ("Deployment/shop/web", "OldCertificateInUse")
    ]


@pytest.mark.parametrize(
    ("valid_from", "age", "line"),
    [
        (60 * 24 * 30, 60 * 24 * 20, EXPIRED),
        (60 * 24 * 3, 60 * 24 * 20, 'Get "https://web/x": x509: certificate signed by unknown authority'),
        (60 * 24 * 3, 60 * 24 * 20, 'Get "https://web/x": connection refused'),
    ],
    ids=["started-after", "unknown-authority", "another-trouble"],
)
def test_other_complaints_and_restarted_servers_say_nothing_of_it(valid_from: float, age: float, line: str):
    assert still_serving(valid_from, age, line) == []
