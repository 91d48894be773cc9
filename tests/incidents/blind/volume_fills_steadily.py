"""One of three equal volumes has lost space every day for two weeks; its pod is well until the day it is full."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A time series shard's volume fills by five gibibytes a day",
    half=Half.blind,
    story="A new tenant's series all land on shard 1 of the metrics store. Its volume grows steadily while the other "
    "shards, which drop what is older than their retention, stay as they are. Nothing has failed yet.",
    sources=[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepersistentvolumefillingup/",
        "https://github.com/kubernetes-monitoring/kubernetes-mixin/blob/master/alerts/storage_alerts.libsonnet",
        "https://kubernetes.io/docs/reference/instrumentation/metrics/",
    ],
    labels={
        "alertname": "KubePersistentVolumeFillingUp",
        "namespace": "telemetry",
        "persistentvolumeclaim": "data-store-1",
        "job": "kubelet",
        "metrics_path": "/metrics",
        "severity": "warning",
    },
    causes=["PersistentVolumeClaim/telemetry/data-store-1", "StatefulSet/telemetry/store"],
    says=[["data-store-1"], ["full", "fill", "free", "available", "space"]],
    innocent=["PersistentVolumeClaim/telemetry/data-store-0", "PersistentVolumeClaim/telemetry/data-store-2"],
    traits=frozenset({Trait.metrics_only}),
)

GIB = 2**30
SIZE, HOURS = 100, 14 * 24

MANIFESTS = """
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: ssd}
provisioner: disks.csi.example.com
allowVolumeExpansion: true
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: telemetry}
spec: {clusterIP: None, selector: {app: store}, ports: [{port: 9090}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store, namespace: telemetry}
spec:
  serviceName: store
  replicas: 3
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec:
      containers:
      - name: store
        image: registry.example.com/telemetry/store:1.29.1
        args: [--data=/var/lib/store, --retention=30d]
        ports: [{containerPort: 9090}]
        resources: {requests: {cpu: 500m, memory: 2Gi}, limits: {memory: 4Gi}}
        volumeMounts: [{name: data, mountPath: /var/lib/store}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], storageClassName: ssd, resources: {requests: {storage: 100Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: router, namespace: telemetry}
spec:
  replicas: 2
  selector: {matchLabels: {app: router}}
  template:
    metadata: {labels: {app: router}}
    spec:
      containers:
      - {name: router, image: "registry.example.com/telemetry/router:1.29.1", args: [--hash-by=tenant]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: query, namespace: telemetry}
spec:
  replicas: 2
  selector: {matchLabels: {app: query}}
  template:
    metadata: {labels: {app: query}}
    spec:
      containers:
      - {name: query, image: "registry.example.com/telemetry/query:1.29.1"}
"""

VOLUMES = (
    "pvc-1b7c6a0e-2f0d-4d0b-8a38-96f4a1e2c700",
    "pvc-5e93d4f1-77a2-4c61-9f0e-3b8d20c6ea01",
    "pvc-9c0f82b7-1de4-4e59-b7a6-c4157fd03b02",
)


def play(stage: Stage) -> None:
    stage.namespace("telemetry")
    for number, volume in enumerate(VOLUMES):
        stage.cluster.add_volume(
            volume, size="100Gi", storage_class="ssd", hostPath=None, persistentVolumeReclaimPolicy="Delete",
            csi={"driver": "disks.csi.example.com", "volumeHandle": volume.removeprefix("pvc-")},
            claimRef={"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "telemetry", "name": f"data-store-{number}"},
        )  # fmt: skip
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=45, hours=8)
    stage.log("telemetry/store-1", "INFO compacted 3 blocks into 01KB6Q2V7Y took=41.2s\nINFO uploaded index size=2.1GiB\nINFO head series=4182230", every_s=7)  # fmt: skip
    stage.log("telemetry/store-0", "INFO compacted 3 blocks into 01KB6Q1M4D took=12.7s\nINFO deleted block past retention 01K8M0Z3XA\nINFO head series=1290411", every_s=7)  # fmt: skip
    _measure(stage)
    stage.fire(minutes_ago=11)


def _measure(stage: Stage) -> None:
    nodes = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in stage.pods("telemetry/store")}

    def labels(number: int) -> dict[str, str]:
        return {
            "namespace": "telemetry", "persistentvolumeclaim": f"data-store-{number}", "node": nodes[f"store-{number}"],
            "job": "kubelet", "metrics_path": "/metrics",
        }  # fmt: skip

    def used(number: int) -> list[float]:
        """In GiB. Blocks past retention go every two hours, so a settled shard goes up and down a little."""
        if number == 1:
            return [24 + 72.1 * n / (HOURS - 1) + (n % 2) * 0.2 for n in range(HOURS)]
        return [(41.0, 0.0, 38.2)[number] + 0.4 * ((n * 5) % 7) / 7 for n in range(HOURS)]

    usable = SIZE * 0.98
    for name, values in (
        ("kubelet_volume_stats_available_bytes", lambda n: [round((usable - v) * GIB) for v in used(n)]),
        ("kubelet_volume_stats_used_bytes", lambda n: [round(v * GIB) for v in used(n)]),
        ("kubelet_volume_stats_capacity_bytes", lambda _: [round(usable * GIB)] * HOURS),
        ("kubelet_volume_stats_inodes_free", lambda n: [6.5e6 - 900 * n] * HOURS),
    ):
        stage.metric(
            name, f'{name}{{namespace="telemetry"}}', [({"__name__": name, **labels(n)}, values(n)) for n in range(3)], step_s=3600
        )  # fmt: skip
