"""A commit halves a memory limit; a person raises it by hand and Argo CD puts it back."""

from __future__ import annotations

from collections.abc import Sequence

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Body, Stage

INCIDENT = Incident(
    title="Argo CD's self-heal puts back a memory limit that is too small",
    half=Half.blind,
    story="A commit on savings lowers the quotes service's memory limit from 512Mi to 256Mi. Its pods are killed out "
    "of memory under load. The person on call raises the limit with kubectl, and Argo CD, which heals drift from "
    "Git, sets it back within a minute. A note on the Deployment blames a node.",
    sources=[
        "https://argo-cd.readthedocs.io/en/stable/user-guide/auto_sync/#automatic-self-healing",
        "https://argo-cd.readthedocs.io/en/stable/operator-manual/argocd-cm-yaml/",
        "https://github.com/argoproj/argo-cd/issues/14666",
        "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/",
    ],
    labels={
        "alertname": "KubePodCrashLooping",
        "namespace": "pricing",
        "pod": "{pod:pricing/quotes}",
        "container": "quotes",
        "reason": "CrashLoopBackOff",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    annotations={
        "description": 'Pod pricing/{pod:pricing/quotes} (quotes) is in waiting state (reason: "CrashLoopBackOff").'
    },
    causes=["Application/argocd/pricing", "Deployment/pricing/quotes"],
    says=[["256Mi"], ["OOM", "out of memory", "memory limit"]],
    innocent=["Node/_cluster/node-b", "Pod/pricing/{pod:pricing/quotes}"],
    traits=frozenset({Trait.false_narrative, Trait.innocent}),
    authored=["argo cd status", "argo cd events"],
)

BEFORE, AFTER = "4c1b0e9a7d5f3286b1c0aa54e7d1f09c83be6a12", "e97a23d40f6b8c15d2740bb9a6c3e51f7780ad94"
REPOSITORY = "https://git.example.com/platform/deployments.git"

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: quotes
  namespace: pricing
  annotations: {{"argocd.argoproj.io/tracking-id": "pricing:apps/Deployment:pricing/quotes"}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: quotes}}}}
  template:
    metadata: {{labels: {{app: quotes}}}}
    spec:
      containers:
      - name: quotes
        image: registry.example.com/pricing/quotes:5.4.0
        ports: [{{containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /ready, port: 8080}}}}
        resources: {{requests: {{cpu: 200m, memory: 256Mi}}, limits: {{memory: {limit}}}}}
---
apiVersion: v1
kind: Service
metadata:
  name: quotes
  namespace: pricing
  annotations: {{"argocd.argoproj.io/tracking-id": "pricing:/Service:pricing/quotes"}}
spec: {{selector: {{app: quotes}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""

NEIGHBOURS = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: argocd-application-controller, namespace: argocd}
spec:
  serviceName: argocd-application-controller
  replicas: 1
  selector: {matchLabels: {app.kubernetes.io/name: argocd-application-controller}}
  template:
    metadata: {labels: {app.kubernetes.io/name: argocd-application-controller}}
    spec:
      containers:
      - {name: argocd-application-controller, image: "registry.example.com/argoproj/argocd:v3.1.9"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: argocd-repo-server, namespace: argocd}
spec:
  replicas: 2
  selector: {matchLabels: {app.kubernetes.io/name: argocd-repo-server}}
  template:
    metadata: {labels: {app.kubernetes.io/name: argocd-repo-server}}
    spec:
      containers:
      - {name: argocd-repo-server, image: "registry.example.com/argoproj/argocd:v3.1.9"}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: basket
  namespace: basket
  annotations: {"argocd.argoproj.io/tracking-id": "basket:apps/Deployment:basket/basket"}
spec:
  replicas: 3
  selector: {matchLabels: {app: basket}}
  template:
    metadata: {labels: {app: basket}}
    spec:
      containers:
      - name: basket
        image: registry.example.com/basket/basket:8.0.3
        resources: {requests: {cpu: 100m, memory: 256Mi}, limits: {memory: 512Mi}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: vouchers
  namespace: vouchers
  annotations: {"argocd.argoproj.io/tracking-id": "vouchers:apps/Deployment:vouchers/vouchers"}
spec:
  replicas: 2
  selector: {matchLabels: {app: vouchers}}
  template:
    metadata: {labels: {app: vouchers}}
    spec:
      containers:
      - {name: vouchers, image: "registry.example.com/vouchers/vouchers:1.30.2"}
"""

NOTE = "node-b is short of memory and kills pods; ask infrastructure for a bigger node"


def play(stage: Stage) -> None:
    stage.crd("argoproj.io", "v1alpha1", "Application", "applications")
    stage.apply([_application(name) for name in ("pricing", "basket", "vouchers")])
    stage.apply(NEIGHBOURS, manager="argocd-controller")
    stage.apply(DEPLOYMENT.format(limit="512Mi"), manager="argocd-controller")
    stage.calm()
    for name, workload in (("pricing", "quotes"), ("basket", "basket"), ("vouchers", "vouchers")):
        _synced(stage, name, workload, BEFORE, history=[(BEFORE, stage.stamp())])
    stage.wait(days=20, hours=1)

    stage.apply(DEPLOYMENT.format(limit="256Mi"), manager="argocd-controller")
    stage.calm()
    stage.wait(minutes=4)
    _die(stage, restarts=4)

    stage.kubectl("annotate", "deployment/quotes", "-n", "pricing", f"oncall.example.com/note={NOTE}")
    stage.kubectl(
        "set", "resources", "deployment/quotes", "-n", "pricing", "-c", "quotes", "--limits=memory=768Mi"
    )
    stage.release("pricing/quotes")
    stage.calm()
    application = stage.get("applications.argoproj.io/argocd/pricing")
    stage.event(application, "ResourceUpdated", "Updated sync status: Synced -> OutOfSync", kind="Normal", component="argocd-application-controller")  # fmt: skip
    stage.event(application, "OperationStarted", f"Initiated automated sync to '{AFTER}'", kind="Normal", component="argocd-application-controller")  # fmt: skip
    stage.apply(DEPLOYMENT.format(limit="256Mi"), manager="argocd-controller")
    stage.calm()
    # What was stamped then has moved back with the cluster since.
    moved = stage.get("applications.argoproj.io/argocd/pricing")["status"]["history"][0]["deployedAt"]
    _synced(
        stage, "pricing", "quotes", AFTER, health="Degraded", heals=1,
        history=[(BEFORE, moved), (AFTER, stage.stamp(minutes_ago=13))],
    )  # fmt: skip
    stage.event(application, "OperationCompleted", f"Partial sync operation to {AFTER} succeeded", kind="Normal", component="argocd-application-controller")  # fmt: skip
    stage.event(application, "ResourceUpdated", "Updated sync status: OutOfSync -> Synced", kind="Normal", component="argocd-application-controller")  # fmt: skip
    stage.log("argocd/argocd-application-controller", CONTROLLER_LOG.format(revision=AFTER), every_s=2)
    stage.wait(minutes=3)
    _die(stage, restarts=5)
    stage.event(application, "ResourceUpdated", "Updated health status: Progressing -> Degraded", kind="Normal", component="argocd-application-controller", minutes_ago=8)  # fmt: skip
    # The pods before these are gone, and their logs with them.
    there = {pod["metadata"]["name"] for pod in stage.pods("pricing/quotes")} | {
        "argocd-application-controller-0"
    }
    stage.logs = {key: text for key, text in stage.logs.items() if key[1] in there}
    _measure(stage)
    stage.fire(minutes_ago=3)


CONTROLLER_LOG = """
level=info msg="Refreshing app status (controller refresh requested), level (1)" application=argocd/pricing
level=info msg="Updated sync status: Synced -> OutOfSync" application=pricing dest-namespace=pricing reason=ResourceUpdated type=Normal
level=info msg="Initiated automated sync to '{revision}'" application=pricing dest-namespace=pricing reason=OperationStarted type=Normal
level=info msg="Applying resource Deployment/quotes in cluster: https://10.96.0.1:443, namespace: pricing" application=argocd/pricing
level=info msg="Adding resource result, status: 'Synced', phase: 'Running', message: 'deployment.apps/quotes configured'" application=argocd/pricing kind=Deployment name=quotes namespace=pricing phase=Sync
level=info msg="Partial sync operation to {revision} succeeded" application=pricing dest-namespace=pricing reason=OperationCompleted type=Normal
"""

RUN_LOG = """
INFO quotes 5.4.0 starting
INFO tariff table loaded: 212480 rows
INFO listening on :8080
INFO cache warm: 188 MiB
"""


def _die(stage: Stage, *, restarts: int) -> None:
    stage.crash(
        "pricing/quotes", code=137, reason="OOMKilled", log=RUN_LOG, restarts=restarts, lives_s=48, count=3
    )


def _application(name: str) -> Body:
    return {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": name, "namespace": "argocd"},
        "spec": {
            "project": "default", "destination": {"namespace": name, "server": "https://kubernetes.default.svc"},
            "source": _source(name),
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}, "syncOptions": ["ServerSideApply=true"]},
        },
    }  # fmt: skip


def _source(name: str) -> Body:
    return {"repoURL": REPOSITORY, "path": f"apps/{name}", "targetRevision": "main"}


def _synced(
    stage: Stage,
    name: str,
    workload: str,
    revision: str,
    *,
    history: Sequence[tuple[str, str]],
    health: str = "Healthy",
    heals: int = 0,
) -> None:
    """An Application that is as Git says, after its latest sync."""
    now, source = stage.stamp(), _source(name)
    deployment = {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": name, "name": workload}
    asked: Body = {"prune": True, "revision": revision}
    if heals:
        only = {"group": "apps", "kind": "Deployment", "name": workload, "namespace": name}
        asked |= {"resources": [only], "selfHealAttemptsCount": heals}
    stage.status(f"applications.argoproj.io/argocd/{name}", {
        "health": {"status": health, "lastTransitionTime": now},
        "history": [
            {"id": number, "revision": one, "deployedAt": at, "deployStartedAt": at, "source": source, "initiatedBy": {"automated": True}}
            for number, (one, at) in enumerate(history)
        ],
        "operationState": {
            "phase": "Succeeded", "message": "successfully synced (all tasks run)", "startedAt": now, "finishedAt": now,
            "operation": {"initiatedBy": {"automated": True}, "retry": {"limit": 5}, "sync": asked},
            "syncResult": {"revision": revision, "source": source, "resources": [
                {**deployment, "hookPhase": "Running", "message": f"deployment.apps/{workload} configured", "status": "Synced", "syncPhase": "Sync"},
            ]},
        },
        "reconciledAt": now, "resources": [{**deployment, "status": "Synced", "health": {"status": health}}],
        "sourceType": "Kustomize", "controllerNamespace": "argocd",
        "sync": {"status": "Synced", "revision": revision, "comparedTo": {"destination": {"namespace": name, "server": "https://kubernetes.default.svc"}, "source": source}},
    }, manager="argocd-application-controller")  # fmt: skip


def _measure(stage: Stage) -> None:
    """Working sets climb until the kernel ends the process; the node has room."""
    rise = [112e6, 181e6, 239e6, 262e6]
    series = []
    for n, pod in enumerate(stage.pods("pricing/quotes")):
        labels = {
            "namespace": "pricing",
            "pod": pod["metadata"]["name"],
            "container": "quotes",
            "node": pod["spec"]["nodeName"],
        }
        series.append((labels, [rise[(n + m) % 4] for m in range(12)]))
    stage.metric("working_set", 'container_memory_working_set_bytes{namespace="pricing",container="quotes"}', series)  # fmt: skip
    stage.metric(
        "node_memory_available", "node_memory_MemAvailable_bytes",
        [({"instance": node, "job": "node-exporter"}, [9.8e9 + 4e7 * (n % 5) for n in range(60)]) for node in ("node-a", "node-b", "node-c")],
    )  # fmt: skip
