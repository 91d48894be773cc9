"""A new default certificate of the routers covers the bare domain only; the operators that log in through a route complain."""

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
    title="The routers got a default certificate without the wildcard name, and nobody can log in to the cluster",
    half=Half.tuned,
    story=(
        "The yearly certificate for the routers was ordered for apps.c1.example.com and not for *.apps.c1.example.com. The"
        " default IngressController is pointed to it; the routers are rolled and well. The operators for authentication"
        " and console ask their own routes and refuse the certificate. At the same hour the monitoring stack's"
        " configuration was changed, which has nothing to do with it."
    ),
    sources=[
        "https://docs.openshift.com/container-platform/4.17/security/certificates/replacing-default-ingress-certificate.html",
        "https://github.com/openshift/cluster-authentication-operator/issues/388",
        "https://github.com/okd-project/okd/issues/1090",
        "https://docs.openshift.com/container-platform/4.17/networking/ingress-operator.html",
    ],
    labels={
        "alertname": "ClusterOperatorDown",
        "name": "authentication",
        "namespace": "openshift-cluster-version",
        "reason": "OAuthServerRouteEndpointAccessibleController_EndpointUnavailable",
        "job": "cluster-version-operator",
        "severity": "critical",
    },
    annotations={"summary": "Cluster operator has not been available for 10 minutes."},
    causes=["IngressController/openshift-ingress-operator/default", "Secret/openshift-ingress/apps-2027"],
    says=[["apps-2027"], ["valid for", "x509", "wildcard", "not cover"]],
    innocent=["ClusterOperator/_cluster/authentication", "ClusterOperator/_cluster/console", "Deployment/openshift-authentication/oauth-openshift", "Route/openshift-authentication/oauth-openshift"],
    traits=frozenset({Trait.innocent}),
    authored=["openshift resources", "openshift status"],
)  # fmt: skip

CONFIG, ROUTE, OPERATOR = "config.openshift.io", "route.openshift.io", "operator.openshift.io"
DOMAIN = "apps.c1.example.com"
ROUTES = (
    ("openshift-authentication", "oauth-openshift", f"oauth-openshift.{DOMAIN}"),
    ("openshift-console", "console", f"console-openshift-console.{DOMAIN}"),
    ("payslips", "portal", "payslips.example.com"),
)
OPERATORS = {
    "authentication": [("", "namespaces", "", "openshift-authentication"), (ROUTE, "routes", "openshift-authentication", "oauth-openshift"), (CONFIG, "oauths", "", "cluster")],
    "console": [("", "namespaces", "", "openshift-console"), (ROUTE, "routes", "openshift-console", "console")],
    "ingress": [("", "namespaces", "", "openshift-ingress-operator"), (OPERATOR, "ingresscontrollers", "openshift-ingress-operator", "")],
    "monitoring": [("", "namespaces", "", "openshift-monitoring")],
    "kube-apiserver": [("", "namespaces", "", "openshift-kube-apiserver")],
    "image-registry": [("", "namespaces", "", "openshift-image-registry")],
    "dns": [("", "namespaces", "", "openshift-dns")],
}  # fmt: skip


def play(stage: Stage) -> None:
    for group, version, kind, plural, namespaced in (
        (CONFIG, "v1", "ClusterOperator", "clusteroperators", False),
        (ROUTE, "v1", "Route", "routes", True),
        (OPERATOR, "v1", "IngressController", "ingresscontrollers", True),
    ):
        stage.crd(group, version, kind, plural, namespaced=namespaced)
    first = stage.now
    stage.apply([
        *system(),
        {"apiVersion": f"{OPERATOR}/v1", "kind": "IngressController", "metadata": {"name": "default", "namespace": "openshift-ingress-operator"},
         "spec": {"domain": DOMAIN, "replicas": 2, "defaultCertificate": {"name": "apps-2026"}, "endpointPublishingStrategy": {"type": "HostNetwork"}}},
        tls_secret("openshift-ingress/apps-2026", f"*.{DOMAIN}", first - timedelta(days=320), first + timedelta(days=58)),
        deployment("openshift-ingress/router-default", container("router", "ocp/haproxy-router:4.20.6", port=443, mounts={"default-certificate": "/etc/pki/tls/private"}),
                   pod={"volumes": [{"name": "default-certificate", "secret": {"secretName": "apps-2026"}}]}),
        service("openshift-ingress/router-internal-default", 443, selector={"app": "router-default"}),
        deployment("openshift-ingress-operator/ingress-operator", container("ingress-operator", "ocp/ingress-operator:4.20.6"), replicas=1),
        deployment("openshift-authentication/oauth-openshift", container("oauth-openshift", "ocp/oauth-server:4.20.6", port=6443, ready="/healthz")),
        service("openshift-authentication/oauth-openshift", 443, 6443),
        deployment("openshift-authentication-operator/authentication-operator", container("authentication-operator", "ocp/authentication-operator:4.20.6"), replicas=1),
        deployment("openshift-console/console", container("console", "ocp/console:4.20.6", port=8443, ready="/health")),
        service("openshift-console/console", 443, 8443),
        deployment("openshift-console-operator/console-operator", container("console-operator", "ocp/console-operator:4.20.6"), replicas=1),
        deployment("openshift-monitoring/prometheus-adapter", container("adapter", "ocp/prometheus-adapter:4.20.6"), replicas=1),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cluster-monitoring-config", "namespace": "openshift-monitoring"}, "data": {"config.yaml": "prometheusK8s:\n  retention: 15d\n"}},
        deployment("payslips/portal", container("portal", "payslips/portal:6.0.3", port=8080, ready="/ready")),
        service("payslips/portal", 8080),
        *(_route(*route) for route in ROUTES),
        *({"apiVersion": f"{CONFIG}/v1", "kind": "ClusterOperator", "metadata": {"name": name}, "spec": {}} for name in OPERATORS),
    ])  # fmt: skip
    stage.calm()
    for namespace, name, host in ROUTES:
        _admitted(stage, namespace, name, host)
    for name in OPERATORS:
        _operator(stage, name)
    _controller(stage)
    stage.wait(days=46, hours=4)
    stage.apply([tls_secret("openshift-ingress/apps-2027", DOMAIN, stage.now - timedelta(days=1), stage.now + timedelta(days=364))])  # fmt: skip
    stage.wait(minutes=6)

    def renew(controller: Body) -> None:
        controller["spec"]["defaultCertificate"]["name"] = "apps-2027"

    stage.edit(f"ingresscontrollers.{OPERATOR}/openshift-ingress-operator/default", renew)
    stage.wait(seconds=5)

    def mount(router: Body) -> None:
        router["spec"]["template"]["spec"]["volumes"][0]["secret"]["secretName"] = "apps-2027"

    stage.edit("deployments/openshift-ingress/router-default", mount, manager="ingress-operator")
    stage.calm()
    rolled = stage.now
    stage.wait(minutes=2)
    said = f"tls: failed to verify certificate: x509: certificate is valid for {DOMAIN}, not "
    oauth = f'Get "https://oauth-openshift.{DOMAIN}/healthz": {said}oauth-openshift.{DOMAIN}'
    console = f"failed to GET route (https://console-openshift-console.{DOMAIN}): Get \"https://console-openshift-console.{DOMAIN}\": {said}console-openshift-console.{DOMAIN}"  # fmt: skip
    _operator(stage, "authentication", {
        "Available": (False, "OAuthServerRouteEndpointAccessibleController_EndpointUnavailable", f"OAuthServerRouteEndpointAccessibleControllerAvailable: {oauth}"),
        "Degraded": (True, "OAuthServerRouteEndpointAccessibleController_SyncError::RouterCerts_InvalidServerCertRouterCerts",
                     (f"OAuthServerRouteEndpointAccessibleControllerDegraded: {oauth}\nRouterCertsDegraded: secret/v4-0-config-system-router-certs.spec.data[{DOMAIN}] -n openshift-authentication: "
                     f"certificate could not validate route hostname oauth-openshift.{DOMAIN}: x509: certificate is valid for {DOMAIN}, not oauth-openshift.{DOMAIN}")),
    })  # fmt: skip
    _operator(stage, "console", {
        "Available": (False, "RouteHealth_FailedGet", f"RouteHealthAvailable: {console}"),
        "Degraded": (True, "RouteHealth_FailedGet", f"RouteHealthDegraded: {console}"),
    })  # fmt: skip
    stage.wait(minutes=7)
    stage.edit("configmaps/openshift-monitoring/cluster-monitoring-config", lambda c: c["data"].update({"config.yaml": "prometheusK8s:\n  retention: 21d\n"}))  # fmt: skip
    stage.wait(minutes=9)
    stage.heartbeat()
    stage.log("openshift-authentication-operator/authentication-operator", printed(rolled + timedelta(seconds=40), [
        f'E<%m%d %H:%M:%S.%3>000       1 base_controller.go:279] "Unhandled Error" err="OAuthServerRouteEndpointAccessibleController reconciliation failed: Get \\"https://oauth-openshift.{DOMAIN}/healthz\\": {said}oauth-openshift.{DOMAIN}"',
    ] * 16, every_s=62))  # fmt: skip
    stage.log("openshift-console-operator/console-operator", printed(rolled + timedelta(seconds=50), [
        f"E<%m%d %H:%M:%S.%3>000       1 status.go:130] RouteHealthDegraded FailedGet {console}",
    ] * 14, every_s=70))  # fmt: skip
    chatter(stage, "openshift-authentication/oauth-openshift", [
        "I<%m%d %H:%M:%S.%3>000       1 httplog.go:132] \"HTTP\" verb=\"GET\" URI=\"/healthz\" latency=\"1.<100-900>ms\" userAgent=\"kube-probe/1.33\" resp=200",
    ])  # fmt: skip
    chatter(stage, "openshift-ingress/router-default", ['I<%m%d %H:%M:%S.%3>000       1 router.go:665] "router reloaded" logger="template" output=" - Checking http://localhost:80 ...\\n - Health check ok : 0 retry attempt(s).\\n"'], count=3)  # fmt: skip
    chatter(stage, "openshift-console/console", [
        f"E<%m%d %H:%M:%S.%3>000       1 auth.go:239] error contacting auth provider (retrying in 10s): request to OAuth issuer endpoint https://oauth-openshift.{DOMAIN}/oauth/token failed: Head \"https://oauth-openshift.{DOMAIN}\": {said}oauth-openshift.{DOMAIN}",
    ], count=12)  # fmt: skip
    chatter(stage, "payslips/portal", ['level=info msg="payslip shown" month=2026-<10-12>'])
    stage.fire(minutes_ago=8)


def _route(namespace: str, name: str, host: str) -> Body:
    kept = {"termination": "passthrough" if name == "oauth-openshift" else "reencrypt"}
    return {
        "apiVersion": f"{ROUTE}/v1", "kind": "Route", "metadata": {"name": name, "namespace": namespace},
        "spec": {"host": host, "to": {"kind": "Service", "name": name, "weight": 100}, "tls": kept if namespace != "payslips" else {"termination": "edge"}},
    }  # fmt: skip


def _admitted(stage: Stage, namespace: str, name: str, host: str) -> None:
    stage.status(f"routes.{ROUTE}/{namespace}/{name}", {"ingress": [{
        "host": host, "routerName": "default", "routerCanonicalHostname": f"router-default.{DOMAIN}", "wildcardPolicy": "None",
        "conditions": [{"type": "Admitted", "status": "True", "lastTransitionTime": stage.stamp()}],
    }]}, manager="openshift-router")  # fmt: skip


def _controller(stage: Stage) -> None:
    wanted = {"Admitted": "True", "Available": "True", "Degraded": "False", "Progressing": "False", "DNSReady": "True", "CanaryChecksSucceeding": "True"}  # fmt: skip
    stage.status(f"ingresscontrollers.{OPERATOR}/openshift-ingress-operator/default", {
        "availableReplicas": 2, "domain": DOMAIN, "observedGeneration": 2,
        "conditions": [{"type": kind, "status": status, "reason": "AsExpected", "message": "", "lastTransitionTime": stage.stamp()} for kind, status in wanted.items()],
    }, manager="ingress-operator")  # fmt: skip


def _operator(stage: Stage, name: str, changed: dict[str, tuple[bool, str, str]] | None = None) -> None:
    conditions = {"Available": (True, "AsExpected", ""), "Progressing": (False, "AsExpected", ""), "Degraded": (False, "AsExpected", ""), "Upgradeable": (True, "AsExpected", ""), **(changed or {})}  # fmt: skip
    past = {c["type"]: c for c in (stage.get(f"clusteroperators/_cluster/{name}").get("status") or {}).get("conditions", [])}  # fmt: skip
    stage.status(f"clusteroperators/_cluster/{name}", {
        "versions": [{"name": "operator", "version": "4.20.6"}],
        "relatedObjects": [{"group": group, "resource": resource, "name": called, **({"namespace": namespace} if namespace else {})} for group, resource, namespace, called in OPERATORS[name]],
        "conditions": [
            past[kind] if past.get(kind, {}).get("status") == str(true) else
            {"type": kind, "status": str(true), "reason": reason, "message": message, "lastTransitionTime": stage.stamp()}
            for kind, (true, reason, message) in conditions.items()
        ],
    }, manager=f"{name}-operator")  # fmt: skip
