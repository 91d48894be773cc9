"""A store's claim asks for a storage class that this cluster does not have; its loader alerts."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment, kube_prometheus, stateful_set
from tests.incidents.stage import Stage
from tests.incidents.workloads import service

INCIDENT = Incident(
    title="A warehouse copied from another cluster waits for that cluster's storage class",
    half=Half.tuned,
    story="The warehouse's manifests come from a cluster with a class `ssd-replicated`. Here its claim is pending for ever, "
    "and the loader that was deployed with it crashes.",
    sources=["https://kubernetes.io/docs/concepts/storage/persistent-volumes/#class-1"],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="intake", deployment="loader"),
    causes=["PersistentVolumeClaim/analytics/data-warehouse-0"],
    says=[["ssd-replicated"], ["not found", "does not exist", "no such"]],
    innocent=["Deployment/intake/loader", "Service/analytics/warehouse"],
    traits=frozenset({Trait.innocent}),
)

CLAIM = {
    "metadata": {"name": "data"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "ssd-replicated",
        "resources": {"requests": {"storage": "50Gi"}},
    },
}
OLD = [
    {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "standard"}, "provisioner": "disk.csi.example.com"},
    deployment("intake/receiver", "intake/receiver:3.1.0", port=8080),
    deployment("analytics/charts", "analytics/charts:1.8.0", replicas=1),
]  # fmt: skip
NEW = [
    stateful_set(
        "analytics/warehouse", "analytics/warehouse:24.8.4", ports=[{"containerPort": 9000}], volumeMounts=[{"name": "data", "mountPath": "/var/lib/warehouse"}],
        spec={"volumeClaimTemplates": [CLAIM]},
    ),
    service("analytics/warehouse", 9000),
    deployment("intake/loader", "intake/loader:1.0.0", args=["--sink=warehouse.analytics:9000"]),
]  # fmt: skip

LOG = """
[2026-11-20 09:20:14] INFO  loader starting, sink=warehouse.analytics:9000
[2026-11-20 09:20:19] ERROR Code: 210. DB::NetException: Connection refused (warehouse.analytics:9000). (NETWORK_ERROR)
"""


def play(stage: Stage) -> None:
    stage.apply(OLD)
    stage.calm()
    stage.wait(days=17)
    stage.apply(NEW)
    stage.hold("intake/loader")
    stage.calm(unfinished=["analytics/warehouse"])
    stage.crash("intake/loader", log=LOG, count=2, restarts=5, lives_s=6)
    stage.wait(minutes=10)
    stage.fire(minutes_ago=3)
