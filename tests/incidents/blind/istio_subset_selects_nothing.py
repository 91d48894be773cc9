"""Traffic moves to a subset whose labels no pod carries; the caller answers 503 while every pod is ready."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A DestinationRule's new subset selects no pods, and a VirtualService sends everything to it",
    half=Half.blind,
    story="Version 3 of the fares service is deployed with label version=v3. The DestinationRule's subset v3 asks "
    "for version=3.0. When the VirtualService moves from v2 to v3 the callers' proxies have no upstream.",
    sources=[
        "https://istio.io/latest/docs/reference/config/networking/destination-rule/#Subset",
        "https://istio.io/latest/docs/ops/common-problems/network-issues/",
        "https://github.com/istio/istio/issues/54023",
        "https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage",
    ],
    labels={
        "alertname": "HTTPServerErrorsHigh",
        "namespace": "booking",
        "deployment": "itinerary",
        "service": "itinerary",
    },
    annotations={"summary": "More than 20 % of the answers of booking/itinerary are 5xx."},
    causes=["DestinationRule/fares/fares", "VirtualService/fares/fares"],
    says=[["v3"], ["subset"], ["3.0"]],
    innocent=["Deployment/booking/itinerary", "Deployment/fares/fares-v3", "Service/fares/fares"],
    traits=frozenset({Trait.innocent}),
    authored=["istio objects without their controller", "sidecars written into pod templates"],
)

PROXY = "{name: istio-proxy, image: 'registry.example.com/istio/proxyv2:1.27.3', args: [proxy, sidecar], ports: [{name: http-envoy-prom, containerPort: 15090}]}"

WORKLOADS = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: istiod, namespace: istio-system}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: istiod}}}}
  template:
    metadata: {{labels: {{app: istiod}}}}
    spec:
      containers:
      - {{name: discovery, image: "registry.example.com/istio/pilot:1.27.3"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: itinerary, namespace: booking}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: itinerary}}}}
  template:
    metadata: {{labels: {{app: itinerary, version: v1}}}}
    spec:
      containers:
      - name: itinerary
        image: registry.example.com/booking/itinerary:9.4.0
        ports: [{{containerPort: 8080}}]
        env: [{{name: FARES_URL, value: "http://fares.fares.svc.cluster.local"}}]
      - {PROXY}
---
apiVersion: v1
kind: Service
metadata: {{name: itinerary, namespace: booking}}
spec: {{selector: {{app: itinerary}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: seats, namespace: booking}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: seats}}}}
  template:
    metadata: {{labels: {{app: seats, version: v1}}}}
    spec:
      containers:
      - {{name: seats, image: "registry.example.com/booking/seats:4.1.1", ports: [{{containerPort: 8080}}]}}
      - {PROXY}
---
apiVersion: v1
kind: Service
metadata: {{name: seats, namespace: booking}}
spec: {{selector: {{app: seats}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: fares, namespace: fares}}
spec: {{selector: {{app: fares}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: fares-v2, namespace: fares}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: fares, version: v2}}}}
  template:
    metadata: {{labels: {{app: fares, version: v2}}}}
    spec:
      containers:
      - {{name: fares, image: "registry.example.com/fares/fares:2.17.3", ports: [{{containerPort: 8080}}]}}
      - {PROXY}
"""

V3 = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: fares-v3, namespace: fares}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: fares, version: v3}}}}
  template:
    metadata: {{labels: {{app: fares, version: v3}}}}
    spec:
      containers:
      - {{name: fares, image: "registry.example.com/fares/fares:3.0.0", ports: [{{containerPort: 8080}}]}}
      - {PROXY}
"""

MESH = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: fares, namespace: fares}
spec:
  host: fares.fares.svc.cluster.local
  trafficPolicy: {connectionPool: {http: {http2MaxRequests: 1000}}}
  subsets:
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: fares, namespace: fares}
spec:
  hosts: [fares.fares.svc.cluster.local]
  http:
  - route: [{destination: {host: fares.fares.svc.cluster.local, subset: v2, port: {number: 80}}, weight: 100}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: seats, namespace: booking}
spec:
  host: seats.booking.svc.cluster.local
  subsets:
  - {name: v1, labels: {version: v1}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: seats, namespace: booking}
spec:
  hosts: [seats.booking.svc.cluster.local]
  http:
  - route: [{destination: {host: seats.booking.svc.cluster.local, subset: v1, port: {number: 80}}, weight: 100}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
"""

RULE_V3 = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: fares, namespace: fares}
spec:
  host: fares.fares.svc.cluster.local
  trafficPolicy: {connectionPool: {http: {http2MaxRequests: 1000}}}
  subsets:
  - {name: v2, labels: {version: v2}}
  - {name: v3, labels: {version: "3.0"}}
"""

SERVICE_V3 = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: fares, namespace: fares}
spec:
  hosts: [fares.fares.svc.cluster.local]
  http:
  - route: [{destination: {host: fares.fares.svc.cluster.local, subset: v3, port: {number: 80}}, weight: 100}]
"""

ACCESS = """
[{a}] "GET /v1/fares?from=HAM&to=LIS HTTP/1.1" 503 UH no_healthy_upstream - "-" 0 19 0 - "-" "Go-http-client/1.1" "0a1b6f6e-84c2-9a3e-b7f8-6d1f2a9d5c01" "fares.fares.svc.cluster.local" "-" outbound|80|v3|fares.fares.svc.cluster.local - {service}:80 {pod}:51442 - -
[{b}] "GET /v1/seats?train=882 HTTP/1.1" 200 - via_upstream - "-" 0 412 6 5 "-" "Go-http-client/1.1" "5f3c0d8a-11b7-9c60-8f54-0a7be4c0d2f7" "seats.booking.svc.cluster.local" "10.244.2.4:8080" outbound|80|v1|seats.booking.svc.cluster.local {pod}:40118 10.96.71.20:80 {pod}:51448 - default
[{c}] "GET /v1/fares?from=CPH&to=BER HTTP/1.1" 503 UH no_healthy_upstream - "-" 0 19 0 - "-" "Go-http-client/1.1" "c2d1e7aa-5190-9ff1-a2b7-7e4a1c6a0b3d" "fares.fares.svc.cluster.local" "-" outbound|80|v3|fares.fares.svc.cluster.local - {service}:80 {pod}:51460 - -
"""


def play(stage: Stage) -> None:
    for kind, plural in (("VirtualService", "virtualservices"), ("DestinationRule", "destinationrules")):
        stage.crd("networking.istio.io", "v1", kind, plural)
    stage.crd("security.istio.io", "v1", "PeerAuthentication", "peerauthentications")
    stage.apply(WORKLOADS)
    stage.apply(MESH)
    stage.calm()
    stage.wait(days=33, hours=6)

    stage.apply(V3)
    stage.calm()
    stage.apply(RULE_V3)
    stage.wait(minutes=26)
    stage.apply(SERVICE_V3)
    stage.wait(minutes=19)

    pod = stage.pod("booking/itinerary")
    service = stage.get("services/fares/fares")["spec"]["clusterIP"]
    at = [f"{stage.ago(seconds=s):%Y-%m-%dT%H:%M:%S}.{s * 7:03d}Z" for s in (42, 41, 39)]
    lines = ACCESS.format(a=at[0], b=at[1], c=at[2], service=service, pod=pod["status"]["podIP"])
    stage.log("booking/itinerary", lines, container="istio-proxy", at=stage.ago(seconds=42))
    app = 'ERROR price lookup failed: GET http://fares.fares.svc.cluster.local/v1/fares: 503 "no healthy upstream"'
    stage.log("booking/itinerary", f"{app}\nWARN answering 502 to client\n{app}", container="itinerary")
    stage.log(
        "fares/fares-v3", "INFO fares 3.0.0 listening on :8080", container="fares", at=stage.ago(minutes=45)
    )
    _measure(stage)
    stage.fire(minutes_ago=6)


def _measure(stage: Stage) -> None:
    def labels(code: str, flags: str, caller: str, called: str) -> dict[str, str]:
        return {
            "reporter": "source", "source_workload": caller, "source_workload_namespace": "booking",
            "destination_service_name": called, "response_code": code, "response_flags": flags,
        }  # fmt: skip

    stage.metric(
        "mesh_requests",
        "sum by (reporter, source_workload, source_workload_namespace, destination_service_name, response_code, response_flags) (rate(istio_requests_total[2m]))",
        [
            (labels("200", "-", "itinerary", "fares"), [31.0, 32.5, 30.8, 31.9] * 10 + [12.0] + [0.0] * 19),
            (labels("503", "UH", "itinerary", "fares"), [0.0] * 40 + [19.2] + [31.4, 32.2, 30.9, 31.6] * 4 + [31.1] * 3),
            (labels("200", "-", "itinerary", "seats"), [12.1, 12.4, 11.9] * 20),
        ],
    )  # fmt: skip
