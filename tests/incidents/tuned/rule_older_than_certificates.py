"""An alert's rule expects longer certificates than the authority issues since; all of them are renewed in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.incidents.certificates import tls_secret
from tests.incidents.curves import slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="A rule that warns 30 days before a certificate ends fires for certificates of 45 days, which are well",
    half=Half.tuned,
    story="Certificates are valid for 45 days and renewed 15 days before their end. The rule was written when they were valid for 90. It fires for half of each certificate's life; nothing has to be done to the certificate, which is renewed in two weeks as it was the last time.",
    sources=[
        "https://cert-manager.io/docs/usage/certificate/#issuance-triggers",
        "https://cert-manager.io/docs/devops-tips/prometheus-metrics/",
        "https://letsencrypt.org/2025/12/02/from-90-to-45",
    ],
    labels={
        "alertname": "CertificateExpiresSoon",
        "severity": "warning",
        "namespace": "tourism",
        "name": "guide-tls",
        "issuer_name": "public",
        "issuer_kind": "ClusterIssuer",
        "job": "cert-manager",
    },
    annotations={"summary": "Certificate tourism/guide-tls ends in less than 30 days."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["cert-manager status"],
)

GROUP = "cert-manager.io"
HOSTS = {
    "guide-tls": "guide.example.com",
    "maps-tls": "maps.example.com",
    "tickets-tls": "tickets.example.com",
}
LIFE, RENEWED = timedelta(days=45), timedelta(days=30)


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1", "Certificate", "certificates")
    stage.crd(GROUP, "v1", "CertificateRequest", "certificaterequests")
    stage.crd(GROUP, "v1", "ClusterIssuer", "clusterissuers", namespaced=False)
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    stage.apply([
        *system(),
        {"apiVersion": f"{GROUP}/v1", "kind": "ClusterIssuer", "metadata": {"name": "public"},
         "spec": {"acme": {"server": "https://acme.example.com/directory", "privateKeySecretRef": {"name": "public-account"}}}},
        deployment("cert-manager/cert-manager", container("cert-manager-controller", "jetstack/cert-manager-controller:v1.19.1", port=9402), replicas=1),
        *(deployment(f"tourism/{name}", container(name, f"tourism/{name}:2.{n}.0", port=8080, ready="/ready")) for n, name in enumerate(("guide", "maps", "tickets"))),
        *(service(f"tourism/{name}", 8080) for name in ("guide", "maps", "tickets")),
        *(_certificate(name) for name in HOSTS),
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "certificates", "namespace": "monitoring"},
         "spec": {"groups": [{"name": "certificates", "rules": [
             {"alert": "CertificateExpiresSoon", "expr": "certmanager_certificate_expiration_timestamp_seconds - time() < 30 * 86400", "for": "1h",
              "labels": {"severity": "warning"}, "annotations": {"summary": "Certificate {{ $labels.namespace }}/{{ $labels.name }} ends in less than 30 days."}},
             {"alert": "CertificateNotReady", "expr": 'certmanager_certificate_ready_status{condition="True"} == 0', "for": "15m", "labels": {"severity": "critical"}},
         ]}]}},
    ])  # fmt: skip
    stage.calm()
    stage.status("clusterissuers/_cluster/public", {
        "acme": {"uri": "https://acme.example.com/acct/48210077", "lastRegisteredEmail": "operations@example.com"},
        "conditions": [{"type": "Ready", "status": "True", "reason": "ACMEAccountRegistered", "observedGeneration": 1,
                        "message": "The ACME account was registered with the ACME server", "lastTransitionTime": stage.stamp()}],
    }, manager="cert-manager-clusterissuers")  # fmt: skip
    for name in HOSTS:
        _issue(stage, name, 1)
    stage.wait(days=22)
    # By hand, so that not all of them are due on one day.
    _issue(stage, "maps-tls", 2)
    stage.wait(days=8)
    _issue(stage, "guide-tls", 2)
    _issue(stage, "tickets-tls", 2)
    stage.wait(days=12)
    _issue(stage, "tickets-tls", 3)
    stage.wait(days=3, hours=1, minutes=20)
    chatter(stage, "cert-manager/cert-manager", [
        'I<%m%d %H:%M:%S.%3>201       1 reflector.go:436] "Caches populated" type="*v1.Certificate" reflector="k8s.io/client-go@v0.34.1/tools/cache/reflector.go:290"',
    ], count=3)  # fmt: skip
    chatter(stage, "tourism/guide", ["GET /guide/<1-400> 200 <8-40>ms"])
    chatter(stage, "tourism/maps", ["GET /tiles/<1-18>/<1-999> 200 <2-9>ms"])
    _metrics(stage)
    stage.fire(minutes_ago=20)


def _certificate(name: str) -> Body:
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "Certificate", "metadata": {"name": name, "namespace": "tourism"},
        "spec": {"secretName": name, "dnsNames": [HOSTS[name]], "duration": "1080h", "renewBefore": "360h",
                 "issuerRef": {"name": "public", "kind": "ClusterIssuer"}, "privateKey": {"rotationPolicy": "Always"}},
    }  # fmt: skip


def _issue(stage: Stage, name: str, revision: int) -> None:
    """One issuance: the request, the Secret and the status."""
    begins = stage.now.replace(microsecond=0)
    stage.apply(
        [tls_secret(f"tourism/{name}", HOSTS[name], begins, begins + LIFE)],
        manager="cert-manager-certificates-issuing",
    )
    owner = stage.get(f"certificates/tourism/{name}")
    request = f"{name}-{revision}"
    stage.apply([{
        "apiVersion": f"{GROUP}/v1", "kind": "CertificateRequest",
        "metadata": {
            "name": request, "namespace": "tourism",
            "annotations": {f"{GROUP}/certificate-name": name, f"{GROUP}/certificate-revision": str(revision)},
            "ownerReferences": [{"apiVersion": owner["apiVersion"], "kind": "Certificate", "name": name, "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": {"issuerRef": {"name": "public", "kind": "ClusterIssuer"}, "duration": "1080h0m0s", "usages": ["digital signature", "key encipherment"]},
    }], manager="cert-manager-certificates-request-manager")  # fmt: skip
    now = stage.stamp()
    stage.status(f"certificaterequests/tourism/{request}", {"conditions": [
        {"type": "Approved", "status": "True", "reason": "cert-manager.io", "message": "Certificate request has been approved by cert-manager.io", "lastTransitionTime": now},
        {"type": "Ready", "status": "True", "reason": "Issued", "message": "Certificate fetched from issuer successfully", "lastTransitionTime": now},
    ]}, manager="cert-manager-certificaterequests-issuer-acme")  # fmt: skip
    before = owner.get("status", {}).get("conditions", [{}])[0]
    stage.status(f"certificates/tourism/{name}", {
        "revision": revision, "notBefore": now, "notAfter": stage.stamp(at=begins + LIFE), "renewalTime": stage.stamp(at=begins + RENEWED),
        "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "Certificate is up to date and has not expired",
                        "observedGeneration": 1, "lastTransitionTime": before.get("lastTransitionTime", now)}],
    }, manager="cert-manager-certificates-readiness")  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Once an hour for three days."""
    count, hour, day = 72, 3600, 86400.0
    left = {"guide-tls": 45 - 15.06, "maps-tls": 45 - 23.06, "tickets-tls": 45 - 3.06}
    labels = {
        "namespace": "tourism",
        "issuer_name": "public",
        "issuer_kind": "ClusterIssuer",
        "job": "cert-manager",
    }
    stage.metric("seconds-left", "certmanager_certificate_expiration_timestamp_seconds - time()", [
        ({**labels, "name": name}, slope((days + 71 / 24) * day, days * day, count, noise=0)) for name, days in left.items()
    ], step_s=hour)  # fmt: skip
    stage.metric("seconds-to-renewal", "certmanager_certificate_renewal_timestamp_seconds - time()", [
        ({**labels, "name": name}, slope((days - 15 + 71 / 24) * day, (days - 15) * day, count, noise=0)) for name, days in left.items()
    ], step_s=hour)  # fmt: skip
    stage.metric("ready", 'certmanager_certificate_ready_status{condition="True"}', [
        ({**labels, "name": name, "condition": "True"}, [1.0] * count) for name in HOSTS
    ], step_s=hour)  # fmt: skip
