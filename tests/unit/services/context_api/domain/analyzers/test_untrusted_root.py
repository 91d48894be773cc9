"""Trusted roots that are older than the root which signs."""

from __future__ import annotations

import pytest

from tests.support.kube import ago, config_map, container, deployment, edit, log, pods_in, service, thing
from tests.support.triage import causes, first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-007")

DAY = 60 * 24.0
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
UNKNOWN = "ERROR Post https://api:443/x: tls: failed to verify certificate: x509: certificate signed by unknown authority"
EXPIRED = "ERROR Post https://api:443/x: x509: certificate has expired or is not yet valid"
API = deployment("api", spec={"volumes": [{"name": "tls", "secret": {"secretName": "api-tls"}}]})


def dated(name: str, began: float, namespace: str = "shop"):
    days = {"bytes": 500, "not_before": ago(began), "not_after": "2027-06-01T00:00:00Z"}
    return thing(
        "Secret",
        name,
        namespace,
        age=DAY * 80,
        type="kubernetes.io/tls",
        dataSummary={"tls.crt": days, "tls.key": {"bytes": 0}},
    )


def issued():
    return [
        thing("Certificate", "api", api="cert-manager.io/v1", spec={"secretName": "api-tls", "issuerRef": {"name": "house", "kind": "ClusterIssuer"}}),
        thing("ClusterIssuer", "house", None, api="cert-manager.io/v1", spec={"ca": {"secretName": "root"}}),
        thing("Certificate", "root", "certs", api="cert-manager.io/v1", spec={"secretName": "root", "isCA": True}),
    ]  # fmt: skip


def asked(*objects, line: str = UNKNOWN, roots=None, leaf: float = 30):
    held = config_map("roots", data={"ca.pem": PEM}) if roots is None else roots
    held["metadata"]["creationTimestamp"] = ago(DAY * 60)
    mounted = {"volumes": [{"name": "roots", "configMap": {"name": "roots"}}]}
    web = deployment(
        "web", containers=[container(volumeMounts=[{"name": "roots", "mountPath": "/roots"}])], spec=mounted
    )
    logs = [log(p, "\n".join(f"{ago(9 - n)} {line}" for n in range(6))) for p in pods_in(web)]
    return causes(
        web, service("web", ready=2), API, service("api", port=443, ready=2), dated("api-tls", leaf), held, *objects,
        target="Service/shop/web", logs=logs,
    )  # fmt: skip


def reasons(answer) -> list[str]:
    return [one.reason for one in answer.ranked]


def test_roots_from_before_the_authority_began_are_the_cause():
    answer = asked(issued(), dated("root", DAY * 12, "certs"))

    assert first(answer) == ("ConfigMap/shop/roots", "RootNotTrusted")
    told = answer.ranked[0].text
    assert "does not contain the authority of Secret certs/root, which is valid from 2026-11-06" in told
    assert "Certificate certs/root renewed it" in told


def test_without_a_recorded_authority_it_is_less_sure():
    known, unknown = (
        next(o for o in answer.ranked if o.reason == "RootNotTrusted")
        for answer in (asked(issued(), dated("root", DAY * 12, "certs")), asked())
    )

    assert unknown.confidence.value < known.confidence.value
    assert any("who signed" in words for words in unknown.against)


@pytest.mark.parametrize(
    ("more", "roots", "line"),
    [
        ([*issued(), dated("root", DAY * 70, "certs")], None, UNKNOWN),
        (
            [*issued(), dated("root", DAY * 12, "certs")],
            config_map("roots", data={"ca.pem": PEM}, edits=[edit(DAY * 2, "data/ca.pem")]),
            UNKNOWN,
        ),
        ([*issued(), dated("root", DAY * 12, "certs")], None, EXPIRED),
        ([*issued(), dated("root", DAY * 12, "certs")], config_map("roots", level="info"), UNKNOWN),
    ],
    ids=[
        "the authority is older",
        "the roots were written since",
        "another complaint about certificates",
        "no certificates",
    ],
)
def test_look_alikes_are_no_missing_root(more, roots, line: str):
    assert "RootNotTrusted" not in reasons(asked(*more, line=line, roots=roots))


@pytest.mark.parametrize(
    "line",
    [
        "javax.net.ssl.SSLHandshakeException: PKIX path building failed: unable to find valid certification path to requested target https://api:443",
        "Error: unable to get local issuer certificate https://api:443/x UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        "requests.exceptions.SSLError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate in certificate chain https://api:443",
    ],
)
def test_other_libraries_say_it_in_their_own_words(line: str):
    answer = asked(issued(), dated("root", DAY * 12, "certs"), line=line)

    assert "RootNotTrusted" in reasons(answer)


@pytest.mark.parametrize("alert", ["Deployment/shop/web", "Deployment/shop/api"])
def test_an_alert_about_the_server_that_its_callers_refuse_leads_to_their_roots_too(alert: str):
    held = config_map("roots", data={"ca.pem": PEM})
    held["metadata"]["creationTimestamp"] = ago(DAY * 60)
    web = deployment("web", spec={"volumes": [{"name": "roots", "configMap": {"name": "roots"}}]})
    refused = "http: TLS handshake error from 10.244.0.9:41234: remote error: tls: bad certificate"

    def said_by(objects, line: str):
        return [log(p, "\n".join(f"{ago(9 - n)} {line}" for n in range(6))) for p in pods_in(objects)]

    answer = causes(
        web, API, service("api", port=443, ready=2), dated("api-tls", 30), held, issued(), dated("root", DAY * 12, "certs"),
        logs=[*said_by(web, UNKNOWN), *said_by(API, refused)], target=alert,
    )  # fmt: skip

    assert first(answer) == ("ConfigMap/shop/roots", "RootNotTrusted")
