"""Every object is well; a ledger's volume is at five sixths and fills within hours."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A volume fills at a rate that leaves a few hours",
    half=Half.tuned,
    story="A replica's slot keeps write-ahead logs since yesterday. The database runs as ever, and its volume of 40Gi "
    "grows by more than a gibibyte an hour.",
    sources=[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepersistentvolumefillingup/",
        "https://www.postgresql.org/docs/current/warm-standby.html#STREAMING-REPLICATION-SLOTS",
    ],
    labels={
        "alertname": "KubePersistentVolumeFillingUp",
        "namespace": "ledger",
        "persistentvolumeclaim": "data-books-0",
    },
    causes=["PersistentVolumeClaim/ledger/data-books-0", "StatefulSet/ledger/books"],
    says=[["full", "fill"], ["%"], [" h", "hours", "min"]],
    traits=frozenset({Trait.metrics_only}),
)

MANIFESTS = """
apiVersion: v1
kind: PersistentVolume
metadata: {name: books-disk}
spec:
  capacity: {storage: 40Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: manual
  nfs: {server: 10.30.0.9, path: /exports/books}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: books, namespace: ledger}
spec:
  serviceName: books
  replicas: 1
  selector: {matchLabels: {app: books}}
  template:
    metadata: {labels: {app: books}}
    spec:
      containers:
      - name: postgres
        image: registry.example.com/postgres:17.2
        volumeMounts: [{name: data, mountPath: /var/lib/postgresql/data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      accessModes: [ReadWriteOnce]
      storageClassName: manual
      resources: {requests: {storage: 40Gi}}
---
apiVersion: v1
kind: Service
metadata: {name: books, namespace: ledger}
spec:
  selector: {app: books}
  ports: [{port: 5432}]
"""

GIB = 2.0**30


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=64)
    labels = {"namespace": "ledger", "persistentvolumeclaim": "data-books-0", "node": "node-b"}
    # Six hours, a value every ten minutes: from 27 to 34.2 GiB of 40.
    used = [(27 + 0.2 * n) * GIB for n in range(37)]
    for name, values in (
        ("used", used),
        ("capacity", [40 * GIB] * 37),
        ("available", [40 * GIB - u for u in used]),
    ):
        metric = f"kubelet_volume_stats_{name}_bytes"
        stage.metric(f"volume-{name}", metric, [({"__name__": metric, **labels}, values)], step_s=600)
    stage.log("ledger/books", "LOG:  checkpoint complete: wrote 10322 buffers (63.0%); 71 WAL file(s) added")
    stage.fire(minutes_ago=20)
