"""A rolling update of a workload with one single-writer volume: the new pod waits for the old one, and the reverse."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident
from tests.incidents.manifests import deployment, kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import service

INCIDENT = Incident(
    title="A rollout cannot attach the volume that the old pod still holds on another node",
    half=Half.tuned,
    story="The editor keeps its files on a ReadWriteOnce claim and rolls with a surge. The new pod lands on another node, "
    "where the volume cannot be attached while the old pod runs; the old pod stays until the new one is ready.",
    sources=[
        "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes",
        "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#strategy",
    ],
    labels=kube_prometheus("KubeDeploymentRolloutStuck", namespace="documents", deployment="editor"),
    causes=["Deployment/documents/editor", "PersistentVolumeClaim/documents/editor-files"],
    says=[["Multi-Attach", "ReadWriteOnce"], ["editor-files"], ["RollingUpdate", "Recreate", "old pod"]],
    innocent=["Node/_cluster/node-a", "Node/_cluster/node-b", "Node/_cluster/node-c"],
    authored=["attach-detach controller's event"],
)

VOLUME = "pvc-0b6d7a1e-6c3e-4a53-9d1f-1f3f9a2c7e55"
MANIFESTS = [
    {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "block"}, "provisioner": "disk.csi.example.com"},
    {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": VOLUME},
        "spec": {
            "capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "block",
            "claimRef": {"namespace": "documents", "name": "editor-files"},
            "csi": {"driver": "disk.csi.example.com", "volumeHandle": "vol-77a1"},
        },
    },
    {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "editor-files", "namespace": "documents"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "block", "resources": {"requests": {"storage": "20Gi"}}},
    },
    deployment(
        "documents/editor", "documents/editor:8.1.0", replicas=1, port=8080, volumeMounts=[{"name": "files", "mountPath": "/data"}],
        pod={"volumes": [{"name": "files", "persistentVolumeClaim": {"claimName": "editor-files"}}]},
    ),
    service("documents/editor", 8080),
    deployment("documents/viewer", "documents/viewer:2.3.0", port=8080),
]  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=25)
    (old,) = stage.placed("documents/editor")
    stage.kubectl("cordon", old["spec"]["nodeName"])
    stage.hold("documents/editor")
    stage.kubectl(
        "set",
        "image",
        "deployment/editor",
        "editor=registry.example.com/documents/editor:8.2.0",
        "-n",
        "documents",
    )
    (fresh,) = [
        p for p in stage.placed("documents/editor", 2) if p["metadata"]["name"] != old["metadata"]["name"]
    ]
    stage.kubectl("uncordon", old["spec"]["nodeName"])
    stage.wait(minutes=2)
    why = (
        f'Multi-Attach error for volume "{VOLUME}" Volume is already used by pod(s) {old["metadata"]["name"]}'
    )
    stage.event(
        stage.get(f"pods/documents/{fresh['metadata']['name']}"),
        "FailedAttachVolume",
        why,
        component="attachdetach-controller",
        minutes_ago=2,
    )
    stage.stuck(f"documents/{fresh['metadata']['name']}", "ContainerCreating", "")
    stage.wait(minutes=26)
    stage.fire(minutes_ago=2)
