"""A Service's port gets a new name and the OpenShift Route still asks for the old one; the router answers 503."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A Route's target port is a name that its Service no longer has",
    half=Half.blind,
    story="A chart's new version renames the Service's port from `http` to `http-web`. The Route, kept elsewhere, "
    "still says `http`; it stays admitted and the router has no server to send requests to.",
    sources=[
        "https://docs.openshift.com/container-platform/4.16/networking/routes/route-configuration.html",
        "https://docs.openshift.com/container-platform/4.16/rest_api/network_apis/route-route-openshift-io-v1.html",
        "https://docs.haproxy.org/2.8/configuration.html#8.5",
    ],
    labels={
        "alertname": "RouterBackend5xxHigh",
        "namespace": "openshift-ingress",
        "pod": "{pod:openshift-ingress/router-default}",
        "exported_namespace": "ticketing",
        "route": "boxoffice",
        "job": "router-internal-default",
    },
    annotations={"summary": "More than half of the requests to route ticketing/boxoffice end with 503."},
    causes=["Route/ticketing/boxoffice", "Service/ticketing/boxoffice"],
    says=[["port"], ["http-web", '"http"', "`http`", "'http'", "targetPort http", "port http"]],
    innocent=[
        "Pod/openshift-ingress/{pod:openshift-ingress/router-default}",
        "Deployment/openshift-ingress/router-default",
        "Deployment/ticketing/boxoffice",
    ],
    traits=frozenset({Trait.innocent}),
    authored=["route status"],
)

ROUTER = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: router-default
  namespace: openshift-ingress
  labels: {ingresscontroller.operator.openshift.io/owning-ingresscontroller: default}
spec:
  replicas: 2
  selector: {matchLabels: {ingresscontroller.operator.openshift.io/deployment-ingresscontroller: default}}
  template:
    metadata: {labels: {ingresscontroller.operator.openshift.io/deployment-ingresscontroller: default}}
    spec:
      containers:
      - name: router
        image: registry.example.com/openshift/haproxy-router:4.16.9
        ports: [{name: http, containerPort: 80}, {name: https, containerPort: 443}, {name: metrics, containerPort: 1936}]
        readinessProbe: {httpGet: {path: /healthz/ready, port: 1936}}
      - name: logs
        image: registry.example.com/openshift/haproxy-router:4.16.9
        command: [/sbin/rsyslogd, -n, -i, /tmp/rsyslog.pid, -f, /etc/rsyslog/rsyslog.conf]
"""

WORKLOADS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: boxoffice, namespace: ticketing, labels: {helm.sh/chart: boxoffice-1.12.0}}
spec:
  replicas: 3
  selector: {matchLabels: {app: boxoffice}}
  template:
    metadata: {labels: {app: boxoffice}}
    spec:
      containers:
      - name: boxoffice
        image: registry.example.com/ticketing/boxoffice:5.2.0
        ports: [{name: web, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: web}}
---
apiVersion: v1
kind: Service
metadata: {name: boxoffice, namespace: ticketing, labels: {helm.sh/chart: boxoffice-1.12.0}}
spec: {selector: {app: boxoffice}, ports: [{name: http, port: 8080, targetPort: web}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: seatmap, namespace: ticketing}
spec:
  replicas: 2
  selector: {matchLabels: {app: seatmap}}
  template:
    metadata: {labels: {app: seatmap}}
    spec:
      containers:
      - {name: seatmap, image: "registry.example.com/ticketing/seatmap:2.4.1", ports: [{name: web, containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: seatmap, namespace: ticketing}
spec: {selector: {app: seatmap}, ports: [{name: http, port: 8080, targetPort: web}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: handbook, namespace: intranet}
spec:
  replicas: 1
  selector: {matchLabels: {app: handbook}}
  template:
    metadata: {labels: {app: handbook}}
    spec:
      containers:
      - {name: handbook, image: "registry.example.com/intranet/handbook:21", ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: handbook, namespace: intranet}
spec: {selector: {app: handbook}, ports: [{name: 8080-tcp, port: 8080}]}
"""

ROUTES = """
apiVersion: route.openshift.io/v1
kind: Route
metadata: {name: boxoffice, namespace: ticketing}
spec:
  host: tickets.apps.example.com
  to: {kind: Service, name: boxoffice, weight: 100}
  port: {targetPort: http}
  tls: {termination: edge, insecureEdgeTerminationPolicy: Redirect}
  wildcardPolicy: None
---
apiVersion: route.openshift.io/v1
kind: Route
metadata: {name: seatmap, namespace: ticketing}
spec:
  host: seatmap.apps.example.com
  to: {kind: Service, name: seatmap, weight: 100}
  port: {targetPort: http}
  tls: {termination: edge, insecureEdgeTerminationPolicy: Redirect}
  wildcardPolicy: None
---
apiVersion: route.openshift.io/v1
kind: Route
metadata: {name: handbook, namespace: intranet}
spec:
  host: handbook.apps.example.com
  to: {kind: Service, name: handbook, weight: 100}
  port: {targetPort: 8080-tcp}
  tls: {termination: edge, insecureEdgeTerminationPolicy: None}
  wildcardPolicy: None
"""

RENAMED = """
apiVersion: v1
kind: Service
metadata: {name: boxoffice, namespace: ticketing, labels: {helm.sh/chart: boxoffice-1.13.0}}
spec: {selector: {app: boxoffice}, ports: [{name: http-web, port: 8080, targetPort: web}]}
"""

HOSTS = {
    "ticketing/boxoffice": "tickets.apps.example.com",
    "ticketing/seatmap": "seatmap.apps.example.com",
    "intranet/handbook": "handbook.apps.example.com",
}

ACCESS = """
haproxy[61]: 203.0.113.18:40122 [{day}:{hour}:02.118] fe_sni~ be_edge_http:ticketing:boxoffice/<NOSRV> 0/-1/-1/-1/0 503 3278 - - SC-- 41/12/0/0/0 0/0 "GET /events HTTP/1.1"
haproxy[61]: 203.0.113.77:51810 [{day}:{hour}:02.604] fe_sni~ be_edge_http:ticketing:seatmap/pod:{seatmap}:seatmap:http:10.244.1.4:8080 0/0/1/9/10 200 18230 - - --NI 43/13/1/0/0 0/0 "GET /halls/4 HTTP/1.1"
haproxy[61]: 203.0.113.18:40126 [{day}:{hour}:03.870] fe_sni~ be_edge_http:ticketing:boxoffice/<NOSRV> 0/-1/-1/-1/0 503 3278 - - SC-- 42/12/0/0/0 0/0 "POST /orders HTTP/1.1"
haproxy[61]: 198.51.100.5:33904 [{day}:{hour}:05.031] fe_sni~ be_edge_http:ticketing:boxoffice/<NOSRV> 0/-1/-1/-1/0 503 3278 - - SC-- 40/11/0/0/0 0/0 "GET /events/991 HTTP/1.1"
"""


def play(stage: Stage) -> None:
    stage.crd("route.openshift.io", "v1", "Route", "routes")
    stage.apply(ROUTER)
    stage.apply(WORKLOADS, manager="helm")
    stage.apply(ROUTES)
    for what, host in HOSTS.items():
        admitted = {"type": "Admitted", "status": "True", "lastTransitionTime": stage.stamp()}
        stage.status(f"routes.route.openshift.io/{what}", {"ingress": [{
            "host": host, "routerName": "default", "routerCanonicalHostname": "router-default.apps.example.com",
            "wildcardPolicy": "None", "conditions": [admitted],
        }]}, manager="openshift-router")  # fmt: skip
    stage.calm()
    stage.wait(days=17, hours=4)

    stage.apply(RENAMED, manager="helm")
    stage.edit("deployments/ticketing/boxoffice", _next_chart, manager="helm")
    stage.wait(minutes=21)

    seatmap = stage.pod("ticketing/seatmap")["metadata"]["name"]
    lines = ACCESS.format(seatmap=seatmap, day=f"{stage.now:%d/%b/%Y}", hour=f"{stage.ago(minutes=1):%H:%M}")
    stage.log("openshift-ingress/router-default", lines, container="logs")
    stage.log(
        "openshift-ingress/router-default",
        f'I{stage.ago(minutes=20):%m%d %H:%M:%S}.002154       1 router.go:671] "msg"="router reloaded" "logger"="router" "output"=" - Checking http://localhost:80 ...\\n - Health check ok : 0 retry attempt(s).\\n"',
        container="router", at=stage.ago(minutes=20),
    )  # fmt: skip
    stage.log(
        "ticketing/boxoffice",
        "INFO boxoffice 5.2.0 ready on :8080",
        at=stage.now.replace(day=3, hour=9, minute=12),
    )
    _measure(stage)
    stage.fire(minutes_ago=5)


def _next_chart(body: dict[str, dict[str, dict[str, str]]]) -> None:
    body["metadata"]["labels"]["helm.sh/chart"] = "boxoffice-1.13.0"


def _measure(stage: Stage) -> None:
    def rate(route: str, namespace: str, code: str) -> dict[str, str]:
        return {"route": route, "exported_namespace": namespace, "code": code}

    well, ill = [0.0] * 39 + [0.0] * 21, [0.02] * 39 + [3.1, *[14.2, 14.8, 13.9, 14.4] * 5]
    stage.metric(
        "route_responses",
        "sum by (exported_namespace, route, code) (rate(haproxy_backend_http_responses_total[2m]))",
        [
            (rate("boxoffice", "ticketing", "5xx"), ill),
            (rate("boxoffice", "ticketing", "2xx"), [14.1, 14.6, 13.8] * 13 + [11.0] + [0.0] * 20),
            (rate("seatmap", "ticketing", "5xx"), well),
            (rate("seatmap", "ticketing", "2xx"), [6.2, 6.4, 6.1] * 20),
            (rate("handbook", "intranet", "5xx"), well),
            (rate("handbook", "intranet", "2xx"), [0.3, 0.2, 0.4] * 20),
        ],
    )
