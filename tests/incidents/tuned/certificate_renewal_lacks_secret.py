"""A certificate expires because the issuer's DNS credentials were deleted weeks before; clients refuse the server."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.certificates import tls_secret
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A certificate is not renewed, as the issuer's DNS token is gone, and callers are cut off when it expires",
    half=Half.tuned,
    story="A clean-up removed the Secret with the DNS provider's token. Nothing happened for weeks, until the renewal "
    "of the rates service's certificate was due: its challenge could not be presented.",
    sources=[
        "https://cert-manager.io/docs/configuration/acme/dns01/",
        "https://cert-manager.io/docs/troubleshooting/acme/",
        "https://cert-manager.io/docs/usage/certificate/",
    ],
    labels={"alertname": "KubeDeploymentReplicasMismatch", "namespace": "booking", "deployment": "desk"},
    causes=["ClusterIssuer/_cluster/corp-acme", "Certificate/booking/rates-tls"],
    says=[["zone-token"], ["rates-tls"], ["does not exist", "not found"]],
    innocent=["Deployment/booking/desk", "Deployment/booking/rates", "Service/booking/rates"],
    traits=frozenset({Trait.innocent}),
    authored=["cert-manager status"],
)

MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: rates, namespace: booking}
spec:
  replicas: 2
  selector: {matchLabels: {app: rates}}
  template:
    metadata: {labels: {app: rates}}
    spec:
      containers:
      - name: rates
        image: registry.example.com/booking/rates:1.12.0
        ports: [{containerPort: 8443}]
        volumeMounts: [{name: tls, mountPath: /etc/rates/tls}]
      volumes: [{name: tls, secret: {secretName: rates-tls}}]
---
apiVersion: v1
kind: Service
metadata: {name: rates, namespace: booking}
spec:
  selector: {app: rates}
  ports: [{name: https, port: 443, targetPort: 8443}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: desk, namespace: booking}
spec:
  replicas: 2
  selector: {matchLabels: {app: desk}}
  template:
    metadata: {labels: {app: desk}}
    spec:
      containers:
      - name: desk
        image: registry.example.com/booking/desk:7.0.3
        env: [{name: RATES_URL, value: "https://rates.booking.svc.cluster.local"}]
        readinessProbe: {httpGet: {path: /ready, port: 8080}}
---
apiVersion: v1
kind: Secret
metadata: {name: corp-acme-account, namespace: cert-manager}
stringData: {tls.key: made-by-cert-manager}
"""

ISSUING = """
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: corp-acme}
spec:
  acme:
    server: https://acme.example.com/directory
    privateKeySecretRef: {name: corp-acme-account}
    solvers:
    - dns01: {cloudflare: {apiTokenSecretRef: {name: zone-token, key: token}}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: rates-tls, namespace: booking}
spec:
  secretName: rates-tls
  dnsNames: [rates.booking.svc.cluster.local]
  issuerRef: {name: corp-acme, kind: ClusterIssuer}
"""

DAYS = 90
WHY = 'error getting cloudflare secret: secrets "zone-token" not found'


def play(stage: Stage) -> None:
    stage.crd("cert-manager.io", "v1", "ClusterIssuer", "clusterissuers", namespaced=False)
    stage.crd("cert-manager.io", "v1", "Certificate", "certificates")
    stage.crd("cert-manager.io", "v1", "CertificateRequest", "certificaterequests")
    stage.crd("acme.cert-manager.io", "v1", "Order", "orders")
    stage.crd("acme.cert-manager.io", "v1", "Challenge", "challenges")
    begins, ends = stage.now - timedelta(hours=1), stage.now + timedelta(days=DAYS, hours=-1)
    stage.namespace("booking")
    stage.apply(
        [tls_secret("booking/rates-tls", "rates.booking.svc.cluster.local", begins, ends)],
        manager="cert-manager-certificates-issuing",
    )
    stage.apply(MANIFESTS)
    stage.apply(ISSUING)
    stage.calm()
    stage.wait(days=60)
    request = _made_by(stage, "certificates/booking/rates-tls", "CertificateRequest", "cert-manager.io/v1", "rates-tls-2",
                       {"issuerRef": {"name": "corp-acme", "kind": "ClusterIssuer"}, "request": ""})  # fmt: skip
    order = _made_by(stage, request, "Order", "acme.cert-manager.io/v1", "rates-tls-2-1837405921",
                     {"issuerRef": {"name": "corp-acme", "kind": "ClusterIssuer"}, "request": "", "dnsNames": ["rates.booking.svc.cluster.local"]})  # fmt: skip
    challenge = _made_by(stage, order, "Challenge", "acme.cert-manager.io/v1", "rates-tls-2-1837405921-2204519347",
                         {"issuerRef": {"name": "corp-acme", "kind": "ClusterIssuer"}, "type": "DNS-01", "dnsName": "rates.booking.svc.cluster.local"})  # fmt: skip
    stage.status(request, {"conditions": [_condition(stage, "Ready", "False", "Pending", 'Waiting on certificate issuance from order booking/rates-tls-2-1837405921: "pending"')]}, manager="cert-manager-certificaterequests-issuer-acme")  # fmt: skip
    stage.status(order, {"state": "pending"}, manager="cert-manager-orders")
    stage.status(
        challenge,
        {"processing": True, "presented": False, "state": "pending", "reason": WHY},
        manager="cert-manager-challenges",
    )
    due = stage.now
    stage.wait(days=DAYS - 60, hours=-1, minutes=2)
    issuing = {
        **_condition(
            stage,
            "Issuing",
            "True",
            "Renewing",
            f"Renewing certificate as renewal was scheduled at {due:%Y-%m-%d %H:%M:%S} +0000 UTC",
        ),
        "lastTransitionTime": stage.stamp(at=due),
    }
    gone = f"Certificate expired on {ends:%a, %d %b %Y %H:%M:%S} UTC"
    stage.status(
        "certificates/booking/rates-tls",
        {
            "notBefore": stage.stamp(at=begins), "notAfter": stage.stamp(at=ends), "renewalTime": stage.stamp(at=due), "revision": 1,
            "conditions": [_condition(stage, "Ready", "False", "Expired", gone), issuing],
        },
        manager="cert-manager-certificates-readiness",
    )  # fmt: skip
    stage.status("clusterissuers/_cluster/corp-acme", {"conditions": [_condition(stage, "Ready", "True", "ACMEAccountRegistered", "The ACME account was registered with the ACME server")]}, manager="cert-manager-clusterissuers")  # fmt: skip
    stage.event(
        stage.get(challenge),
        "PresentError",
        f"Error presenting challenge: {WHY}",
        component="cert-manager-challenges",
        count=212,
    )
    stage.wait(minutes=3)
    stage.unready("booking/desk", "HTTP probe failed with statuscode: 503", count=2, failures=40)
    for pod in stage.pods("booking/desk"):
        stage.log(
            f"booking/{pod['metadata']['name']}",
            "\n".join(
                'ERROR rates: Get "https://rates.booking.svc.cluster.local/v2/today": tls: failed to verify certificate: x509: certificate has expired or is not yet valid'
                for _ in range(5)
            ),
        )
    stage.wait(minutes=9)
    stage.fire(minutes_ago=5)


def _made_by(stage: Stage, owner: str, kind: str, version: str, name: str, spec: dict[str, object]) -> str:
    above = stage.get(owner)
    meta = above["metadata"]
    reference = {"apiVersion": above["apiVersion"], "kind": above["kind"], "name": meta["name"], "uid": meta["uid"], "controller": True, "blockOwnerDeletion": True}  # fmt: skip
    stage.apply([{"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": meta["namespace"], "ownerReferences": [reference]}, "spec": spec}], manager="cert-manager")  # fmt: skip
    return f"{kind.lower()}s/{meta['namespace']}/{name}"


def _condition(stage: Stage, kind: str, status: str, reason: str, message: str) -> dict[str, object]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": stage.stamp(),
        "observedGeneration": 1,
    }
