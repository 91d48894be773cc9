"""A rollout names an image tag that does not exist; half of the pods still serve."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A rollout to a mistyped image tag never becomes ready",
    half=Half.tuned,
    story="`kubectl set image` names tag 3.14.0-rc that the registry does not have.",
    sources=["https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff"],
    labels={
        "alertname": "KubeDeploymentReplicasMismatch",
        "namespace": "parcels",
        "deployment": "tracker",
        "job": "kube-state-metrics",
    },
    causes=["Deployment/parcels/tracker"],
    says=[["3.14.0-rc"], ["not found", "does not exist"], ["3.13.2"]],
)

MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: tracker, namespace: parcels}
spec:
  replicas: 3
  selector: {matchLabels: {app: tracker}}
  template:
    metadata: {labels: {app: tracker}}
    spec:
      containers:
      - name: tracker
        image: registry.example.com/parcels/tracker:3.13.2
        ports: [{containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: tracker, namespace: parcels}
spec:
  selector: {app: tracker}
  ports: [{port: 80, targetPort: 8080}]
"""


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=9)
    image = "registry.example.com/parcels/tracker:3.14.0-rc"
    before = {pod["metadata"]["name"] for pod in stage.pods("parcels/tracker")}
    stage.hold("parcels/tracker")
    stage.kubectl("set", "image", "deployment/tracker", f"tracker={image}", "-n", "parcels")
    (fresh,) = [p for p in stage.placed("parcels/tracker", 4) if p["metadata"]["name"] not in before]
    stage.wait(minutes=3)
    why = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found'
    stage.stuck(
        f"parcels/{fresh['metadata']['name']}", "ImagePullBackOff",
        f'Back-off pulling image "{image}": ErrImagePull: rpc error: code = NotFound desc = {why}',
        event=("Failed", f'Failed to pull image "{image}": rpc error: code = NotFound desc = {why}'),
    )  # fmt: skip
    stage.wait(minutes=12)
    stage.fire(minutes_ago=2)
