"""A secret store's role is withdrawn; a program that is rolled out anew finds no Secret, an older one runs on."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A new program waits for a Secret that cannot be fetched, as the store's role was withdrawn",
    half=Half.tuned,
    story="The vault's role for the freight team was renamed. Secrets that had been fetched stay as they are, so nobody "
    "noticed until a new program needed one that was not there yet.",
    sources=[
        "https://external-secrets.io/latest/api/secretstore/",
        "https://external-secrets.io/latest/api/externalsecret/",
        "https://kubernetes.io/docs/concepts/configuration/secret/#optional-secrets",
    ],
    labels={"alertname": "KubeContainerWaiting", "namespace": "freight", "pod": "{pod:freight/customs}", "container": "customs", "reason": "CreateContainerConfigError"},
    causes=["SecretStore/freight/vault"],
    says=[["permission denied", "403"], ["vault"], ["Ready=False", "not ready", "invalid"]],
    innocent=["Deployment/freight/customs", "Deployment/freight/routing"],
    traits=frozenset({Trait.innocent}),
    authored=["external-secrets status"],
)  # fmt: skip

STORE = """
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: vault, namespace: freight}
spec:
  provider:
    vault: {server: "https://vault.example.com:8200", path: freight, version: v2, auth: {kubernetes: {mountPath: kubernetes, role: freight}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: routing-db, namespace: freight}
spec: {refreshInterval: 1h, secretStoreRef: {name: vault, kind: SecretStore}, target: {name: routing-db}, dataFrom: [{extract: {key: routing}}]}
"""

NEW = """
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: customs, namespace: freight}
spec: {refreshInterval: 1h, secretStoreRef: {name: vault, kind: SecretStore}, target: {name: customs-api}, dataFrom: [{extract: {key: customs}}]}
"""


def workload(name: str, secret: str) -> str:
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: freight}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: {name}
        image: registry.example.com/freight/{name}:1.0.0
        envFrom: [{{secretRef: {{name: {secret}}}}}]
"""


FETCHED = """
apiVersion: v1
kind: Secret
metadata: {name: routing-db, namespace: freight}
stringData: {user: routing}
"""


def play(stage: Stage) -> None:
    stage.crd("external-secrets.io", "v1", "SecretStore", "secretstores")
    stage.crd("external-secrets.io", "v1", "ExternalSecret", "externalsecrets")
    stage.apply(STORE)
    stage.apply(FETCHED, manager="external-secrets")
    stage.apply(workload("routing", "routing-db"))
    stage.calm()
    stage.wait(days=88)
    why = "unable to log in with Kubernetes auth: Error making API request. Code: 403. Errors: * permission denied"
    _condition(
        stage, "secretstores/freight/vault", "InvalidProviderConfig", f"unable to validate store: {why}"
    )
    stage.wait(days=3, minutes=4)
    _condition(
        stage,
        "externalsecrets/freight/routing-db",
        "SecretSyncedError",
        'could not get provider client: SecretStore "vault" is not ready',
    )
    stage.hold("freight/customs")
    stage.apply(NEW)
    stage.apply(workload("customs", "customs-api"))
    stage.wait(seconds=20)
    _condition(
        stage,
        "externalsecrets/freight/customs",
        "SecretSyncedError",
        'could not get provider client: SecretStore "vault" is not ready',
    )
    missing = 'secret "customs-api" not found'
    stage.stuck(
        "freight/customs", "CreateContainerConfigError", missing, event=("Failed", f"Error: {missing}")
    )
    stage.wait(minutes=17)
    stage.fire(minutes_ago=2)


def _condition(stage: Stage, what: str, reason: str, message: str) -> None:
    ready = {
        "type": "Ready",
        "status": "False",
        "reason": reason,
        "message": message,
        "lastTransitionTime": stage.stamp(),
    }
    stage.status(what, {"conditions": [ready]}, manager="external-secrets")
