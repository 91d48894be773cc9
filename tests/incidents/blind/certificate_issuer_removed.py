"""A certificate's issuer is removed, its renewal waits for ten days, and on the day it expires clients fail."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Body, Stage
from tests.testbed.kubelet import stamp

INCIDENT = Incident(
    title="A certificate is not renewed because its issuer is gone, and clients refuse the expired one",
    half=Half.blind,
    story="The platform replaces ClusterIssuer corp-ca by corp-ca-2026 and moves every Certificate but one. Its "
    "renewal waits for the missing issuer until the certificate expires; then checkout can no longer reach the "
    "payments service and is not ready.",
    sources=[
        "https://cert-manager.io/docs/usage/certificate/",
        "https://cert-manager.io/docs/troubleshooting/",
        "https://cert-manager.io/docs/usage/certificaterequest/",
        "https://pkg.go.dev/crypto/x509#CertificateInvalidError",
    ],
    labels={
        "alertname": "KubeDeploymentReplicasMismatch",
        "namespace": "webshop",
        "deployment": "checkout",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    causes=["Certificate/payments/payments-api-tls", "ClusterIssuer/_cluster/corp-ca"],
    says=[["expired"], ["corp-ca"]],
    innocent=["Deployment/webshop/checkout", "Pod/webshop/{pod:webshop/checkout}"],
    traits=frozenset({Trait.innocent}),
    authored=["cert-manager status", "certificate requests"],
)

WORKLOADS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: cert-manager, namespace: cert-manager}
spec:
  replicas: 1
  selector: {matchLabels: {app: cert-manager}}
  template:
    metadata: {labels: {app: cert-manager}}
    spec:
      containers:
      - {name: cert-manager-controller, image: "registry.example.com/jetstack/cert-manager-controller:v1.18.2"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: payments-api, namespace: payments}
spec:
  replicas: 2
  selector: {matchLabels: {app: payments-api}}
  template:
    metadata: {labels: {app: payments-api}}
    spec:
      containers:
      - name: payments-api
        image: registry.example.com/payments/payments-api:11.3.0
        ports: [{containerPort: 8443}]
        readinessProbe: {tcpSocket: {port: 8443}}
        volumeMounts: [{name: tls, mountPath: /etc/tls, readOnly: true}]
      volumes: [{name: tls, secret: {secretName: payments-api-tls}}]
---
apiVersion: v1
kind: Service
metadata: {name: payments-api, namespace: payments}
spec: {selector: {app: payments-api}, ports: [{name: https, port: 8443}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: checkout, namespace: webshop}
spec:
  replicas: 3
  selector: {matchLabels: {app: checkout}}
  template:
    metadata: {labels: {app: checkout}}
    spec:
      containers:
      - name: checkout
        image: registry.example.com/webshop/checkout:4.7.2
        ports: [{containerPort: 8080}]
        env: [{name: PAYMENTS_URL, value: "https://payments-api.payments.svc:8443"}]
        readinessProbe: {httpGet: {path: /ready, port: 8080}}
---
apiVersion: v1
kind: Service
metadata: {name: checkout, namespace: webshop}
spec: {selector: {app: checkout}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: catalogue, namespace: webshop}
spec:
  replicas: 2
  selector: {matchLabels: {app: catalogue}}
  template:
    metadata: {labels: {app: catalogue}}
    spec:
      containers:
      - name: catalogue
        image: registry.example.com/webshop/catalogue:2.20.0
        volumeMounts: [{name: tls, mountPath: /etc/tls, readOnly: true}]
      volumes: [{name: tls, secret: {secretName: catalogue-tls}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: refunds, namespace: payments}
spec:
  replicas: 1
  selector: {matchLabels: {app: refunds}}
  template:
    metadata: {labels: {app: refunds}}
    spec:
      containers:
      - name: refunds
        image: registry.example.com/payments/refunds:3.1.4
        volumeMounts: [{name: tls, mountPath: /etc/tls, readOnly: true}]
      volumes: [{name: tls, secret: {secretName: refunds-tls}}]
"""

CERTIFICATES = {
    "payments/payments-api-tls": "payments-api.payments.svc",
    "payments/refunds-tls": "refunds.payments.svc",
    "webshop/catalogue-tls": "catalogue.webshop.svc",
}
LATE = "payments/payments-api-tls"
MANAGER = "cert-manager-certificates-readiness"
LIVES, RENEWED = timedelta(hours=720), timedelta(hours=480)


def play(stage: Stage) -> None:
    stage.crd("cert-manager.io", "v1", "ClusterIssuer", "clusterissuers", namespaced=False)
    stage.crd("cert-manager.io", "v1", "Certificate", "certificates")
    stage.crd("cert-manager.io", "v1", "CertificateRequest", "certificaterequests")
    _issuer(stage, "corp-ca")
    stage.apply(WORKLOADS)
    for what, host in CERTIFICATES.items():
        stage.apply([_certificate(what, host, "corp-ca")])
        moment = _issued(stage, what, 1)
        if what == LATE:
            issued = moment
    stage.calm()
    stage.wait(days=12, hours=3)

    _issuer(stage, "corp-ca-2026")
    for what, host in CERTIFICATES.items():
        if what != LATE:
            stage.apply([_certificate(what, host, "corp-ca-2026")])
            _issued(stage, what, 2)
    stage.wait(hours=2)
    stage.delete("clusterissuers.cert-manager.io/_cluster/corp-ca")
    stage.clock.until(issued + RENEWED)
    _waiting(stage, issued)
    stage.clock.until(issued + LIVES + timedelta(minutes=1))

    _expired(stage, issued)
    stage.wait(minutes=6)
    stage.unready("webshop/checkout", "HTTP probe failed with statuscode: 503", count=3, failures=34)
    stage.wait(minutes=18)
    after = f"{issued + LIVES:%Y-%m-%dT%H:%M:%SZ}"
    stage.log(
        "webshop/checkout",
        CHECKOUT.format(now=f"{stage.ago(minutes=1):%Y-%m-%dT%H:%M:%SZ}", after=after),
        every_s=3,
    )
    client = stage.pod("webshop/checkout")["status"]["podIP"]
    stage.log("payments/payments-api", SERVER.format(client=client), every_s=3)
    stage.log(
        "cert-manager/cert-manager",
        f'I{issued + RENEWED:%m%d %H:%M:%S}.118310       1 sync.go:66] "Referenced \\"ClusterIssuer\\" not found: clusterissuer.cert-manager.io \\"corp-ca\\" not found" '
        'logger="cert-manager.certificaterequests-issuer-ca.sync" resource_name="payments-api-tls-2" resource_namespace="payments" resource_kind="CertificateRequest"',
        at=issued + RENEWED,
    )  # fmt: skip
    stage.fire(minutes_ago=7)


CHECKOUT = """
ERROR charge failed: Post "https://payments-api.payments.svc:8443/v1/charges": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time {now} is after {after}
WARN readiness: dependency payments unavailable, answering 503
ERROR charge failed: Post "https://payments-api.payments.svc:8443/v1/charges": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time {now} is after {after}
"""

SERVER = """
http: TLS handshake error from {client}:41822: remote error: tls: bad certificate
http: TLS handshake error from {client}:41830: remote error: tls: bad certificate
"""


def _issuer(stage: Stage, name: str) -> None:
    stage.apply([{
        "apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": name},
        "spec": {"ca": {"secretName": f"{name}-key-pair"}},
    }])  # fmt: skip
    ready = {"type": "Ready", "status": "True", "reason": "KeyPairVerified", "message": "Signing CA verified"}
    stage.status(
        f"clusterissuers.cert-manager.io/_cluster/{name}",
        {"conditions": [{**ready, "observedGeneration": 1, "lastTransitionTime": stage.stamp()}]},
        manager="cert-manager-clusterissuers",
    )


def _certificate(what: str, host: str, issuer: str) -> Body:
    namespace, name = what.split("/")
    return {
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "secretName": name, "commonName": host, "dnsNames": [host, f"{host}.cluster.local"], "duration": "720h0m0s", "renewBefore": "240h0m0s",
            "issuerRef": {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": issuer},
        },
    }  # fmt: skip


def _conditions(stage: Stage, what: str, *found: tuple[str, str, str, str]) -> list[Body]:
    generation = stage.get(f"certificates.cert-manager.io/{what}")["metadata"]["generation"]
    return [
        {"type": kind, "status": status, "reason": reason, "message": words, "observedGeneration": generation, "lastTransitionTime": stage.stamp()}
        for kind, status, reason, words in found
    ]  # fmt: skip


def _request(stage: Stage, what: str, revision: int, *, ready: Body, issuer: str) -> None:
    namespace, name = what.split("/")
    owner = stage.get(f"certificates.cert-manager.io/{what}")["metadata"]
    stage.apply([{
        "apiVersion": "cert-manager.io/v1", "kind": "CertificateRequest",
        "metadata": {
            "name": f"{name}-{revision}", "namespace": namespace,
            "annotations": {"cert-manager.io/certificate-name": name, "cert-manager.io/certificate-revision": str(revision)},
            "ownerReferences": [{"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "name": name, "uid": owner["uid"], "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": {
            "duration": "720h0m0s", "usages": ["digital signature", "key encipherment"], "username": "system:serviceaccount:cert-manager:cert-manager",
            "issuerRef": {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": issuer},
        },
    }], manager="cert-manager-certificates-request-manager")  # fmt: skip
    approved = {"type": "Approved", "status": "True", "reason": "cert-manager.io", "message": "Certificate request has been approved by cert-manager.io"}  # fmt: skip
    conditions = [
        {**one, "lastTransitionTime": stage.stamp()} for one in (approved, {"type": "Ready", **ready})
    ]
    stage.status(f"certificaterequests.cert-manager.io/{namespace}/{name}-{revision}", {"conditions": conditions}, manager="cert-manager-certificaterequests-approver")  # fmt: skip


def _issued(stage: Stage, what: str, revision: int) -> datetime:
    """Returns from when the certificate is valid."""
    issuer = stage.get(f"certificates.cert-manager.io/{what}")["spec"]["issuerRef"]["name"]
    ready = {"status": "True", "reason": "Issued", "message": "Certificate fetched from issuer successfully"}
    _request(stage, what, revision, ready=ready, issuer=issuer)
    words = "Certificate is up to date and has not expired"
    moment = stage.now.replace(microsecond=0)
    times = {"notBefore": moment, "notAfter": moment + LIVES, "renewalTime": moment + RENEWED}
    stage.status(f"certificates.cert-manager.io/{what}", {
        "conditions": _conditions(stage, what, ("Ready", "True", "Ready", words)), "revision": revision,
        **{name: stamp(stage.clock.real(at)) for name, at in times.items()},
    }, manager=MANAGER)  # fmt: skip
    return moment


def _waiting(stage: Stage, issued: datetime) -> None:
    """The day of renewal: a request is made, and waits."""
    what = LATE
    words = 'Referenced "ClusterIssuer" not found: clusterissuer.cert-manager.io "corp-ca" not found'
    _request(
        stage, what, 2, ready={"status": "False", "reason": "Pending", "message": words}, issuer="corp-ca"
    )
    before = stage.get(f"certificates.cert-manager.io/{what}")["status"]["conditions"]
    renewing = (
        f"Renewing certificate as renewal was scheduled at {issued + RENEWED:%Y-%m-%d %H:%M:%S} +0000 UTC"
    )
    stage.status(
        f"certificates.cert-manager.io/{what}",
        {"conditions": [*before, *_conditions(stage, what, ("Issuing", "True", "Renewing", renewing))]},
        manager="cert-manager-certificates-trigger",
    )


def _expired(stage: Stage, issued: datetime) -> None:
    what = LATE
    before = [c for c in stage.get(f"certificates.cert-manager.io/{what}")["status"]["conditions"] if c["type"] != "Ready"]  # fmt: skip
    words = f"Certificate expired on {issued + LIVES:%a, %d %b %Y %H:%M:%S} UTC"
    stage.status(
        f"certificates.cert-manager.io/{what}",
        {"conditions": [*_conditions(stage, what, ("Ready", "False", "Expired", words)), *before]},
        manager=MANAGER,
    )
