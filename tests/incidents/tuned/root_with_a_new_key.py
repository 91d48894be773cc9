"""A private root was renewed with a new key days ago; the first server certificate of it reaches callers today."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.incidents.certificates import Authority, authority, authority_secret, tls_secret
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="The private root was renewed with a new key, and billing's hand-copied roots do not know what ledger serves since its renewal",
    half=Half.tuned,
    story=(
        "cert-manager renews the house's root with a new key, as is its default since 1.18. Certificates that it signed"
        " before stay as they are. Twelve days later the ledger's own renewal is due and is signed by the new root. The"
        " roots that billing trusts were copied into a ConfigMap by hand two months ago; its programs refuse the ledger"
        " from then on, and the office two hops away fails. Unrelated: the indexer of another team does not start with"
        " a flag that its new version dropped."
    ),
    sources=[
        "https://cert-manager.io/docs/configuration/ca/",
        "https://cert-manager.io/docs/releases/release-notes/release-notes-1.18/",
        "https://cert-manager.io/docs/trust/trust-manager/#cert-manager-integration-intentionally-copying-ca-certificates",
        "https://github.com/golang/go/blob/master/src/crypto/x509/verify.go",
    ],
    labels={"alertname": "HighErrorRate", "namespace": "front", "service": "office", "severity": "critical"},
    annotations={"summary": "office answers more than 5 % of its requests with 5xx."},
    causes=["ConfigMap/billing/trusted-roots", "Certificate/cert-manager/house-root", "Secret/cert-manager/house-root"],
    says=[["unknown authority", "not trust", "does not know", "does not contain", "not signed by", "trusts"], ["root", "authority", "CA "]],
    innocent=[
        "Service/front/office", "Deployment/front/office", "Deployment/billing/invoicer", "Service/billing/invoicer", "Deployment/ledger/ledger",
        "Service/ledger/ledger", "Deployment/search/indexer",
    ],
    second=["Deployment/search/indexer"],
    traits=frozenset({Trait.innocent, Trait.two_faults}),
    authored=["cert-manager status"],
)  # fmt: skip

GROUP = "cert-manager.io"
PLATFORM = """
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: bootstrap}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: house-root, namespace: cert-manager}
spec: {isCA: true, commonName: house root, secretName: house-root, duration: 2160h, privateKey: {algorithm: ECDSA, size: 256}, issuerRef: {name: bootstrap, kind: ClusterIssuer}}
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: house}
spec: {ca: {secretName: house-root}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: ledger, namespace: ledger}
spec: {secretName: ledger-tls, duration: 1080h, dnsNames: [ledger.ledger.svc.cluster.local], issuerRef: {name: house, kind: ClusterIssuer}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: archive, namespace: ledger}
spec: {secretName: archive-tls, duration: 2160h, dnsNames: [archive.ledger.svc.cluster.local], issuerRef: {name: house, kind: ClusterIssuer}}
"""
HOST = "ledger.ledger.svc.cluster.local"


def play(stage: Stage) -> None:
    for kind, plural, namespaced in (
        ("ClusterIssuer", "clusterissuers", False),
        ("Certificate", "certificates", True),
    ):
        stage.crd(GROUP, "v1", kind, plural, namespaced=namespaced)
    stage.apply(system())
    stage.apply(PLATFORM)
    first = authority("house root", stage.now, stage.now + timedelta(days=90))
    _issued(stage, "cert-manager/house-root", first, None, days=90)
    _issued(stage, "ledger/ledger", first, HOST, days=45)
    _issued(stage, "ledger/archive", first, "archive.ledger.svc.cluster.local", days=90)
    for issuer in ("bootstrap", "house"):
        stage.status(
            f"clusterissuers/_cluster/{issuer}",
            {
                "conditions": [
                    _ready(
                        stage,
                        "IsReady" if issuer == "bootstrap" else "KeyPairVerified",
                        "Signing CA verified",
                    )
                ]
            },
            manager="cert-manager-clusterissuers",
        )
    stage.apply(_workloads(first))
    stage.calm()
    # cert-manager renews at two thirds of a certificate's life: the root after 60 days, the ledger's every 30.
    stage.wait(days=30)
    _issued(stage, "ledger/ledger", first, HOST, days=45)
    stage.wait(days=18)
    second = authority("house root", stage.now, stage.now + timedelta(days=90))
    _issued(stage, "cert-manager/house-root", second, None, days=90)
    stage.wait(days=11, hours=23)
    _other_fault(stage)
    stage.wait(minutes=20)
    _issued(stage, "ledger/ledger", second, HOST, days=45)
    stage.wait(minutes=34)
    _logs(stage)
    stage.fire(minutes_ago=26)


def _workloads(root: Authority) -> list[Body]:
    roots: Body = {"volumes": [{"name": "roots", "configMap": {"name": "trusted-roots"}}]}
    tls: Body = {"volumes": [{"name": "tls", "secret": {"secretName": "ledger-tls"}}]}
    return [
        config_map("billing/trusted-roots", {"roots.pem": root.pem}),
        deployment("billing/invoicer", container("invoicer", "billing/invoicer:9.5.0", port=8080, ready="/healthz", alive="/healthz", env={"LEDGER_URL": f"https://{HOST}:8443", "SSL_CERT_FILE": "/roots/roots.pem"}, mounts={"roots": "/roots"}), pod=roots, replicas=3),
        service("billing/invoicer", 8080),
        deployment("billing/rates", container("rates", "billing/rates:2.0.1", port=8080, ready="/healthz")),
        service("billing/rates", 8080),
        deployment("ledger/ledger", container("ledger", "ledger/ledger:14.2.1", port=8443, readinessProbe={"tcpSocket": {"port": 8443}}, mounts={"tls": "/tls"}), pod=tls, replicas=2),
        service("ledger/ledger", 8443),
        stateful_set("ledger/entries", container("postgres", "postgres:16.6", port=5432, memory=("1Gi", "2Gi"))),
        service("ledger/entries", 5432, headless=True),
        deployment("front/office", container("office", "front/office:70.1.0", port=8080, ready="/healthz", env={"INVOICER": "http://invoicer.billing.svc.cluster.local:8080", "RATES": "http://rates.billing.svc.cluster.local:8080"}), replicas=3),
        service("front/office", 80, 8080),
        deployment("search/indexer", container("indexer", "search/indexer:0.31.2", port=8080, ready="/ready", args=["--source=pg", "--shards=4"]), replicas=2),
        service("search/indexer", 8080),
        deployment("search/query", container("query", "search/query:0.31.2", port=8080, ready="/ready"), replicas=2),
        service("search/query", 8080),
    ]  # fmt: skip


def _issued(stage: Stage, place: str, by: Authority, host: str | None, *, days: int) -> None:
    """What cert-manager writes when a certificate was issued: the Secret and the status."""
    ends = stage.now + timedelta(days=days)
    certificate = stage.get(f"certificates/{place}")
    namespace, secret = place.split("/")[0], certificate["spec"]["secretName"]
    made = (
        tls_secret(f"{namespace}/{secret}", host, stage.now, ends, by=by)
        if host
        else authority_secret(f"{namespace}/{secret}", by)
    )
    made["metadata"]["annotations"] = {
        "cert-manager.io/certificate-name": place.split("/")[1], "cert-manager.io/issuer-name": certificate["spec"]["issuerRef"]["name"],
        "cert-manager.io/issuer-kind": "ClusterIssuer",
    }  # fmt: skip
    stage.apply([made], manager="cert-manager-certificates-issuing")
    revision = int(certificate.get("status", {}).get("revision", 0)) + 1
    stage.status(f"certificates/{place}", {
        "revision": revision, "notBefore": stage.stamp(), "notAfter": stage.stamp(at=ends), "renewalTime": stage.stamp(at=_two_thirds(stage.now, ends)),
        "conditions": [_ready(stage, "Ready", "Certificate is up to date and has not expired")],
    }, manager="cert-manager-certificates-readiness")  # fmt: skip
    stage.event(
        certificate,
        "Issuing",
        "The certificate has been successfully issued",
        kind="Normal",
        component="cert-manager-certificates-issuing",
    )


def _two_thirds(begins: datetime, ends: datetime) -> datetime:
    return begins + (ends - begins) * 2 / 3


def _ready(stage: Stage, reason: str, message: str) -> Body:
    return {
        "type": "Ready", "status": "True", "reason": reason, "message": message, "lastTransitionTime": stage.stamp(), "observedGeneration": 1,
    }  # fmt: skip


def _other_fault(stage: Stage) -> None:
    before = {p["metadata"]["name"] for p in stage.pods("search/indexer")}
    stage.hold("search/indexer")
    stage.kubectl(
        "set",
        "image",
        "deployment/indexer",
        "indexer=registry.example.com/search/indexer:0.32.0",
        "-n",
        "search",
    )
    (fresh,) = [
        p["metadata"]["name"]
        for p in stage.placed("search/indexer", 3)
        if p["metadata"]["name"] not in before
    ]
    stage.release("search/indexer")
    stage.hold(f"search/{fresh}")
    stage.crash(
        f"search/{fresh}",
        restarts=7,
        code=2,
        log='flag provided but not defined: -shards\nUsage of /indexer:\n  -source string\n    \twhere documents come from (default "pg")',
    )


def _logs(stage: Stage) -> None:
    refused = [
        '{"ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","lvl":"error","msg":"post entry","invoice":"i-<100000-999999>","err":"Post \\"https://ledger.ledger.svc.cluster.local:8443/v2/entries\\": tls: failed to verify certificate: x509: certificate signed by unknown authority (possibly because of \\"x509: ECDSA verification failure\\" while trying to verify candidate authority certificate \\"house root\\")"}',
        '{"ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","lvl":"warn","msg":"http","method":"POST","path":"/invoices","status":503,"ms":<9-30>}',
    ]
    for pod in stage.pods("billing/invoicer"):
        stage.log(
            f"billing/{pod['metadata']['name']}", printed(stage.ago(minutes=32), refused * 22, every_s=42)
        )
    for pod in stage.pods("ledger/ledger"):
        lines = [
            "<%Y/%m/%d %H:%M:%S> http: TLS handshake error from 10.244.<0-2>.<4-12>:<30000-60000>: remote error: tls: bad certificate"
        ] * 30
        stage.log(
            f"ledger/{pod['metadata']['name']}",
            printed(
                stage.ago(minutes=32), ["<%Y/%m/%d %H:%M:%S> tls: read /tls/tls.crt anew", *lines], every_s=60
            ),
        )
    for pod in stage.pods("front/office"):
        lines = [
            "<%Y-%m-%dT%H:%M:%S.%3>Z INFO  office GET /customers/<1000-9999> 200 <20-60>ms",
            "<%Y-%m-%dT%H:%M:%S.%3>Z ERROR office POST /invoices: upstream http://invoicer.billing.svc.cluster.local:8080/invoices answered 503",
        ]
        stage.log(f"front/{pod['metadata']['name']}", printed(stage.ago(minutes=30), lines * 18, every_s=48))
    chatter(
        stage,
        "billing/rates",
        ['{"ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","lvl":"info","msg":"rates","n":31}'],
        count=10,
    )
    chatter(stage, "search/query", ["<%Y-%m-%dT%H:%M:%S.%3>Z INFO query took <4-20>ms"], count=16)
