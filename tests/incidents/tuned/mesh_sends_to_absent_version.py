"""All traffic is sent to a subset whose pods do not exist yet."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A VirtualService sends all traffic to version v2, of which no pod runs",
    half=Half.tuned,
    story="The weights were to be moved after the rollout of v2; they were moved before it. Callers get 503.",
    sources=[
        "https://istio.io/latest/docs/reference/config/analysis/ist0173/",
        "https://istio.io/latest/docs/ops/common-problems/network-issues/",
    ],
    labels={"alertname": "HighErrorRate", "namespace": "travel", "deployment": "planner"},
    causes=["VirtualService/travel/fares"],
    says=[["v2"], ["subset"], ["no pod"]],
    innocent=["Deployment/travel/planner", "Deployment/travel/fares-v1", "Service/travel/fares"],
    traits=frozenset({Trait.innocent}),
    authored=["mesh proxies"],
)

MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: fares-v1, namespace: travel}
spec:
  replicas: 2
  selector: {matchLabels: {app: fares, version: v1}}
  template:
    metadata: {labels: {app: fares, version: v1}}
    spec:
      containers:
      - name: fares
        image: registry.example.com/travel/fares:1.30.4
        ports: [{containerPort: 8080}]
      - name: istio-proxy
        image: registry.example.com/istio/proxyv2:1.28.1
---
apiVersion: v1
kind: Service
metadata: {name: fares, namespace: travel}
spec:
  selector: {app: fares}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: planner, namespace: travel}
spec:
  replicas: 2
  selector: {matchLabels: {app: planner, version: v1}}
  template:
    metadata: {labels: {app: planner, version: v1}}
    spec:
      containers:
      - name: planner
        image: registry.example.com/travel/planner:4.1.0
        env: [{name: FARES_URL, value: "http://fares/quote"}]
      - name: istio-proxy
        image: registry.example.com/istio/proxyv2:1.28.1
"""

RULES = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: fares, namespace: travel}
spec:
  host: fares
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: fares, namespace: travel}
spec:
  hosts: [fares]
  http:
  - route:
    - {destination: {host: fares, subset: v1}, weight: 100}
    - {destination: {host: fares, subset: v2}, weight: 0}
"""


def play(stage: Stage) -> None:
    stage.crd("networking.istio.io", "v1", "DestinationRule", "destinationrules")
    stage.crd("networking.istio.io", "v1", "VirtualService", "virtualservices")
    stage.apply(MANIFESTS)
    stage.apply(RULES)
    stage.calm()
    stage.wait(days=23, hours=5)

    def move(body: dict[str, object]) -> None:
        spec = body["spec"]
        assert isinstance(spec, dict)
        first, second = spec["http"][0]["route"]
        first["weight"], second["weight"] = 0, 100

    stage.edit("virtualservices.networking.istio.io/travel/fares", move)
    stage.wait(minutes=11)
    for pod in stage.pods("travel/planner"):
        place = f"travel/{pod['metadata']['name']}"
        lines = [
            "INFO request GET /trips/8821",
            "ERROR quote failed: GET http://fares/quote: 503 Service Unavailable: no healthy upstream",
        ] * 6
        stage.log(place, "\n".join(lines), container="planner", at=stage.ago(minutes=2), every_s=9)
    stage.fire(minutes_ago=7)
