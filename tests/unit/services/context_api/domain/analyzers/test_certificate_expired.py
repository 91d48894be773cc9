"""Certificates past their time, where something uses them."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import certificate_expired
from tests.support.kube import crashing, deployment, log, pods_in, service, thing
from tests.support.triage import causes, first, said, seen

PAST, AHEAD = "2026-11-18T09:00:00+00:00", "2031-01-01T00:00:00+00:00"

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-007")

MOUNTED = {"volumes": [{"name": "tls", "secret": {"secretName": "api-tls"}}]}


def secret(after: str, before: str = "2026-01-01T00:00:00+00:00"):
    return thing(
        "Secret",
        "api-tls",
        type="kubernetes.io/tls",
        dataSummary={
            "tls.crt": {"bytes": 1200, "not_before": before, "not_after": after},
            "tls.key": {"bytes": 1700},
        },
    )


def test_a_client_that_rejects_the_certificate_leads_to_the_secret():
    server = [deployment("api", spec=MOUNTED), service("api", port=443, ready=2)]
    client = deployment("web", statuses=[crashing()])
    logs = [
        log(pods_in(client)[0], "Get https://api:443/: x509: certificate has expired or is not yet valid")
    ]

    answer = causes(
        server, client, secret("2026-11-18T09:00:00+00:00"), target="Deployment/shop/web", logs=logs
    )

    assert first(answer) == ("Secret/shop/api-tls", "CertificateExpired")
    assert "expired at 2026-11-18 09:00:00 UTC" in answer.ranked[0].text


def test_the_certificate_resource_that_should_renew_it_is_the_cause_when_it_says_it_cannot():
    maker = thing(
        "Certificate",
        "api",
        api="cert-manager.io/v1",
        spec={"secretName": "api-tls"},
        status={
            "conditions": [
                {
                    "type": "Ready",
                    "status": "False",
                    "reason": "Expired",
                    "message": "Certificate expired; issuer not found",
                    "lastTransitionTime": "2026-11-18T08:00:00Z",
                }
            ]
        },
    )

    answer = causes(
        deployment("api", spec=MOUNTED),
        secret("2026-11-18T09:00:00+00:00"),
        maker,
        target="Deployment/shop/api",
    )

    assert first(answer)[0] == "Certificate/shop/api"


def test_a_certificate_from_the_future_is_told():
    (found,) = seen(
        certificate_expired,
        deployment("api", spec=MOUNTED),
        secret("2027-01-01T00:00:00+00:00", "2026-12-01T00:00:00+00:00"),
    )

    assert found.reason == "CertificateNotYetValid"


@pytest.mark.parametrize(
    "objects",
    [
        [deployment("api", spec=MOUNTED), secret("2027-01-01T00:00:00+00:00")],
        [deployment("api"), secret("2020-01-01T00:00:00+00:00")],
    ],
    ids=["valid", "expired and unused"],
)
def test_valid_and_unused_certificates_are_no_findings(objects):
    assert said(seen(certificate_expired, objects)) == []


def test_one_that_is_kept_beside_a_valid_one_is_latent_until_a_client_complains():
    both = secret("2027-01-01T00:00:00+00:00")
    both["dataSummary"]["previous.crt"] = secret("2026-11-18T09:00:00+00:00")["dataSummary"]["tls.crt"]
    server = [deployment("api", spec=MOUNTED), service("api", port=443, ready=2)]
    client = deployment("web", statuses=[crashing()])
    logs = [log(pods_in(client)[0], "Get https://api:443/: x509: certificate has expired")]

    assert causes(server, both, target="Deployment/shop/api").no_cause
    assert (
        first(causes(server, client, both, target="Deployment/shop/web", logs=logs))[0]
        == "Secret/shop/api-tls"
    )


def holding(**ends: str):
    """A Secret with these certificates; `__` in a name stands for a dot, and `_` for a dash."""
    made = secret(AHEAD)
    made["dataSummary"] = {
        key.replace("__", ".").replace("_", "-"): {
            "not_before": "2016-01-01T00:00:00+00:00",
            "not_after": after,
        }
        for key, after in ends.items()
    }
    return made


@pytest.mark.parametrize(
    ("both", "latent"),
    [
        (holding(tls__crt=PAST, ca__crt=AHEAD), False),
        (holding(server__crt=PAST, root_ca__pem=AHEAD), False),
        (holding(server__crt=PAST, client__crt=AHEAD), False),
        (holding(broker_0__crt=PAST, broker_1__crt=AHEAD), False),
        (holding(tls__crt=PAST, tls_old__crt=AHEAD), False),
        (holding(ca__crt=PAST, tls__crt=AHEAD), True),
        (holding(signing_old__pem=PAST, signing__pem=AHEAD), True),
        (holding(signing_2025__pem=PAST, signing_2026__pem=AHEAD), True),
    ],
    ids=[
        "served, beside its authority", "by another name", "server and client", "two servers", "served, beside an older one",
        "an authority", "an older one", "last year's",
    ],
)  # fmt: skip
def test_only_what_a_valid_one_took_the_place_of_is_excused(both, latent: bool):
    (found,) = seen(certificate_expired, deployment("api", spec=MOUNTED), both)

    assert found.latent is latent


def test_of_several_the_one_that_nothing_excuses_is_told():
    several = holding(tls__crt=PAST, ca_2026__crt=AHEAD, old_ca__crt=PAST)

    (found,) = seen(certificate_expired, deployment("api", spec=MOUNTED), several)

    assert "`tls.crt`" in found.text
    assert not found.latent
