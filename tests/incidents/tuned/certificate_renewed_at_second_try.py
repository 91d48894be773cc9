"""A certificate alert that is over: the first renewal failed, the second succeeded, and other old failures mean nothing."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.certificates import tls_secret
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A certificate was renewed at the second try; the alert about it is late",
    half=Half.tuned,
    story="The authority was away when the renewal was due. Half an hour later cert-manager tried again and got the "
    "certificate. A Kustomization is suspended on purpose and a build failed days ago: neither has to do with it.",
    sources=["https://cert-manager.io/docs/usage/certificate/#renewal", "https://cert-manager.io/docs/faq/#failed-issuance"],
    labels={"alertname": "CertManagerCertificateNotReady", "exported_namespace": "press", "namespace": "cert-manager", "name": "site-tls",
            "pod": "cert-manager-5b7c9d6f8-h3k7s", "condition": "False"},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["cert-manager status", "flux status", "openshift build status"],
)  # fmt: skip

MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: site, namespace: press}
spec:
  replicas: 2
  selector: {matchLabels: {app: site}}
  template:
    metadata: {labels: {app: site}}
    spec:
      containers:
      - name: site
        image: registry.example.com/press/site:2026.10.3
        ports: [{containerPort: 8443}]
        volumeMounts: [{name: tls, mountPath: /tls}]
      volumes: [{name: tls, secret: {secretName: site-tls}}]
---
apiVersion: v1
kind: Service
metadata: {name: site, namespace: press}
spec:
  selector: {app: site}
  ports: [{port: 443, targetPort: 8443}]
"""

PLATFORMS = """
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: house, namespace: press}
spec: {vault: {server: "https://vault.example.com", path: pki/sign/press}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: site-tls, namespace: press}
spec: {secretName: site-tls, dnsNames: [site.example.com], issuerRef: {name: house, kind: Issuer}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: press-preview, namespace: flux-system}
spec: {interval: 10m, path: ./preview, prune: true, suspend: true, sourceRef: {kind: GitRepository, name: press}}
---
apiVersion: build.openshift.io/v1
kind: Build
metadata: {name: site-41, namespace: press}
spec: {strategy: {type: Docker}}
"""


def play(stage: Stage) -> None:
    stage.crd("cert-manager.io", "v1", "Issuer", "issuers")
    stage.crd("cert-manager.io", "v1", "Certificate", "certificates")
    stage.crd("cert-manager.io", "v1", "CertificateRequest", "certificaterequests")
    stage.crd("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations")
    stage.crd("build.openshift.io", "v1", "Build", "builds")
    old = stage.now - timedelta(days=50), stage.now + timedelta(days=40)
    stage.apply(
        [tls_secret("press/site-tls", "site.example.com", *old)], manager="cert-manager-certificates-issuing"
    )
    stage.apply(MANIFESTS)
    stage.apply(PLATFORMS)
    failed = {"phase": "Failed", "reason": "DockerBuildFailed", "completionTimestamp": stage.stamp()}
    stage.status("builds.build.openshift.io/press/site-41", failed, manager="openshift-controller-manager")
    stage.status(
        "issuers/press/house",
        {"conditions": [_condition(stage, "Ready", "True", "VaultVerified", "Vault verified")]},
        manager="cert-manager-issuers",
    )
    stage.calm()
    stage.wait(days=10)
    away = "Vault failed to sign certificate: failed to sign certificate by vault: Error making API request: 503 Service Unavailable"
    _request(stage, "site-tls-2", _condition(stage, "Ready", "False", "Failed", away))
    certificate = stage.get("certificates/press/site-tls")
    stage.event(
        certificate,
        "Failed",
        f"The certificate request has failed to complete and will be retried: {away}",
        component="cert-manager-certificates-issuing",
    )
    stage.wait(minutes=31)
    fresh = stage.now, stage.now + timedelta(days=90)
    stage.apply(
        [tls_secret("press/site-tls", "site.example.com", *fresh)],
        manager="cert-manager-certificates-issuing",
    )
    _request(
        stage,
        "site-tls-3",
        _condition(stage, "Ready", "True", "Issued", "Certificate fetched from issuer successfully"),
    )
    stage.status(
        "certificates/press/site-tls",
        {
            "notBefore": stage.stamp(), "notAfter": stage.stamp(minutes_ago=-90 * 1440), "renewalTime": stage.stamp(minutes_ago=-60 * 1440),
            "revision": 3, "conditions": [_condition(stage, "Ready", "True", "Ready", "Certificate is up to date and has not expired")],
        },
        manager="cert-manager-certificates-readiness",
    )  # fmt: skip
    stage.event(
        certificate,
        "Issuing",
        "The certificate has been successfully issued",
        kind="Normal",
        component="cert-manager-certificates-issuing",
    )
    stage.wait(minutes=4)
    stage.fire(minutes_ago=3)


def _request(stage: Stage, name: str, condition: dict[str, object]) -> None:
    above = stage.get("certificates/press/site-tls")["metadata"]
    owner = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "name": above["name"],
        "uid": above["uid"],
        "controller": True,
    }
    spec = {"issuerRef": {"name": "house", "kind": "Issuer"}, "request": ""}
    stage.apply([{"apiVersion": "cert-manager.io/v1", "kind": "CertificateRequest", "metadata": {"name": name, "namespace": "press", "ownerReferences": [owner]}, "spec": spec}], manager="cert-manager")  # fmt: skip
    stage.status(
        f"certificaterequests/press/{name}",
        {"conditions": [condition]},
        manager="cert-manager-certificaterequests-issuer-vault",
    )


def _condition(stage: Stage, kind: str, status: str, reason: str, message: str) -> dict[str, object]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": stage.stamp(),
        "observedGeneration": 1,
    }
