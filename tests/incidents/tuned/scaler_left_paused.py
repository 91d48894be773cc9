"""A scaler was paused at zero for maintenance and never released; callers find nobody behind the Service."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A KEDA scaler that was paused at zero is forgotten, and the checkout finds no pricing service",
    half=Half.tuned,
    story="For a migration of the price table somebody pauses the scaler at zero replicas. The migration ends, the "
    "annotation stays, and whoever needs a price finds nobody.",
    sources=[
        "https://keda.sh/docs/2.17/concepts/scaling-deployments/#pausing-autoscaling",
        "https://kubernetes.io/docs/concepts/services-networking/service/",
    ],
    labels={
        "alertname": "KubePodCrashLooping",
        "namespace": "bazaar",
        "pod": "{pod:bazaar/till}",
        "container": "till",
    },
    causes=["ScaledObject/bazaar/pricing"],
    says=[["paused"], ["0 replicas", "zero"], ["pricing"]],
    innocent=["Deployment/bazaar/till", "Service/bazaar/pricing"],
    traits=frozenset({Trait.innocent}),
    authored=["keda status"],
)

MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: pricing, namespace: bazaar}
spec:
  replicas: 2
  selector: {matchLabels: {app: pricing}}
  template:
    metadata: {labels: {app: pricing}}
    spec:
      containers:
      - name: pricing
        image: registry.example.com/bazaar/pricing:8.2.0
        ports: [{containerPort: 9090}]
---
apiVersion: v1
kind: Service
metadata: {name: pricing, namespace: bazaar}
spec:
  selector: {app: pricing}
  ports: [{port: 9090, targetPort: 9090}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: till, namespace: bazaar}
spec:
  replicas: 1
  selector: {matchLabels: {app: till}}
  template:
    metadata: {labels: {app: till}}
    spec:
      containers:
      - name: till
        image: registry.example.com/bazaar/till:3.3.1
        env: [{name: PRICING_ADDR, value: "pricing:9090"}]
"""

SCALER = """
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: pricing, namespace: bazaar}
spec:
  scaleTargetRef: {name: pricing}
  minReplicaCount: 1
  maxReplicaCount: 12
  triggers:
  - {type: prometheus, metadata: {serverAddress: "http://prometheus.monitoring:9090", query: "sum(rate(price_requests_total[2m]))", threshold: "40"}}
"""


def play(stage: Stage) -> None:
    stage.crd("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
    stage.apply(MANIFESTS)
    stage.apply(SCALER)
    stage.calm()
    stage.wait(days=27)
    stage.kubectl(
        "annotate", "scaledobjects.keda.sh/pricing", "autoscaling.keda.sh/paused-replicas=0", "-n", "bazaar"
    )
    conditions = [
        {
            "type": "Ready",
            "status": "True",
            "reason": "ScaledObjectReady",
            "message": "ScaledObject is defined correctly and is ready for scaling",
        },
        {"type": "Active", "status": "Unknown", "reason": "Unknown", "message": "Unknown"},
        {
            "type": "Paused",
            "status": "True",
            "reason": "ScaledObjectPaused",
            "message": "ScaledObject is paused",
        },
    ]
    stage.status("scaledobjects.keda.sh/bazaar/pricing", {"conditions": conditions}, manager="keda-operator")

    def none(body: dict[str, object]) -> None:
        spec = body["spec"]
        assert isinstance(spec, dict)
        spec["replicas"] = 0

    stage.edit("deployments.apps/bazaar/pricing", none, manager="keda-operator")
    stage.calm()
    stage.wait(minutes=2)
    stage.crash(
        "bazaar/till", code=1, restarts=6, lives_s=3,
        log="INFO till 3.3.1\nERROR cannot load price list: dial tcp: connect to pricing:9090: connection refused\nFATAL giving up",
    )  # fmt: skip
    stage.fire(minutes_ago=6)
