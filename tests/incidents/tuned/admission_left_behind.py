"""A policy product was removed and its webhook registration stayed; nothing can be rolled out any more."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A rollout makes no pods because the API server asks a webhook that is gone",
    half=Half.tuned,
    story="The namespace of a policy product is deleted; its ValidatingWebhookConfiguration (failurePolicy Fail) stays.",
    sources=["https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/"],
    labels={
        "alertname": "KubeDeploymentReplicasMismatch",
        "namespace": "parcels",
        "deployment": "labels",
        "job": "kube-state-metrics",
    },
    causes=["ValidatingWebhookConfiguration/_cluster/house-rules"],
    says=[["pods.rules.example.com"], ["house/rules", "house-rules"], ["does not exist", "not found"]],
)

MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: labels, namespace: parcels}
spec:
  replicas: 2
  selector: {matchLabels: {app: labels}}
  template:
    metadata: {labels: {app: labels}}
    spec:
      containers:
      - name: labels
        image: registry.example.com/parcels/labels:7.2.0
        ports: [{containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: labels, namespace: parcels}
spec:
  selector: {app: labels}
  ports: [{port: 80, targetPort: 8080}]
"""

LEFT = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: house-rules}
webhooks:
- name: pods.rules.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 2
  clientConfig:
    service: {namespace: house, name: rules, path: /pods}
  rules:
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
"""


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=9)
    stage.apply(LEFT)
    stage.wait(minutes=30)
    stage.kubectl("scale", "deployment/labels", "--replicas=4", "-n", "parcels")
    stage.wait(minutes=12)
    stage.fire(minutes_ago=2)
