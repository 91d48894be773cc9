"""A CloudNativePG Cluster gets a parameter that its instances cannot start with; the first replica shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Body, Stage

INCIDENT = Incident(
    title="A database Cluster asks for huge pages that its nodes do not have",
    half=Half.blind,
    story="Somebody tunes the orders database: huge_pages goes from try to on. The operator restarts the replica with "
    "the highest number first; PostgreSQL cannot map its shared memory and ends, again and again. The primary and "
    "the other replica still run with what they had.",
    sources=[
        "https://cloudnative-pg.io/documentation/current/postgresql_conf/",
        "https://cloudnative-pg.io/documentation/current/rolling_update/",
        "https://cloudnative-pg.io/documentation/current/cloudnative-pg.v1/#postgresql-cnpg-io-v1-ClusterStatus",
        "https://www.postgresql.org/docs/current/kernel-resources.html#LINUX-HUGE-PAGES",
    ],
    labels={
        "alertname": "KubePodCrashLooping",
        "namespace": "orders",
        "pod": "orders-db-3",
        "container": "postgres",
        "reason": "CrashLoopBackOff",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    causes=["Cluster/orders/orders-db"],
    says=[["huge_pages", "huge pages"], ["shared memory"]],
    innocent=["Pod/orders/orders-db-3"],
    traits=frozenset({Trait.innocent}),
    authored=["cloudnative-pg pods, claims and status"],
)

OPERATOR = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: cnpg-controller-manager, namespace: cnpg-system}
spec:
  replicas: 1
  selector: {matchLabels: {app.kubernetes.io/name: cloudnative-pg}}
  template:
    metadata: {labels: {app.kubernetes.io/name: cloudnative-pg}}
    spec:
      containers:
      - {name: manager, image: "registry.example.com/cloudnative-pg/cloudnative-pg:1.27.1"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders-api, namespace: orders}
spec:
  replicas: 3
  selector: {matchLabels: {app: orders-api}}
  template:
    metadata: {labels: {app: orders-api}}
    spec:
      containers:
      - name: orders-api
        image: registry.example.com/orders/orders-api:7.8.0
        env: [{name: DB_HOST, value: orders-db-rw}]
"""

GROUP = "postgresql.cnpg.io"
IMAGE = "registry.example.com/cloudnative-pg/postgresql:17.6"
MANAGER = "manager"
CLUSTERS = (("orders", "orders-db", 3), ("billing", "billing-db", 2))

HINT = (
    "This error usually means that PostgreSQL's request for a shared memory segment exceeded available memory, swap "
    "space, or huge pages. To reduce the request size (currently 1143488512 bytes), reduce PostgreSQL's shared memory "
    'usage, perhaps by reducing "shared_buffers" or "max_connections".'
)


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1", "Cluster", "clusters")
    stage.apply(OPERATOR)
    stage.apply([{
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "ssd"},
        "provisioner": "disks.csi.example.com", "allowVolumeExpansion": True,
    }])  # fmt: skip
    for namespace, name, instances in CLUSTERS:
        stage.apply([_cluster(namespace, name, instances)])
        _instances(stage, namespace, name, instances)
    stage.calm()
    for namespace, name, instances in CLUSTERS:
        _status(stage, namespace, name, instances)
    stage.wait(days=40, hours=2)

    stage.edit(f"clusters.{GROUP}/orders/orders-db", _tune)
    stage.crash("orders/orders-db-3", code=1, log=_log(), restarts=7, lives_s=3)
    _status(stage, "orders", "orders-db", 3, failed=["orders-db-3"])
    stage.wait(minutes=6)
    manager = json.dumps({
        "level": "info", "logger": "instances", "msg": "Waiting for Postgres to be ready", "controller": "cluster",
        "Cluster": {"name": "orders-db", "namespace": "orders"}, "podName": "orders-db-3",
    })  # fmt: skip
    stage.log("cnpg-system/cnpg-controller-manager", f"{manager}\n{manager}", every_s=10)
    stage.fire(minutes_ago=4)


def _tune(body: Body) -> None:
    body["spec"]["postgresql"]["parameters"]["huge_pages"] = "on"


def _cluster(namespace: str, name: str, instances: int) -> Body:
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "Cluster", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "instances": instances, "imageName": IMAGE, "primaryUpdateStrategy": "unsupervised", "primaryUpdateMethod": "restart",
            "storage": {"size": "40Gi", "storageClass": "ssd"},
            "resources": {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"memory": "2Gi"}},
            "postgresql": {"parameters": {"shared_buffers": "1GB", "max_connections": "200", "huge_pages": "try"}},
        },
    }  # fmt: skip


def _instances(stage: Stage, namespace: str, name: str, instances: int) -> None:
    """The operator makes claims and pods itself; both belong to the Cluster."""
    cluster = stage.get(f"clusters.{GROUP}/{namespace}/{name}")
    owner = {
        "apiVersion": f"{GROUP}/v1", "kind": "Cluster", "name": name, "uid": cluster["metadata"]["uid"],
        "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip
    for number in range(1, instances + 1):
        instance = f"{name}-{number}"
        volume = f"pvc-{cluster['metadata']['uid'][:-1]}{number}"
        meta = {
            "name": instance, "namespace": namespace, "ownerReferences": [owner],
            "labels": {
                "cnpg.io/cluster": name, "cnpg.io/instanceName": instance, "cnpg.io/podRole": "instance",
                "cnpg.io/instanceRole": "primary" if number == 1 else "replica",
            },
        }  # fmt: skip
        stage.cluster.add_volume(
            volume, size="40Gi", storage_class="ssd", hostPath=None,
            csi={"driver": "disks.csi.example.com", "volumeHandle": volume},
            claimRef={"namespace": namespace, "name": instance, "apiVersion": "v1", "kind": "PersistentVolumeClaim"},
        )  # fmt: skip
        stage.apply([
            {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta,
                "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "ssd", "volumeName": volume, "resources": {"requests": {"storage": "40Gi"}}},
            },
            {
                "apiVersion": "v1", "kind": "Pod", "metadata": meta,
                "spec": {
                    "hostname": instance,
                    "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": {"matchLabels": {"cnpg.io/cluster": name}}, "topologyKey": "kubernetes.io/hostname"}]}},
                    "containers": [{
                        "name": "postgres", "image": IMAGE, "command": ["/controller/manager", "instance", "run", "--status-port-tls", "--log-level=info"],
                        "ports": [{"name": "postgresql", "containerPort": 5432}, {"name": "metrics", "containerPort": 9187}, {"name": "status", "containerPort": 8000}],
                        "resources": cluster["spec"]["resources"],
                        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8000, "scheme": "HTTPS"}},
                        "volumeMounts": [{"name": "pgdata", "mountPath": "/var/lib/postgresql/data"}],
                    }],
                    "volumes": [{"name": "pgdata", "persistentVolumeClaim": {"claimName": instance}}],
                },
            },
        ], manager=MANAGER)  # fmt: skip
    stage.apply([
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": f"{name}-{which}", "namespace": namespace, "ownerReferences": [owner]},
            "spec": {"selector": {"cnpg.io/cluster": name, "cnpg.io/instanceRole": role}, "ports": [{"name": "postgres", "port": 5432}]},
        }
        for which, role in (("rw", "primary"), ("ro", "replica"))
    ], manager=MANAGER)  # fmt: skip


def _status(stage: Stage, namespace: str, name: str, instances: int, *, failed: Sequence[str] = ()) -> None:
    names = [f"{name}-{number}" for number in range(1, instances + 1)]
    well = [one for one in names if one not in failed]
    pods = {
        pod["metadata"]["name"]: pod["status"].get("podIP", "") for pod in stage.pods(f"{namespace}/{name}")
    }
    before = stage.get(f"clusters.{GROUP}/{namespace}/{name}").get("status", {}).get("conditions", [])
    archiving = [one for one in before if one["type"] == "ContinuousArchiving"] or [{
        "type": "ContinuousArchiving", "status": "True", "reason": "ContinuousArchivingSuccess", "message": "Continuous archiving is working", "lastTransitionTime": stage.stamp(),
    }]  # fmt: skip
    ready = {"type": "Ready", "status": "True", "reason": "ClusterIsReady", "message": "Cluster is Ready"}
    phase = {"phase": "Cluster in healthy state", "phaseReason": None}
    if failed:
        ready |= {"status": "False", "reason": "ClusterIsNotReady", "message": "Cluster Is Not Ready"}
        phase = {
            "phase": "Waiting for the instances to become active",
            "phaseReason": "Some instances are not yet active. Please wait.",
        }
    stage.status(f"clusters.{GROUP}/{namespace}/{name}", {
        **phase, "instances": instances, "readyInstances": len(well), "instanceNames": names, "currentPrimary": names[0], "targetPrimary": names[0],
        "latestGeneratedNode": instances, "image": IMAGE, "timelineID": 1, "writeService": f"{name}-rw", "readService": f"{name}-r",
        "instancesStatus": {"healthy": well, **({"failed": list(failed)} if failed else {})},
        "instancesReportedState": {one: {"isPrimary": one == names[0], "timeLineID": 1, "ip": pods[one]} for one in well},
        "healthyPVC": names, "conditions": [*archiving, {**ready, "lastTransitionTime": stage.stamp()}],
    }, manager=MANAGER)  # fmt: skip


def _log() -> str:
    def line(message: str, **more: object) -> str:
        return json.dumps(
            {"level": "info", "logger": "postgres", "msg": message, "logging_pod": "orders-db-3", **more}
        )

    def record(severity: str, message: str, **more: str) -> str:
        facts = {
            "process_id": "28",
            "backend_type": "postmaster",
            "error_severity": severity,
            "message": message,
        }
        return line("record", record={**facts, **more})

    return "\n".join([
        json.dumps({"level": "info", "logger": "instance-manager", "msg": "Starting CloudNativePG Instance Manager", "logging_pod": "orders-db-3", "version": "1.27.1"}),
        record("FATAL", "could not map anonymous shared memory: Cannot allocate memory", sql_state_code="XX000", hint=HINT),
        record("LOG", "database system is shut down", sql_state_code="00000"),
        json.dumps({"level": "error", "logger": "instance-manager", "msg": "PostgreSQL process exited with errors", "logging_pod": "orders-db-3", "error": "exit status 1"}),
    ])  # fmt: skip
