"""A gateway's listener is narrowed to routes of its own namespace; shops behind it are no longer reached."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A Gateway's listener takes routes of its own namespace only, and routes of others are dropped",
    half=Half.tuned,
    story="While a second listener was added, the first one lost its allowedRoutes, for which the default is Same. The "
    "checkout's route is not accepted any more; its pods are well and get no requests.",
    sources=[
        "https://gateway-api.sigs.k8s.io/guides/user-guides/multiple-ns/",
        "https://gateway-api.sigs.k8s.io/reference/api-types/gateway/",
    ],
    labels={"alertname": "ProbeFailed", "namespace": "shopfront", "service": "checkout"},
    causes=["Gateway/edge/public"],
    says=[["shopfront"], ["own namespace", "allowedRoutes", "not allowed"], ["checkout"]],
    innocent=["Service/shopfront/checkout", "Deployment/shopfront/checkout"],
    traits=frozenset({Trait.innocent}),
    authored=["gateway status"],
)

MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: checkout, namespace: shopfront}
spec:
  replicas: 2
  selector: {matchLabels: {app: checkout}}
  template:
    metadata: {labels: {app: checkout}}
    spec:
      containers:
      - name: checkout
        image: registry.example.com/shopfront/checkout:11.2.0
        ports: [{containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: checkout, namespace: shopfront}
spec:
  selector: {app: checkout}
  ports: [{name: http, port: 80, targetPort: 8080}]
"""

GATEWAYS = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: front}
spec: {controllerName: example.com/front-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: edge}
spec:
  gatewayClassName: front
  listeners:
  - name: web
    port: 80
    protocol: HTTP
    allowedRoutes: {namespaces: {from: All}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: checkout, namespace: shopfront}
spec:
  parentRefs: [{name: public, namespace: edge}]
  hostnames: [checkout.example.com]
  rules:
  - backendRefs: [{name: checkout, port: 80}]
"""

GROUP = "gateway.networking.k8s.io"


def play(stage: Stage) -> None:
    for kind, plural, namespaced in (
        ("GatewayClass", "gatewayclasses", False),
        ("Gateway", "gateways", True),
        ("HTTPRoute", "httproutes", True),
    ):
        stage.crd(GROUP, "v1", kind, plural, namespaced=namespaced)
    stage.namespace("edge")
    stage.apply(MANIFESTS)
    stage.apply(GATEWAYS)
    stage.calm()
    stage.wait(days=12, hours=4)

    def narrow(body: dict[str, object]) -> None:
        spec = body["spec"]
        assert isinstance(spec, dict)
        spec["listeners"] = [
            {"name": "web", "port": 80, "protocol": "HTTP"},
            {"name": "metrics", "port": 9090, "protocol": "HTTP"},
        ]

    stage.edit(f"gateways.{GROUP}/edge/public", narrow)
    parent = {"name": "public", "namespace": "edge"}
    refused = {
        "type": "Accepted", "status": "False", "reason": "NotAllowedByListeners", "lastTransitionTime": stage.stamp(),
        "message": "No listener included by this parent ref allowed this attachment.", "observedGeneration": 1,
    }  # fmt: skip
    resolved = {
        **refused,
        "type": "ResolvedRefs",
        "status": "True",
        "reason": "ResolvedRefs",
        "message": "All references are resolved",
    }
    stage.status(
        f"httproutes.{GROUP}/shopfront/checkout",
        {
            "parents": [
                {
                    "parentRef": parent,
                    "controllerName": "example.com/front-controller",
                    "conditions": [refused, resolved],
                }
            ]
        },
        manager="front-controller",
    )
    stage.wait(minutes=14)
    stage.fire(minutes_ago=11)
