"""A ReferenceGrant was tidied and names a namespace that is not there: one route of a gateway answers 500."""

from __future__ import annotations

from typing import Any

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="The grant for the shop's route names namespace shop-front, and the gateway answers 500 for /api",
    half=Half.tuned,
    story="While grants were made alike, `shopfront` became `shop-front`. The route may no longer refer to the Service in warehouse. The alert's text blames the stock API for being overloaded, which gets no request any more.",
    sources=[
        "https://gateway-api.sigs.k8s.io/api-types/referencegrant/",
        "https://gateway-api.sigs.k8s.io/reference/spec/#routeconditionreason",
        "https://docs.nginx.com/nginx-gateway-fabric/",
    ],
    labels={
        "alertname": "GatewayServerErrors",
        "severity": "critical",
        "namespace": "warehouse",
        "service": "stock-api",
        "deployment": "stock-api",
        "job": "gateway",
    },
    annotations={
        "summary": "More than 5 % of the requests for stock-api are answered with 5xx.",
        "description": "stock-api is overloaded again. Scale it to 8 replicas and restart its database pool.",
    },
    causes=["ReferenceGrant/warehouse/routes-to-stock"],
    says=[["shop-front"], ["RefNotPermitted", "not permitted", "ReferenceGrant"]],
    innocent=[
        "Deployment/warehouse/stock-api",
        "Service/warehouse/stock-api",
        "Deployment/edge/public-nginx",
    ],
    traits=frozenset({Trait.innocent, Trait.false_narrative}),
    authored=["gateway status"],
)

GROUP = "gateway.networking.k8s.io"
CONTROLLER = "gateway.nginx.org/nginx-gateway-controller"
PAST, SINCE = 60, 19
ROUTES = {
    "shop": ("shopfront", "/api", "warehouse", "stock-api"),
    "site": ("shopfront", "/", "shopfront", "site"),
    "tracking": ("parcelling", "/track", "warehouse", "tracking"),
}


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1", "GatewayClass", "gatewayclasses", namespaced=False)
    stage.crd(GROUP, "v1", "Gateway", "gateways")
    stage.crd(GROUP, "v1", "HTTPRoute", "httproutes")
    stage.crd(GROUP, "v1beta1", "ReferenceGrant", "referencegrants")
    stage.apply([
        *system(),
        {"apiVersion": f"{GROUP}/v1", "kind": "GatewayClass", "metadata": {"name": "nginx"}, "spec": {"controllerName": CONTROLLER}},
        {"apiVersion": f"{GROUP}/v1", "kind": "Gateway", "metadata": {"name": "public", "namespace": "edge"}, "spec": {
            "gatewayClassName": "nginx",
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}],
        }},
        *(_grant(name, origin, to) for name, origin, to in (("routes-to-stock", "shopfront", "stock-api"), ("routes-to-tracking", "parcelling", "tracking"))),
        *(_route(name) for name in ROUTES),
        deployment("edge/public-nginx", container("nginx", "nginx/nginx-gateway-fabric-nginx:2.2.1", port=80, ready="/readyz")),
        service("edge/public-nginx", 80),
        deployment("warehouse/stock-api", container("stock-api", "warehouse/stock-api:11.4.0", port=8080, ready="/ready", alive="/alive"), replicas=4),
        service("warehouse/stock-api", 8080),
        deployment("warehouse/tracking", container("tracking", "warehouse/tracking:3.7.2", port=8080, ready="/ready")),
        service("warehouse/tracking", 8080),
        deployment("shopfront/site", container("site", "shopfront/site:20.1.0", port=8080, ready="/ready"), replicas=3),
        service("shopfront/site", 8080),
        deployment("parcelling/labels", container("labels", "parcelling/labels:1.9.9", port=8080, ready="/ready")),
    ])  # fmt: skip
    stage.calm()
    since = stage.stamp()
    accepted = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": "The GatewayClass is accepted",
        "observedGeneration": 1,
        "lastTransitionTime": since,
    }
    stage.status("gatewayclasses/_cluster/nginx", {"conditions": [accepted]}, manager="nginx-gateway")
    both = [
        {**accepted, "message": "The Gateway is accepted"},
        {**accepted, "type": "Programmed", "reason": "Programmed", "message": "The Gateway is programmed"},
    ]
    stage.status("gateways/edge/public", {
        "addresses": [{"type": "IPAddress", "value": "198.51.100.24"}], "conditions": both,
        "listeners": [{"name": "http", "attachedRoutes": 3, "supportedKinds": [{"group": GROUP, "kind": "HTTPRoute"}], "conditions": [
            {**accepted, "message": "The Listener is accepted"},
            {**accepted, "type": "Programmed", "reason": "Programmed", "message": "The Listener is programmed"},
            {**accepted, "type": "ResolvedRefs", "reason": "ResolvedRefs", "message": "All references are resolved"},
        ]}],
    }, manager="nginx-gateway")  # fmt: skip
    for name in ROUTES:
        _resolved(stage, name)
    stage.wait(days=38, hours=4)

    def rename(grant: Body) -> None:
        grant["spec"]["from"][0]["namespace"] = "shop-front"

    stage.edit("referencegrants/warehouse/routes-to-stock", rename)
    stage.wait(seconds=2)
    _refused(stage)
    stage.wait(minutes=SINCE)
    chatter(stage, "edge/public-nginx", [
        '203.0.113.<2-250> - - [<%d/%b/%Y:%H:%M:%S +0000>] "GET /api/stock/<1000-9999> HTTP/2.0" 500 170 "-" "okhttp/4.12.0"',
        '203.0.113.<2-250> - - [<%d/%b/%Y:%H:%M:%S +0000>] "GET / HTTP/2.0" 200 <9000-30000> "-" "Mozilla/5.0"',
        '203.0.113.<2-250> - - [<%d/%b/%Y:%H:%M:%S +0000>] "GET /api/stock/<1000-9999> HTTP/2.0" 500 170 "-" "okhttp/4.12.0"',
        '203.0.113.<2-250> - - [<%d/%b/%Y:%H:%M:%S +0000>] "GET /track/<100000-999999> HTTP/2.0" 200 <300-900> "-" "Mozilla/5.0"',
    ], count=40)  # fmt: skip
    chatter(
        stage,
        "warehouse/stock-api",
        ['level=info msg="stock counted from shelves" shelf=<1-900> items=<0-80>'],
        count=8,
    )
    chatter(stage, "warehouse/tracking", ['level=info msg="parcel found" took=<4-20>ms'])
    chatter(stage, "shopfront/site", ["GET / 200 <3-12>ms"])
    _metrics(stage)
    stage.fire(minutes_ago=9)


def _grant(name: str, origin: str, to: str) -> Body:
    return {
        "apiVersion": f"{GROUP}/v1beta1", "kind": "ReferenceGrant", "metadata": {"name": name, "namespace": "warehouse"},
        "spec": {"from": [{"group": GROUP, "kind": "HTTPRoute", "namespace": origin}], "to": [{"group": "", "kind": "Service", "name": to}]},
    }  # fmt: skip


def _route(name: str) -> Body:
    namespace, path, there, backend = ROUTES[name]
    reference = {"name": backend, "port": 8080, **({"namespace": there} if there != namespace else {})}
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "HTTPRoute", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": "public", "namespace": "edge", "sectionName": "http"}], "hostnames": ["shop.example.com"],
            "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": [reference]}],
        },
    }  # fmt: skip


def _parents(accepted_since: str, resolved: Body) -> Body:
    accepted = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "The Route is accepted",
                "observedGeneration": 1, "lastTransitionTime": accepted_since}  # fmt: skip
    return {"parents": [{
        "controllerName": CONTROLLER, "parentRef": {"group": GROUP, "kind": "Gateway", "name": "public", "namespace": "edge", "sectionName": "http"},
        "conditions": [accepted, {"type": "ResolvedRefs", "observedGeneration": 1, **resolved}],
    }]}  # fmt: skip


def _resolved(stage: Stage, name: str) -> None:
    now = stage.stamp()
    good = {
        "status": "True",
        "reason": "ResolvedRefs",
        "message": "All references are resolved",
        "lastTransitionTime": now,
    }
    stage.status(f"httproutes/{ROUTES[name][0]}/{name}", _parents(now, good), manager="nginx-gateway")


def _refused(stage: Stage) -> None:
    before = stage.get("httproutes/shopfront/shop")["status"]["parents"][0]["conditions"][0][
        "lastTransitionTime"
    ]
    bad = {
        "status": "False", "reason": "RefNotPermitted", "lastTransitionTime": stage.stamp(),
        "message": "spec.rules[0].backendRefs[0].namespace: Forbidden: Backend ref to Service warehouse/stock-api not permitted by any ReferenceGrant",
    }  # fmt: skip
    stage.status("httproutes/shopfront/shop", _parents(before, bad), manager="nginx-gateway")


def _metrics(stage: Stage) -> None:
    gone = "/api"
    series = []
    for path, rate in (("/api", 74.0), ("/", 121.0), ("/track", 16.0)):
        broken = path == gone
        labels = {"namespace": "edge", "gateway": "public", "path": path}
        series += [
            (
                {**labels, "code": "2xx"},
                [*about(rate, PAST, of=path), *([0.0] * SINCE if broken else about(rate, SINCE, of=path))],
            ),
            (
                {**labels, "code": "5xx"},
                [*about(0.02, PAST, of=path), *about(rate if broken else 0.02, SINCE, of=path)],
            ),
        ]
    stage.metric("gateway-responses", "path_code:gateway_responses:rate2m", series)
    stage.metric("stock-requests", 'sum by (namespace, service) (rate(http_requests_total{namespace="warehouse"}[2m]))', [
        ({"namespace": "warehouse", "service": "stock-api"}, [*about(74, PAST), *[0.0] * SINCE]),
        ({"namespace": "warehouse", "service": "tracking"}, about(16, PAST + SINCE)),
    ])  # fmt: skip
    stage.metric("stock-cpu", 'sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total{namespace="warehouse"}[5m]))', [
        ({"namespace": "warehouse", "pod": pod["metadata"]["name"], "container": "stock-api"}, [*about(0.22, PAST), *about(0.01, SINCE)])
        for pod in stage.pods("warehouse/stock-api-")
    ])  # fmt: skip
