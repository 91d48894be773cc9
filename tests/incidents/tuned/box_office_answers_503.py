"""A Route was made anew under another name, and an older Route of another namespace took its host."""

from __future__ import annotations

from typing import Any

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="tickets.apps.example.com belongs to a trial's older Route since the box office's was made anew, and its Service has no pods",
    half=Half.tuned,
    story=(
        "Seven months ago somebody tried the box office in namespace stage-trial and left a Route with the public host, which"
        " the routers did not admit as the real one was older. Forty minutes ago the box office's chart renamed its Route;"
        " the moment the old one went, the trial's Route was the oldest for the host. Its Service has no endpoints, so"
        " everybody reads 503. The alert's text blames the routers' load."
    ),
    sources=[
        "https://docs.redhat.com/en/documentation/openshift_container_platform/4.20/html/ingress_and_load_balancing/routes",
        "https://github.com/openshift/router/blob/master/pkg/router/controller/unique_host.go",
        "https://docs.redhat.com/en/documentation/openshift_container_platform/4.20/html/networking_operators/ingress-operator",
    ],
    labels={
        "alertname": "ProbeFailed", "severity": "critical", "job": "blackbox", "instance": "https://tickets.apps.example.com/",
        "namespace": "monitoring", "service": "blackbox-exporter",
    },
    annotations={
        "summary": "https://tickets.apps.example.com/ answers with 503.",
        "description": "The routers are overloaded again by the presale. Scale router-default to 6 replicas and restart it.",
    },
    causes=["Route/stage-trial/tickets", "Route/box-office/tickets-public"],
    says=[["HostAlreadyClaimed", "already claim", "holds", "claims", "same host"], ["tickets.apps.example.com"]],
    innocent=[
        "Deployment/openshift-ingress/router-default", "Service/openshift-ingress/router-internal-default", "Deployment/box-office/portal",
        "Deployment/monitoring/blackbox-exporter", "Service/monitoring/blackbox-exporter", "IngressController/openshift-ingress-operator/default",
    ],
    traits=frozenset({Trait.innocent, Trait.false_narrative}),
    authored=["route status", "ingresscontroller status"],
)  # fmt: skip

HOST = "tickets.apps.example.com"


def play(stage: Stage) -> None:
    stage.crd("route.openshift.io", "v1", "Route", "routes")
    stage.crd("operator.openshift.io", "v1", "IngressController", "ingresscontrollers")
    stage.apply([
        *system(),
        {"apiVersion": "operator.openshift.io/v1", "kind": "IngressController", "metadata": {"name": "default", "namespace": "openshift-ingress-operator"},
         "spec": {"replicas": 2, "domain": "apps.example.com", "routeAdmission": {"namespaceOwnership": "Strict", "wildcardPolicy": "WildcardsDisallowed"}}},
        deployment("openshift-ingress/router-default", container("router", "openshift/haproxy-router:4.20.6", port=1936, ready="/healthz/ready", alive="/healthz")),
        service("openshift-ingress/router-internal-default", 80, 1936, selector={"app": "router-default"}),
        deployment("monitoring/blackbox-exporter", container("blackbox-exporter", "prom/blackbox-exporter:v0.27.0", port=9115, ready="/-/healthy"), replicas=1),
        service("monitoring/blackbox-exporter", 9115),
        deployment("box-office/portal", container("portal", "box-office/portal:18.2.0", port=8080, ready="/readyz", alive="/livez", env={"SEATS": "http://seats.box-office.svc.cluster.local:8080"}), replicas=4),
        service("box-office/portal", 8080),
        deployment("box-office/seats", container("seats", "box-office/seats:7.7.1", port=8080, ready="/readyz"), replicas=2),
        service("box-office/seats", 8080),
        _route("box-office/tickets", HOST, "portal"),
        deployment("programme/pages", container("pages", "programme/pages:2.0.9", port=8080, ready="/ready")),
        service("programme/pages", 8080),
        _route("programme/pages", "programme.apps.example.com", "pages"),
    ])  # fmt: skip
    stage.calm()
    stage.status("ingresscontrollers/openshift-ingress-operator/default", {
        "availableReplicas": 2, "domain": "apps.example.com", "endpointPublishingStrategy": {"type": "LoadBalancerService"},
        "conditions": [
            {"type": "Available", "status": "True", "reason": "", "message": "", "lastTransitionTime": stage.stamp()},
            {"type": "Degraded", "status": "False", "reason": "", "message": "", "lastTransitionTime": stage.stamp()},
        ],
    }, manager="ingress-operator")  # fmt: skip
    _admitted(stage, "box-office/tickets", HOST)
    _admitted(stage, "programme/pages", "programme.apps.example.com")
    stage.wait(days=20)
    stage.apply([
        deployment("stage-trial/portal", container("portal", "box-office/portal:16.0.0-rc2", port=8080, ready="/readyz"), replicas=1),
        service("stage-trial/portal", 8080),
        _route("stage-trial/tickets", HOST, "portal"),
    ])  # fmt: skip
    stage.calm()
    _refused(stage, "stage-trial/tickets")
    stage.wait(days=9)
    stage.kubectl("scale", "deployment/portal", "--replicas=0", "-n", "stage-trial")
    stage.calm()
    stage.wait(days=204, hours=6)
    stage.kubectl(
        "set",
        "image",
        "deployment/seats",
        "seats=registry.example.com/box-office/seats:7.7.2",
        "-n",
        "box-office",
    )
    stage.calm()
    stage.wait(hours=1, minutes=10)
    stage.delete("routes/box-office/tickets")
    stage.wait(seconds=2)
    stage.apply([_route("box-office/tickets-public", HOST, "portal")], manager="helm")
    _admitted(stage, "stage-trial/tickets", HOST)
    _refused(stage, "box-office/tickets-public")
    stage.wait(minutes=38)
    stage.heartbeat()
    chatter(stage, "openshift-ingress/router-default", [
        'I<%m%d %H:%M:%S.%3>311       1 router.go:669] "msg"="router reloaded" "logger"="template" "output"=" - Checking http://localhost:80 using PROXY protocol ...\\n - Health check ok : 0 retry attempt(s).\\n"',
    ], count=6)  # fmt: skip
    chatter(stage, "monitoring/blackbox-exporter", [
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=ERROR source=http.go:474 msg="Invalid HTTP response status code, wanted 2xx" module=http_2xx target=https://tickets.apps.example.com/ status_code=503',
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=prober.go:136 msg="Probe succeeded" module=http_2xx target=https://programme.apps.example.com/ duration_seconds=0.04',
    ], count=20)  # fmt: skip
    chatter(stage, "box-office/portal", ["<%Y-%m-%dT%H:%M:%S.%3>Z info  GET /readyz 200 1ms"], count=10)
    chatter(stage, "programme/pages", ["<%Y-%m-%dT%H:%M:%S.%3>Z info  GET / 200 <3-20>ms"], count=10)
    stage.metric("probe_success", "probe_success", [
        ({"job": "blackbox", "instance": "https://tickets.apps.example.com/"}, [*[1.0] * 50, *[0.0] * 38]),
        ({"job": "blackbox", "instance": "https://programme.apps.example.com/"}, [1.0] * 88),
    ])  # fmt: skip
    stage.metric("router_cpu", 'sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total{namespace="openshift-ingress"}[5m]))', [
        ({"namespace": "openshift-ingress", "pod": pod["metadata"]["name"], "container": "router"}, about(0.21, 88, of=pod["metadata"]["name"]))
        for pod in stage.pods("openshift-ingress/router-default")
    ])  # fmt: skip
    stage.fire(minutes_ago=35)


def _route(place: str, host: str, to: str) -> Body:
    namespace, name = place.split("/")
    return {
        "apiVersion": "route.openshift.io/v1", "kind": "Route", "metadata": {"name": name, "namespace": namespace, "labels": {"app": to}},
        "spec": {
            "host": host, "port": {"targetPort": "main"}, "to": {"kind": "Service", "name": to, "weight": 100},
            "tls": {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"}, "wildcardPolicy": "None",
        },
    }  # fmt: skip


def _admitted(stage: Stage, place: str, host: str) -> None:
    _say(stage, place, host, {"type": "Admitted", "status": "True", "lastTransitionTime": stage.stamp()})


def _refused(stage: Stage, place: str) -> None:
    name = place.split("/")[1]
    _say(stage, place, HOST, {
        "type": "Admitted", "status": "False", "reason": "HostAlreadyClaimed", "lastTransitionTime": stage.stamp(),
        "message": f"a route in another namespace holds {HOST} and is older than {name}",
    })  # fmt: skip


def _say(stage: Stage, place: str, host: str, condition: Body) -> None:
    stage.status(f"routes/{place}", {"ingress": [{
        "host": host, "routerName": "default", "routerCanonicalHostname": "router-default.apps.example.com", "wildcardPolicy": "None",
        "conditions": [condition],
    }]}, manager="openshift-router")  # fmt: skip
