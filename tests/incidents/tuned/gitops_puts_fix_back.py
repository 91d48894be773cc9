"""A memory limit raised by hand is put back by Argo CD's self-heal, and the program is killed again."""

from __future__ import annotations

from datetime import datetime

from tests.incidents.incident import Half, Incident
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="Argo CD puts a memory limit back that was raised by hand during an incident",
    half=Half.tuned,
    story="The search index outgrows its memory limit. Somebody raises the limit with kubectl, which helps until the "
    "application's self-heal writes the repository's limit again a quarter of an hour later.",
    sources=[
        "https://argo-cd.readthedocs.io/en/stable/user-guide/auto_sync/#automatic-self-healing",
        "https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/",
    ],
    labels={"alertname": "KubePodCrashLooping", "namespace": "market", "pod": "{pod:market/search}", "container": "search"},
    causes=["Application/argocd/market-search"],
    says=[["put back", "revert", "self-heal"], ["192Mi"], ["512Mi"]],
    innocent=["Service/market/search"],
    authored=["argocd status"],
)  # fmt: skip

MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: search
  namespace: market
  annotations: {argocd.argoproj.io/tracking-id: "market-search:apps/Deployment:market/search"}
spec:
  replicas: 2
  selector: {matchLabels: {app: search}}
  template:
    metadata: {labels: {app: search}}
    spec:
      containers:
      - name: search
        image: registry.example.com/market/search:5.8.1
        ports: [{containerPort: 9200}]
        resources:
          requests: {cpu: 200m, memory: 128Mi}
          limits: {memory: 192Mi}
---
apiVersion: v1
kind: Service
metadata:
  name: search
  namespace: market
  annotations: {argocd.argoproj.io/tracking-id: "market-search:/Service:market/search"}
spec:
  selector: {app: search}
  ports: [{port: 9200, targetPort: 9200}]
"""

APPLICATION = """
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: market-search, namespace: argocd}
spec:
  project: default
  source: {repoURL: "https://git.example.com/market/deploy.git", path: search/production, targetRevision: main}
  destination: {server: "https://kubernetes.default.svc", namespace: market}
  syncPolicy: {automated: {prune: true, selfHeal: true}}
"""

REVISION = "4be0a6a7c0f9a1e86d0c1fd9f2b7c3a1d5e8f640"


def play(stage: Stage) -> None:
    stage.crd("argoproj.io", "v1alpha1", "Application", "applications")
    stage.apply(MANIFESTS, manager="argocd-controller")
    stage.apply(APPLICATION)
    stage.calm()
    stage.wait(days=17, hours=3)
    stage.kubectl("set", "resources", "deployment/search", "--limits=memory=512Mi", "-n", "market")
    stage.calm()
    stage.wait(minutes=16)
    began = stage.now
    stage.apply(MANIFESTS, manager="argocd-controller")
    stage.hold("market/search")
    stage.wait(seconds=8)
    _report(stage, began)
    stage.release("market/search")
    stage.calm()
    stage.wait(minutes=6)
    stage.crash(
        "market/search",
        code=137,
        reason="OOMKilled",
        restarts=5,
        lives_s=40,
        count=2,
        log="INFO opening index products (2 shards)\nINFO loading segment 41 of 96",
    )
    stage.fire(minutes_ago=6)


def _report(stage: Stage, began: datetime) -> None:
    """What the application controller writes after a self-heal."""
    resources = [
        {"group": group, "version": "v1", "kind": kind, "namespace": "market", "name": "search", "status": "Synced"}
        for group, kind in (("apps", "Deployment"), ("", "Service"))
    ]  # fmt: skip
    done = "deployment.apps/search configured"
    stage.status(
        "applications.argoproj.io/argocd/market-search",
        {
            "sync": {"status": "Synced", "revision": REVISION},
            "health": {"status": "Progressing"},
            "resources": resources,
            "reconciledAt": stage.stamp(),
            "operationState": {
                "phase": "Succeeded",
                "message": "successfully synced (all tasks run)",
                "startedAt": stage.stamp(at=began),
                "finishedAt": stage.stamp(),
                "operation": {
                    "initiatedBy": {"automated": True},
                    "retry": {"limit": 5},
                    "sync": {"revision": REVISION, "prune": True, "autoHealAttemptsCount": 1},
                },
                "syncResult": {
                    "revision": REVISION,
                    "resources": [
                        {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "market", "name": "search",
                         "status": "Synced", "message": done, "syncPhase": "Sync", "hookPhase": "Running"}
                    ],
                },
            },
        },
        manager="argocd-application-controller",
    )  # fmt: skip
