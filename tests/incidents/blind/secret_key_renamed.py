"""A Secret's key got another name days ago; the first pod that starts anew cannot be made."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import (
    config_map,
    container,
    deployment,
    from_secret,
    secret,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="The key that a StatefulSet reads from a Secret was renamed",
    half=Half.blind,
    story="Three days ago the Secret ledger-db was written anew with `connection-string` in the place of `dsn`. Running "
    "pods kept their environment. A new image for the StatefulSet stops at its first pod. In another namespace a claim "
    "waits for a StorageClass that the cluster does not have.",
    sources=[
        "https://kubernetes.io/docs/tasks/inject-data-application/distribute-credentials-secure/",
        "https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#rolling-updates",
        "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#class-1",
    ],
    labels={
        "alertname": "KubeContainerWaiting",
        "namespace": "billing",
        "pod": "ledger-sync-2",
        "container": "sync",
        "reason": "CreateContainerConfigError",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    annotations={
        "summary": "Pod container waiting longer than 1 hour",
        "description": 'pod/ledger-sync-2 in namespace billing on container sync has been in waiting state for longer than 1 hour. (reason: "CreateContainerConfigError").',
    },
    causes=["Secret/billing/ledger-db", "StatefulSet/billing/ledger-sync"],
    says=[["dsn"], ["ledger-db"], ["connection-string", "CreateContainerConfigError", "couldn't find key", "has no key", "no longer", "missing"]],
    second=["PersistentVolumeClaim/media/thumbs-scratch", "Deployment/media/thumbnailer"],
    traits=frozenset({Trait.two_faults}),
)  # fmt: skip

THUMBNAILER = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: thumbs-scratch, namespace: media}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ssd-regional
  resources: {requests: {storage: 40Gi}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: thumbnailer, namespace: media}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector: {matchLabels: {app: thumbnailer}}
  template:
    metadata: {labels: {app: thumbnailer}}
    spec:
      containers:
      - name: thumbnailer
        image: registry.example.com/media/thumbnailer:0.8.0
        resources: {requests: {cpu: 200m, memory: 256Mi}, limits: {memory: 512Mi}}
        volumeMounts: [{name: scratch, mountPath: /var/scratch}]
      volumes: [{name: scratch, persistentVolumeClaim: {claimName: thumbs-scratch}}]
"""


def play(stage: Stage) -> None:
    dsn = "postgresql://ledger:fixture@ledger-pg.billing.svc:5432/ledger"
    sync = container(
        "sync", "billing/ledger-sync:5.2.1", memory=("192Mi", "384Mi"),
        env={"LEDGER_DSN": from_secret("ledger-db", "dsn"), "BATCH": "500"},
    )  # fmt: skip
    stage.apply([
        *system(),
        secret("billing/ledger-db", {"dsn": dsn, "ca-bundle": "fixture"}),
        config_map("billing/ledger-sync", {"batch": "500", "partner": "north"}),
        stateful_set("billing/ledger-sync", sync, replicas=3, podManagementPolicy="Parallel"),
        stateful_set("billing/ledger-pg", container("postgres", "library/postgres:17.6", port=5432, memory=("512Mi", "1Gi"))),
        service("billing/ledger-pg", 5432, headless=True),
        deployment("billing/invoice-api", container("api", "billing/invoice-api:2.31.0", port=8080, ready="/healthz")),
        service("billing/invoice-api", 80, 8080),
        deployment("media/gallery", container("gallery", "media/gallery:14.2", port=3000, ready="/-/ready"), replicas=3),
        service("media/gallery", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=37, hours=5)

    def rename(body: Body) -> None:
        body["data"]["connection-string"] = body["data"].pop("dsn")

    stage.edit("secret/billing/ledger-db", rename, manager="external-secrets")
    stage.wait(days=3, hours=1)
    stage.hold("billing/ledger-sync-2", "media/thumbnailer")
    stage.kubectl(
        "set",
        "image",
        "statefulset/ledger-sync",
        "sync=registry.example.com/billing/ledger-sync:5.2.2",
        "-n",
        "billing",
    )
    stage.calm(unfinished=["billing/ledger-sync"])
    why = "couldn't find key dsn in Secret billing/ledger-db"
    stage.stuck("billing/ledger-sync-2", "CreateContainerConfigError", why, event=("Failed", f"Error: {why}"))
    stage.wait(minutes=31)
    stage.apply(THUMBNAILER)
    stage.wait(minutes=36)
    # Refused at each sync: every 10 to 20 seconds.
    stage.stuck("billing/ledger-sync-2", "CreateContainerConfigError", why, event=("Failed", f"Error: {why}"))
    stage.told(
        stage.pod("billing/ledger-sync-2"),
        "Failed",
        f"Error: {why}",
        kind="Warning",
        count=297,
        container="sync",
    )
    stage.told(
        stage.pod("billing/ledger-sync-2"), "Pulled",
        'Container image "registry.example.com/billing/ledger-sync:5.2.2" already present on machine and can be accessed by the pod',
        count=304, container="sync",
    )  # fmt: skip
    stage.calm(unfinished=["billing/ledger-sync", "media/thumbnailer"])
    for name in ("ledger-sync-0", "ledger-sync-1"):
        chatter(stage, f"billing/{name}", [
            "<%Y-%m-%d %H:%M:%S,%3> INFO ledger_sync.batch: committed batch=<40000-41000> rows=500 in 0.<100-400>s",
            "<%Y-%m-%d %H:%M:%S,%3> INFO ledger_sync.batch: cursor moved to <880000-890000>",
        ])  # fmt: skip
    chatter(stage, "billing/invoice-api", [
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3Z>","caller":"http/log.go:52","msg":"served","method":"GET","path":"/v1/invoices/<1000-9999>","status":200,"dur_ms":<3-30>}',
    ])  # fmt: skip
    stage.log(
        "billing/ledger-pg",
        "LOG:  checkpoint starting: time\nLOG:  checkpoint complete: wrote 84 buffers (0.5%)",
        every_s=8,
    )
    stage.heartbeat()
    stage.fire(minutes_ago=6)
