"""A Kustomization waits for another one, whose change the API server refuses."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A volume claim that may not be changed keeps two other Kustomizations from being applied",
    half=Half.tuned,
    story="A commit gives an existing claim another storage class. Flux cannot apply it, so what depends on that "
    "Kustomization is not applied either; everything goes on running as it was.",
    sources=[
        "https://fluxcd.io/flux/components/kustomize/kustomizations/#dependencies",
        "https://kubernetes.io/docs/concepts/storage/persistent-volumes/",
    ],
    labels={
        "alertname": "FluxReconciliationFailure",
        "customresource_kind": "Kustomization",
        "exported_namespace": "flux-system",
        "namespace": "monitoring",
        "pod": "kube-state-metrics-7d9c5b6f4-k2x8p",
        "name": "reports",
        "ready": "False",
    },
    causes=["Kustomization/flux-system/storage"],
    says=[
        ["archive"],
        ["immutable", "Forbidden", "Invalid"],
        ["dry-run", "not ready", "ReconciliationFailed"],
    ],
    innocent=["Kustomization/flux-system/reports", "GitRepository/flux-system/platform"],
    traits=frozenset({Trait.innocent}),
    authored=["flux status"],
)

MANIFESTS = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: archive
  namespace: reports
  labels: {kustomize.toolkit.fluxcd.io/name: storage, kustomize.toolkit.fluxcd.io/namespace: flux-system}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  resources: {requests: {storage: 20Gi}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: shelf-3}
spec:
  capacity: {storage: 20Gi}
  accessModes: [ReadWriteOnce]
  nfs: {server: 10.30.0.7, path: /exports/shelf-3}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: render
  namespace: reports
  labels: {kustomize.toolkit.fluxcd.io/name: reports, kustomize.toolkit.fluxcd.io/namespace: flux-system}
spec:
  replicas: 1
  selector: {matchLabels: {app: render}}
  template:
    metadata: {labels: {app: render}}
    spec:
      containers:
      - name: render
        image: registry.example.com/reports/render:2.4.0
        volumeMounts: [{name: archive, mountPath: /var/lib/render}]
      volumes: [{name: archive, persistentVolumeClaim: {claimName: archive}}]
"""

FLUX = """
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: platform, namespace: flux-system}
spec: {interval: 1m, url: "https://git.example.com/platform/clusters.git", ref: {branch: main}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: storage, namespace: flux-system}
spec: {interval: 10m, path: ./storage, prune: true, sourceRef: {kind: GitRepository, name: platform}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: reports, namespace: flux-system}
spec: {interval: 10m, path: ./reports, prune: true, sourceRef: {kind: GitRepository, name: platform}, dependsOn: [{name: storage}]}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: mailing, namespace: flux-system}
spec: {interval: 10m, path: ./mailing, prune: true, sourceRef: {kind: GitRepository, name: platform}, dependsOn: [{name: storage}]}
"""

KUSTOMIZATIONS = "kustomizations.kustomize.toolkit.fluxcd.io"
OLD, NEW = "main@sha1:5f1c0b9a7e", "main@sha1:c27d83e461"


def play(stage: Stage) -> None:
    stage.crd("source.toolkit.fluxcd.io", "v1", "GitRepository", "gitrepositories")
    stage.crd("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations")
    stage.apply(MANIFESTS, manager="kustomize-controller")
    stage.apply(FLUX)
    stage.calm()
    stage.wait(days=41)
    stage.status(
        "gitrepositories.source.toolkit.fluxcd.io/flux-system/platform",
        {
            "artifact": {"revision": NEW, "lastUpdateTime": stage.stamp()},
            "conditions": [_ready(stage, "True", "Succeeded", f"stored artifact for revision '{NEW}'")],
            "observedGeneration": 1,
        },
        manager="source-controller",
    )
    refused = (
        'PersistentVolumeClaim/reports/archive dry-run failed (Forbidden): PersistentVolumeClaim "archive" is invalid: '
        "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
    )
    _kustomization(
        stage, "storage", "ReconciliationFailed", refused, ["reports_archive__PersistentVolumeClaim"]
    )
    stage.wait(minutes=1)
    waits = "dependency 'flux-system/storage' is not ready"
    _kustomization(stage, "reports", "DependencyNotReady", waits, ["reports_render_apps_Deployment"])
    _kustomization(stage, "mailing", "DependencyNotReady", waits, [])
    stage.event(
        stage.get(f"{KUSTOMIZATIONS}/flux-system/storage"),
        "ReconciliationFailed",
        refused,
        component="kustomize-controller",
    )
    stage.wait(minutes=34)
    stage.fire(minutes_ago=18)


def _kustomization(stage: Stage, name: str, reason: str, message: str, inventory: list[str]) -> None:
    stage.status(
        f"{KUSTOMIZATIONS}/flux-system/{name}",
        {
            "conditions": [_ready(stage, "False", reason, message)],
            "inventory": {"entries": [{"id": one, "v": "v1"} for one in inventory]},
            "lastAppliedRevision": OLD,
            "lastAttemptedRevision": NEW,
            "observedGeneration": 1,
        },
        manager="kustomize-controller",
    )


def _ready(stage: Stage, status: str, reason: str, message: str) -> dict[str, object]:
    return {"type": "Ready", "status": status, "reason": reason, "message": message, "lastTransitionTime": stage.stamp(), "observedGeneration": 1}  # fmt: skip
