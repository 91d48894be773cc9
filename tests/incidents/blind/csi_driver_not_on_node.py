"""A new node is tainted for one workload; that workload tolerates it, the storage driver's node plugin does not."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.kubelets import MERGE
from tests.incidents.stage import Body, Stage

INCIDENT = Incident(
    title="A volume cannot be attached to a node where the CSI driver's node plugin may not run",
    half=Half.blind,
    story="node-d joins for the documents archive, with a taint that keeps others away. node-b is emptied and an "
    "archive pod moves to node-d. The driver's DaemonSet does not tolerate the taint, so its plugin never registers "
    "there and the volume is not attached.",
    sources=[
        "https://kubernetes-csi.github.io/docs/csi-node-object.html",
        "https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume-attachment-v1/",
        "https://github.com/openebs/mayastor/issues/1712",
        "https://github.com/kubernetes-sigs/vsphere-csi-driver/issues/191",
    ],
    labels={
        "alertname": "KubeStatefulSetReplicasMismatch",
        "namespace": "documents",
        "statefulset": "archive",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    causes=["DaemonSet/storage-system/blocks-node", "Node/_cluster/node-d"],
    says=[
        ["node-d"],
        ["blocks.csi.example.com", "CSI driver", "CSI plugin", "node plugin"],
        ["taint", "tolerat"],
    ],
    innocent=[
        "StatefulSet/documents/archive",
        "Pod/documents/archive-1",
        "PersistentVolumeClaim/documents/data-archive-1",
    ],
    traits=frozenset({Trait.innocent}),
    authored=["csi nodes", "volume attachment status", "count of an event"],
)

DRIVER = "blocks.csi.example.com"
OLD_NODES = ("node-a", "node-b", "node-c")

STORAGE = """
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {name: blocks.csi.example.com}
spec: {attachRequired: true, podInfoOnMount: false, fsGroupPolicy: File, volumeLifecycleModes: [Persistent]}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: blocks}
provisioner: blocks.csi.example.com
reclaimPolicy: Delete
allowVolumeExpansion: true
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: blocks-node, namespace: storage-system}
spec:
  selector: {matchLabels: {app: blocks-node}}
  template:
    metadata: {labels: {app: blocks-node}}
    spec:
      containers:
      - name: driver
        image: registry.example.com/storage/blocks-csi:3.4.1
        securityContext: {privileged: true}
      - name: node-driver-registrar
        image: registry.example.com/sig-storage/csi-node-driver-registrar:v2.14.0
        args: [--csi-address=/csi/csi.sock, --kubelet-registration-path=/var/lib/kubelet/plugins/blocks.csi.example.com/csi.sock]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: blocks-controller, namespace: storage-system}
spec:
  replicas: 1
  selector: {matchLabels: {app: blocks-controller}}
  template:
    metadata: {labels: {app: blocks-controller}}
    spec:
      nodeSelector: {kubernetes.io/hostname: node-c}
      containers:
      - {name: driver, image: "registry.example.com/storage/blocks-csi:3.4.1"}
      - {name: csi-provisioner, image: "registry.example.com/sig-storage/csi-provisioner:v5.3.0"}
      - {name: csi-attacher, image: "registry.example.com/sig-storage/csi-attacher:v4.9.0"}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: log-shipper, namespace: observing}
spec:
  selector: {matchLabels: {app: log-shipper}}
  template:
    metadata: {labels: {app: log-shipper}}
    spec:
      tolerations: [{operator: Exists}]
      containers:
      - {name: log-shipper, image: "registry.example.com/observing/log-shipper:1.44.0"}
"""

ARCHIVE = """
apiVersion: v1
kind: Service
metadata: {name: archive, namespace: documents}
spec: {clusterIP: None, selector: {app: archive}, ports: [{port: 7000}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: archive, namespace: documents}
spec:
  serviceName: archive
  replicas: 3
  selector: {matchLabels: {app: archive}}
  template:
    metadata: {labels: {app: archive}}
    spec:
      tolerations: [{key: dedicated, operator: Equal, value: documents, effect: NoSchedule}]
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: archive}}}
      containers:
      - name: archive
        image: registry.example.com/documents/archive:2.2.5
        ports: [{containerPort: 7000}]
        volumeMounts: [{name: data, mountPath: /var/lib/archive}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], storageClassName: blocks, resources: {requests: {storage: 200Gi}}}
"""

WORKLOADS = """
apiVersion: v1
kind: Service
metadata: {name: index, namespace: documents}
spec: {clusterIP: None, selector: {app: index}, ports: [{port: 9300}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: index, namespace: documents}
spec:
  serviceName: index
  replicas: 1
  selector: {matchLabels: {app: index}}
  template:
    metadata: {labels: {app: index}}
    spec:
      nodeSelector: {kubernetes.io/hostname: node-a}
      containers:
      - name: index
        image: registry.example.com/documents/index:5.0.1
        volumeMounts: [{name: data, mountPath: /var/lib/index}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], storageClassName: blocks, resources: {requests: {storage: 50Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: viewer, namespace: documents}
spec:
  replicas: 2
  selector: {matchLabels: {app: viewer}}
  template:
    metadata: {labels: {app: viewer}}
    spec:
      containers:
      - {name: viewer, image: "registry.example.com/documents/viewer:3.9.0"}
"""

CLAIMS = {
    "data-archive-0": ("pvc-0e5c2f6b-53f0-4a27-8f77-2d1f83f1a910", "200Gi"),
    "data-archive-1": ("pvc-7a9d1c44-8f1e-4b0f-9c1a-6b70c2e5d311", "200Gi"),
    "data-archive-2": ("pvc-c31b7e02-9d56-4c8c-b3f4-15a6e0d87a12", "200Gi"),
    "data-index-0": ("pvc-f2a8840d-6e1b-4d93-a0b5-77c9d3e41b20", "50Gi"),
}


def play(stage: Stage) -> None:
    for node in OLD_NODES:
        _register(stage, node, plugin=True)
    stage.apply(STORAGE)
    stage.namespace("documents")
    for claim, (volume, size) in CLAIMS.items():
        stage.cluster.add_volume(
            volume, size=size, storage_class="blocks", hostPath=None, persistentVolumeReclaimPolicy="Delete",
            csi={"driver": DRIVER, "volumeHandle": volume.removeprefix("pvc-")},
            claimRef={"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "documents", "name": claim},
        )  # fmt: skip
    # One node after the other is opened, so that archive-1 is on node-b.
    for node in OLD_NODES:
        stage.kubectl("cordon", node)
    for number, node in enumerate(OLD_NODES, 1):
        stage.kubectl("uncordon", node)
        stage.apply(ARCHIVE.replace("replicas: 3", f"replicas: {number}"))
        stage.calm()
    stage.apply(WORKLOADS)
    stage.calm()
    stage.cluster.until("the controller asks to attach", lambda: len(_attachments(stage)) == len(CLAIMS))
    for attachment in _attachments(stage):
        stage.status(f"volumeattachments/_cluster/{attachment['metadata']['name']}", {"attached": True}, manager="csi-attacher")  # fmt: skip
    stage.wait(days=27, hours=3)

    stage.add_node("node-d")
    stage.kubectl("taint", "node", "node-d", "dedicated=documents:NoSchedule")
    _register(stage, "node-d", plugin=False)
    # A kubelet registers its node with the taint in place; here it may come a moment after the DaemonSet's pod.
    stage.cluster.until("node-d has its daemons", lambda: len(stage.pods("observing/log-shipper")) == 4)
    for pod in stage.pods("storage-system/blocks-node"):
        if pod["spec"].get("nodeName") not in OLD_NODES:
            stage.delete(f"pods/storage-system/{pod['metadata']['name']}")
    stage.calm()
    stage.wait(hours=1, minutes=5)

    stage.kubectl("cordon", "node-b")
    stage.hold("documents/archive-1")
    for namespace in ("documents", "storage-system"):
        for pod in stage.pods(f"{namespace}/"):
            daemon = pod["metadata"]["ownerReferences"][0]["kind"] == "DaemonSet"
            if pod["spec"]["nodeName"] == "node-b" and not daemon:
                stage.delete(f"pods/{namespace}/{pod['metadata']['name']}")
    stage.calm(unfinished=["documents/archive"])
    moved = stage.pod("documents/archive-1")
    if moved["spec"]["nodeName"] != "node-d":
        raise RuntimeError(f"archive-1 went to {moved['spec']['nodeName']}")
    if any(pod["spec"]["nodeName"] == "node-d" for pod in stage.pods("storage-system/blocks-node")):
        raise RuntimeError("the driver's plugin runs on node-d")
    _refuse(stage)
    stage.wait(minutes=2)
    stage.stuck("documents/archive-1", "ContainerCreating", "", event=(
        "FailedMount",
        "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process volumes=[]: timed out waiting for the condition",
    ))  # fmt: skip
    stage.wait(minutes=19)
    stage.log("storage-system/blocks-controller", ATTACHER.format(
        clock=f"{stage.ago(minutes=1):%m%d %H:%M:%S}", name=_new(stage)["metadata"]["name"], driver=DRIVER,
    ), container="csi-attacher", every_s=0)  # fmt: skip
    _go_on(stage)
    stage.fire(minutes_ago=5)


ATTACHER = """
I{clock}.402114       1 csi_handler.go:261] "Attaching" VolumeAttachment="{name}"
E{clock}.407420       1 csi_handler.go:243] "Error processing" err="failed to attach: CSINode node-d does not contain driver {driver}" VolumeAttachment="{name}"
"""


def _register(stage: Stage, node: str, *, plugin: bool) -> None:
    """What a kubelet says of its node's drivers; and that volumes of it are the controller's to attach."""
    stage.kubectl("annotate", "node", node, "volumes.kubernetes.io/controller-managed-attach-detach=true")
    uid = stage.cluster.get("node", node)["metadata"]["uid"]
    driver = {"name": DRIVER, "nodeID": f"blocks-{node}", "topologyKeys": [], "allocatable": {"count": 24}}
    stage.apply([{
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode",
        "metadata": {"name": node, "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid}]},
        "spec": {"drivers": [driver] if plugin else []},
    }], manager="kubelet")  # fmt: skip


def _attachments(stage: Stage) -> list[Body]:
    found: list[Body] = stage.cluster.get("volumeattachments")["items"]
    return found


def _new(stage: Stage) -> Body:
    return next(one for one in _attachments(stage) if one["spec"]["nodeName"] == "node-d")


def _refuse(stage: Stage) -> None:
    """The attacher's answer; the attach-detach controller makes its own event of it."""
    stage.cluster.until(
        "the controller asks for node-d",
        lambda: any(one["spec"]["nodeName"] == "node-d" for one in _attachments(stage)),
    )
    said = f"CSINode node-d does not contain driver {DRIVER}"
    stage.status(
        f"volumeattachments/_cluster/{_new(stage)['metadata']['name']}",
        {"attached": False, "attachError": {"message": said, "time": stage.stamp()}},
        manager="csi-attacher",
    )
    stage.cluster.until("the controller tells of it", lambda: bool(_told(stage)))
    # It goes on telling by the machine's clock; how often it did by the story's is said by `_go_on`.
    name = "system:controller:attachdetach-controller"
    role = stage.cluster.ask("GET", f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}")
    role["rules"] = [rule for rule in role["rules"] if "events" not in rule["resources"]]
    stage.cluster.ask("PUT", f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}", role)


def _told(stage: Stage) -> list[Body]:
    items: list[Body] = stage.cluster.get("events", "-n", "documents")["items"]
    return [one for one in items if one["reason"] == "FailedAttachVolume"]


def _go_on(stage: Stage) -> None:
    (event,) = _told(stage)
    again = {"count": 14, "lastTimestamp": stage.stamp(minutes_ago=1)}
    stage.cluster.ask(
        "PATCH", f"/api/v1/namespaces/documents/events/{event['metadata']['name']}", again, kind=MERGE
    )
