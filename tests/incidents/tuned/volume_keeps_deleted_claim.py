"""A claim is deleted and made again; the volume it had still belongs to the deleted one."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A re-created claim does not get its volume back, which is Released and kept for the deleted claim",
    half=Half.tuned,
    story="To change a label, somebody deletes a StatefulSet with its claim and applies it again. The volume's reclaim "
    "policy is Retain: it keeps the data, and a reference to the claim that is gone.",
    sources=["https://kubernetes.io/docs/concepts/storage/persistent-volumes/#retain"],
    labels={"alertname": "KubeStatefulSetReplicasMismatch", "namespace": "archive", "statefulset": "store"},
    causes=["PersistentVolume/_cluster/disk-7"],
    says=[["Released"], ["data-store-0"], ["claim"]],
    innocent=["StatefulSet/archive/store"],
)

VOLUME = """
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: local-disks}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk-7}
spec:
  capacity: {storage: 100Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: local-disks
  local: {path: /mnt/disks/7}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node-b]}]
"""


def store(tier: str) -> str:
    return f"""
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: store, namespace: archive}}
spec:
  serviceName: store
  replicas: 1
  selector: {{matchLabels: {{app: store, tier: {tier}}}}}
  template:
    metadata: {{labels: {{app: store, tier: {tier}}}}}
    spec:
      containers:
      - name: store
        image: registry.example.com/archive/store:6.2.1
        volumeMounts: [{{name: data, mountPath: /data}}]
  volumeClaimTemplates:
  - metadata: {{name: data}}
    spec:
      accessModes: [ReadWriteOnce]
      storageClassName: local-disks
      resources: {{requests: {{storage: 100Gi}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: store, namespace: archive}}
spec:
  clusterIP: None
  selector: {{app: store}}
  ports: [{{port: 7000}}]
"""


def play(stage: Stage) -> None:
    stage.apply(VOLUME)
    stage.apply(store("cold"))
    stage.calm()
    stage.wait(days=130)
    stage.delete("statefulset/archive/store")
    stage.calm()
    stage.delete("pvc/archive/data-store-0")
    stage.cluster.until(
        "the volume is released", lambda: stage.get("pv/_cluster/disk-7")["status"]["phase"] == "Released"
    )
    stage.wait(minutes=2)
    stage.hold("archive/store")
    stage.apply(store("frozen"))
    stage.cluster.until(
        "the pod cannot be placed", lambda: any(_unplaced(pod) for pod in stage.pods("archive/store"))
    )
    stage.wait(minutes=21)
    stage.fire(minutes_ago=6)


def _unplaced(pod: dict[str, object]) -> bool:
    status = pod["status"]
    assert isinstance(status, dict)
    return any(c["type"] == "PodScheduled" and c["status"] == "False" for c in status.get("conditions", []))
