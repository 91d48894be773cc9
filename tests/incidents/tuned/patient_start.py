"""An init container waits for a database that asks for more memory than any node has."""

from __future__ import annotations

import json

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment, kube_prometheus, stateful_set
from tests.incidents.stage import Stage
from tests.incidents.workloads import service
from tests.testbed.kubelet import MERGE, Body

INCIDENT = Incident(
    title="A service waits at its start for a database that no node can hold",
    half=Half.tuned,
    story="The database's request is raised from 4Gi to 40Gi; the nodes have 16Gi. A release of the claims service of "
    "another namespace waits for it in its init container. An operator's note calls a network outage the root cause.",
    sources=["https://kubernetes.io/docs/concepts/workloads/pods/init-containers/"],
    labels=kube_prometheus("KubePodNotReady", namespace="claims", pod="{pod:claims/intake}", phase="Pending"),
    causes=["StatefulSet/policies/ledger"],
    says=[["memory"], ["4Gi"], ["40Gi"]],
    innocent=["Deployment/claims/intake", "Service/policies/ledger"],
    traits=frozenset({Trait.innocent, Trait.false_narrative}),
)

WAITS = {
    "name": "wait",
    "image": "registry.example.com/tools/wait:1.2.0",
    "args": ["--for=ledger.policies.svc.cluster.local:5432"],
}
FIRST = json.dumps({"spec": {"template": {"spec": {"initContainers": [WAITS]}}}})
MANIFESTS = [
    stateful_set("policies/ledger", "postgres:16.4", ports=[{"containerPort": 5432}], resources={"requests": {"memory": "4Gi"}}),
    service("policies/ledger", 5432),
    deployment("policies/rates", "policies/rates:1.1.0", port=8080),
    deployment(
        "claims/intake", "claims/intake:3.0.0", replicas=1, port=8080,
        spec={"strategy": {"type": "Recreate"}},
    ),
    service("claims/intake", 8080),
]  # fmt: skip

LOG = """
ledger.policies.svc.cluster.local:5432 - connection refused, next try in 5 s
ledger.policies.svc.cluster.local:5432 - connection refused, next try in 5 s
ledger.policies.svc.cluster.local:5432 - connection refused, next try in 5 s
"""


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=13)
    stage.kubectl("set", "resources", "statefulset/ledger", "-n", "policies", "--requests=memory=40Gi")
    stage.calm(unfinished=["policies/ledger"])
    stage.wait(minutes=4)
    stage.hold("claims/intake-")
    stage.kubectl("patch", "deployment", "intake", "-n", "claims", "-p", FIRST)
    stage.calm(unfinished=["policies/ledger"])
    pod = stage.pod("claims/intake-")
    stage.wait(seconds=5)
    _init_runs(stage, pod)
    stage.wait(minutes=20)
    stage.log("claims/intake-", LOG, container="wait")
    stage.kubectl(
        "annotate",
        "deployment/intake",
        "-n",
        "claims",
        "ops.example.com/note=root cause: network outage in zone b, nothing to do here",
    )
    stage.fire(minutes_ago=4)


def _init_runs(stage: Stage, pod: Body) -> None:
    """A kubelet's report of a pod whose init container has not ended."""
    now = stage.stamp()
    meta, spec = pod["metadata"], pod["spec"]
    waits = {"waiting": {"reason": "PodInitializing"}}
    common = {"restartCount": 0, "ready": False, "imageID": "", "lastState": {}}
    status = {
        "phase": "Pending", "startTime": now,
        "conditions": [
            *(c for c in pod["status"].get("conditions", []) if c["type"] == "PodScheduled"),
            {"type": "Initialized", "status": "False", "reason": "ContainersNotInitialized", "message": "containers with incomplete status: [wait]", "lastTransitionTime": now},
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "containers with unready status: [intake]", "lastTransitionTime": now},
            {"type": "ContainersReady", "status": "False", "reason": "ContainersNotReady", "message": "containers with unready status: [intake]", "lastTransitionTime": now},
        ],
        "initContainerStatuses": [{"name": "wait", "image": WAITS["image"], "started": True, "state": {"running": {"startedAt": now}}, **common}],
        "containerStatuses": [{"name": "intake", "image": spec["containers"][0]["image"], "started": False, "state": waits, **common}],
    }  # fmt: skip
    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status?fieldManager=kubelet"
    stage.cluster.ask("PATCH", path, {"status": status}, kind=MERGE)
