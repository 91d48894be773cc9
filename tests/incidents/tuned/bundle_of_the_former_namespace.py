"""An admission webhook's bundle is filled in from a certificate that is not there; the authority has moved on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.incidents.certificates import tls_secret
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="The ingress webhook's CA bundle is no longer injected, and a chart's upgrade is refused after the CA's renewal",
    half=Half.tuned,
    story=(
        "Twelve days ago the annotation cert-manager.io/inject-ca-from of the webhook configuration was set to a"
        " Certificate in namespace ingress, where none is; the old bundle stayed and went on matching. This morning"
        " cert-manager renewed the chart's root with a new key. Nobody changes an Ingress until the shop's next release,"
        " whose Helm upgrade fails."
    ),
    sources=[
        "https://cert-manager.io/docs/concepts/ca-injector/",
        "https://github.com/cert-manager/cert-manager/issues/4713",
        "https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/",
        "https://fluxcd.io/flux/components/helm/helmreleases/#status",
    ],
    labels={
        "alertname": "GotkResourceNotReady",
        "customresource_group": "helm.toolkit.fluxcd.io",
        "customresource_kind": "HelmRelease",
        "exported_namespace": "shop",
        "name": "storefront",
        "namespace": "monitoring",
        "ready": "False",
        "severity": "warning",
        "job": "kube-state-metrics",
    },
    causes=["ValidatingWebhookConfiguration/_cluster/ingress-nginx-admission"],
    says=[["unknown authority", "caBundle", "CA bundle", "x509"], ["inject-ca-from", "ingress/ingress-nginx-admission", "caBundle", "CA bundle"]],
    innocent=["HelmRelease/shop/storefront", "HelmRepository/flux-system/charts", "Deployment/shop/storefront"],
    traits=frozenset({Trait.innocent}),
    authored=["flux status", "flux events", "cert-manager status"],
)  # fmt: skip

HELM, SOURCE, CERT = "helm.toolkit.fluxcd.io", "source.toolkit.fluxcd.io", "cert-manager.io"
REFUSED = (
    "Helm upgrade failed for release shop/storefront with chart storefront@7.4.0: cannot patch \"storefront\" with kind Ingress: "
    'Internal error occurred: failed calling webhook "validate.nginx.ingress.kubernetes.io": failed to call webhook: Post '
    '"https://ingress-nginx-controller-admission.ingress-nginx.svc:443/networking/v1/ingresses?timeout=10s": '
    "tls: failed to verify certificate: x509: certificate signed by unknown authority"
)  # fmt: skip


def play(stage: Stage) -> None:
    stage.crd(HELM, "v2", "HelmRelease", "helmreleases")
    stage.crd(SOURCE, "v1", "HelmRepository", "helmrepositories")
    stage.crd(CERT, "v1", "Certificate", "certificates")
    stage.crd(CERT, "v1", "Issuer", "issuers")
    first = stage.now
    root = tls_secret("ingress-nginx/ingress-nginx-root-cert", "ca.webhook.ingress-nginx", first - timedelta(minutes=2), first + timedelta(days=90))  # fmt: skip
    bundle = root["data"]["tls.crt"]
    stage.apply([
        *system(),
        root,
        tls_secret("ingress-nginx/ingress-nginx-admission", "ingress-nginx-controller-admission.ingress-nginx.svc", first, first + timedelta(days=60)),
        _certificate("ingress-nginx-root-cert", issuer="ingress-nginx-self-signed", ca=True),
        _certificate("ingress-nginx-admission", issuer="ingress-nginx-root"),
        *({"apiVersion": f"{CERT}/v1", "kind": "Issuer", "metadata": {"name": name, "namespace": "ingress-nginx"}, "spec": spec} for name, spec in (
            ("ingress-nginx-self-signed", {"selfSigned": {}}), ("ingress-nginx-root", {"ca": {"secretName": "ingress-nginx-root-cert"}}))),
        deployment("ingress-nginx/ingress-nginx-controller", container("controller", "ingress-nginx/controller:v1.13.3", port=8443, mounts={"webhook-cert": "/usr/local/certificates/"}),
                   pod={"volumes": [{"name": "webhook-cert", "secret": {"secretName": "ingress-nginx-admission"}}]}),
        service("ingress-nginx/ingress-nginx-controller-admission", 443, 8443, selector={"app": "ingress-nginx-controller"}),
        service("ingress-nginx/ingress-nginx-controller", 80, 80),
        *(deployment(f"cert-manager/{name}", container(name, f"cert-manager/{name}:v1.19.1"), replicas=1) for name in ("cert-manager", "cert-manager-cainjector", "cert-manager-webhook")),
        *(deployment(f"flux-system/{name}", container("manager", f"flux/{name}:v1.4.0"), replicas=1) for name in ("helm-controller", "source-controller")),
        *(each for name, version in (("storefront", "33.1.0"), ("wishes", "2.9.1")) for each in (
            deployment(f"shop/{name}", container(name, f"shop/{name}:{version}", port=3000, ready="/healthz"), labels={"helm.toolkit.fluxcd.io/name": name, "helm.toolkit.fluxcd.io/namespace": "shop"}),
            service(f"shop/{name}", 80, 3000), _ingress(name))),
        {"apiVersion": f"{SOURCE}/v1", "kind": "HelmRepository", "metadata": {"name": "charts", "namespace": "flux-system"}, "spec": {"interval": "10m", "url": "oci://registry.example.com/charts", "type": "oci"}},
        *(_release(name, version) for name, version in (("storefront", "7.3.2"), ("wishes", "1.18.0"))),
    ])  # fmt: skip
    stage.calm()
    _certificates(stage, first, 60, 1)
    _issuers(stage)
    for name, chart in (("storefront", "7.3.2"), ("wishes", "1.18.0")):
        _released(stage, name, chart)
    # Last of all: from here on the API server would ask it about every Ingress.
    stage.apply([_webhook("ingress-nginx/ingress-nginx-admission", bundle)])
    stage.wait(days=46, hours=20)

    def other_place(configuration: Body) -> None:
        configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] = "ingress/ingress-nginx-admission"  # fmt: skip

    stage.edit(
        "validatingwebhookconfigurations/_cluster/ingress-nginx-admission", other_place, manager="helm"
    )
    stage.wait(days=12, hours=1)
    renewed = stage.now
    stage.apply([
        tls_secret("ingress-nginx/ingress-nginx-root-cert", "ca.webhook.ingress-nginx", renewed, renewed + timedelta(days=90)),
        tls_secret("ingress-nginx/ingress-nginx-admission", "ingress-nginx-controller-admission.ingress-nginx.svc", renewed, renewed + timedelta(days=90)),
    ], manager="cert-manager-certificates-issuing")  # fmt: skip
    _certificates(stage, renewed, 90, 2)
    stage.wait(hours=4, minutes=40)

    def next_chart(release: Body) -> None:
        release["spec"]["chart"]["spec"]["version"] = "7.4.0"

    stage.edit(f"helmreleases.{HELM}/shop/storefront", next_chart, manager="kustomize-controller")
    stage.wait(minutes=1)
    _refused(stage)
    stage.wait(minutes=19)
    stage.event(stage.get(f"helmreleases.{HELM}/shop/storefront"), "UpgradeFailed", REFUSED, component="helm-controller", count=4, minutes_ago=2)  # fmt: skip
    chatter(stage, "flux-system/helm-controller", [
        '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"Reconciler error","controller":"helmrelease","HelmRelease":{"name":"storefront","namespace":"shop"},"error":' + _quoted(REFUSED) + "}",
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"release in-sync with desired state","controller":"helmrelease","HelmRelease":{"name":"wishes","namespace":"shop"}}',
    ], count=8)  # fmt: skip
    stage.log("cert-manager/cert-manager-cainjector", printed(renewed + timedelta(seconds=3), [
        'E<%m%d %H:%M:%S.%3>000       1 sources.go:119] "unable to fetch associated certificate" err="certificates.cert-manager.io \\"ingress-nginx-admission\\" not found" logger="cert-manager.cainjector.injectableReconciler" kind="validatingwebhookconfiguration" name="ingress-nginx-admission" certificate="ingress/ingress-nginx-admission"',
        'I<%m%d %H:%M:%S.%3>000       1 reconciler.go:141] "Updated object" logger="cert-manager.cainjector.injectableReconciler" kind="validatingwebhookconfiguration" name="cert-manager-webhook"',
    ], every_s=2))  # fmt: skip
    chatter(stage, "ingress-nginx/ingress-nginx-controller", [
        "<%Y/%m/%d %H:%M:%S> http: TLS handshake error from 10.20.0.10:<30000-60000>: remote error: tls: bad certificate",
        '10.244.1.1 - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /p/<100-999> HTTP/2.0" 200 <900-5000> "-" "Mozilla/5.0" <30-60> 0.0<10-40> [shop-storefront-80] [] 10.244.2.6:3000 5120 0.0<10-40> 200 8f2c0d',
    ], count=12)  # fmt: skip
    chatter(stage, "shop/storefront", ['{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"page","path":"/p/<100-999>","ms":<20-70>}'])  # fmt: skip
    stage.heartbeat()
    stage.fire(minutes_ago=9)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def _webhook(certificate: str, bundle: str) -> Body:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "ingress-nginx-admission", "annotations": {"cert-manager.io/inject-ca-from": certificate}},
        "webhooks": [{
            "name": "validate.nginx.ingress.kubernetes.io", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "matchPolicy": "Equivalent",
            "rules": [{"apiGroups": ["networking.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["ingresses"]}],
            "clientConfig": {"caBundle": bundle, "service": {"namespace": "ingress-nginx", "name": "ingress-nginx-controller-admission", "path": "/networking/v1/ingresses"}},
        }],
    }  # fmt: skip


def _ingress(name: str) -> Body:
    backend = {"service": {"name": name, "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"ingressClassName": "nginx", "rules": [{"host": f"{name}.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]},
    }  # fmt: skip


def _certificate(name: str, *, issuer: str, ca: bool = False) -> Body:
    return {
        "apiVersion": f"{CERT}/v1", "kind": "Certificate", "metadata": {"name": name, "namespace": "ingress-nginx"},
        "spec": {"secretName": name, "isCA": ca, "duration": "2160h", "issuerRef": {"name": issuer, "kind": "Issuer"}, "privateKey": {"rotationPolicy": "Always"},
                 **({"commonName": "ca.webhook.ingress-nginx"} if ca else {"dnsNames": ["ingress-nginx-controller-admission.ingress-nginx.svc"]})},
    }  # fmt: skip


def _certificates(stage: Stage, since: Any, days: int, revision: int) -> None:
    for name in ("ingress-nginx-root-cert", "ingress-nginx-admission"):
        stage.status(f"certificates.{CERT}/ingress-nginx/{name}", {
            "notBefore": stage.stamp(at=since), "notAfter": stage.stamp(at=since + timedelta(days=days)), "renewalTime": stage.stamp(at=since + timedelta(days=days * 2 / 3)), "revision": revision,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "Certificate is up to date and has not expired", "lastTransitionTime": stage.stamp(), "observedGeneration": 1}],
        }, manager="cert-manager-certificates-readiness")  # fmt: skip


def _issuers(stage: Stage) -> None:
    for name, reason, message in (
        ("ingress-nginx-self-signed", "IsReady", ""),
        ("ingress-nginx-root", "KeyPairVerified", "Signing CA verified"),
    ):
        stage.status(f"issuers.{CERT}/ingress-nginx/{name}", {"conditions": [
            {"type": "Ready", "status": "True", "reason": reason, "message": message, "lastTransitionTime": stage.stamp(), "observedGeneration": 1},
        ]}, manager="cert-manager-issuers")  # fmt: skip
    stage.status(f"helmrepositories.{SOURCE}/flux-system/charts", {"observedGeneration": 1}, manager="source-controller")  # fmt: skip


def _release(name: str, version: str) -> Body:
    return {
        "apiVersion": f"{HELM}/v2", "kind": "HelmRelease", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"interval": "10m", "chart": {"spec": {"chart": name, "version": version, "sourceRef": {"kind": "HelmRepository", "name": "charts", "namespace": "flux-system"}}}},
    }  # fmt: skip


def _released(stage: Stage, name: str, chart: str) -> None:
    done = f"Helm install succeeded for release shop/{name}.v1 with chart {name}@{chart}"
    stage.status(f"helmreleases.{HELM}/shop/{name}", {
        "observedGeneration": 1, "lastAttemptedRevision": chart, "lastAttemptedGeneration": 1,
        "conditions": [{"type": kind, "status": "True", "reason": "InstallSucceeded", "message": done, "lastTransitionTime": stage.stamp(), "observedGeneration": 1} for kind in ("Ready", "Released")],
    }, manager="helm-controller")  # fmt: skip


def _refused(stage: Stage) -> None:
    stage.status(f"helmreleases.{HELM}/shop/storefront", {
        "observedGeneration": 2, "lastAttemptedRevision": "7.4.0", "lastAttemptedGeneration": 2, "lastAttemptedReleaseAction": "upgrade", "failures": 4, "upgradeFailures": 1,
        "conditions": [{"type": kind, "status": "False", "reason": "UpgradeFailed", "message": REFUSED, "lastTransitionTime": stage.stamp(), "observedGeneration": 2} for kind in ("Ready", "Released")],
    }, manager="helm-controller")  # fmt: skip
