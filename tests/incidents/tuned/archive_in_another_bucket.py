"""A database whose write-ahead log is archived nowhere for nine days: its volume is full, and seats cannot be booked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.incidents.curves import slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="Nine days after its backups got another bucket a database stands still, as its log was archived no more",
    half=Half.tuned,
    story=(
        "Backups of seats-db were pointed to the bucket backups-archive, which its key may not write to. PostgreSQL keeps"
        " every segment that was not archived, so the log fills the primary's volume until the instance manager does not"
        " start it any more. The API's pods are ready and answer 500. Its release an hour ago was a text change."
    ),
    sources=[
        "https://cloudnative-pg.io/documentation/current/wal_archiving/",
        "https://cloudnative-pg.io/documentation/current/instance_manager/",
        "https://www.postgresql.org/docs/current/continuous-archiving.html",
        "https://github.com/cloudnative-pg/cloudnative-pg/issues/7570",
    ],
    labels={
        "alertname": "ErrorBudgetBurn",
        "namespace": "tickets",
        "service": "seats-api",
        "slo": "seats-api-availability",
        "long_window": "1h",
        "short_window": "5m",
    },
    annotations={"summary": "seats-api burns its error budget 14 times faster than it may."},
    causes=["Cluster/tickets/seats-db"],
    says=[["archiv"], ["AccessDenied", "backups-archive"], ["disk", "space", "full"]],
    innocent=["Deployment/tickets/seats-api", "Service/tickets/seats-api"],
    traits=frozenset({Trait.innocent}),
    authored=["cloudnative-pg resources", "cloudnative-pg status", "cloudnative-pg events"],
)

GROUP = "postgresql.cnpg.io"


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1", "Cluster", "clusters")
    stage.apply([
        *system(),
        *(_cluster(name, bucket) for name, bucket in (("seats-db", "backups-eu"), ("venues-db", "backups-eu"))),
        deployment("cnpg-system/cnpg-controller-manager", container("manager", "cnpg/cloudnative-pg:1.27.1"), replicas=1),
        deployment("tickets/seats-api", container("seats-api", "tickets/seats-api:8.2.0", port=8080, ready="/livez", env={"DB_URI": "postgresql://seats-db-rw.tickets:5432/app"}), replicas=3),
        service("tickets/seats-api", 80, 8080),
        deployment("tickets/venues", container("venues", "tickets/venues:3.0.7", port=8080, ready="/ready", env={"DB_URI": "postgresql://venues-db-rw.tickets:5432/app"})),
        service("tickets/venues", 80, 8080),
        deployment("tickets/web", container("web", "tickets/web:21.4.0", port=3000, ready="/healthz", env={"SEATS_URL": "http://seats-api", "VENUES_URL": "http://venues"})),
        service("tickets/web", 80, 3000),
    ])  # fmt: skip
    for name in ("seats-db", "venues-db"):
        stage.apply(_owned(stage.get(f"clusters.{GROUP}/tickets/{name}")), manager="cloudnative-pg")
    stage.calm()
    for name in ("seats-db", "venues-db"):
        _status(stage, name)
    stage.wait(days=41, hours=6)

    def other_bucket(cluster: Body) -> None:
        cluster["spec"]["backup"]["barmanObjectStore"]["destinationPath"] = "s3://backups-archive/tickets"

    stage.edit(f"clusters.{GROUP}/tickets/seats-db", other_bucket)
    stage.wait(minutes=3)
    _status(stage, "seats-db", archiving=False)
    stage.wait(days=8, hours=21)
    stage.kubectl("set", "image", "deployment/seats-api", "seats-api=registry.example.com/tickets/seats-api:8.2.1", "-n", "tickets")  # fmt: skip
    stage.calm()
    stage.wait(minutes=34)
    full = '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"Detected low-disk space condition, avoid starting the instance","logger":"instance-manager","logging_pod":"seats-db-1"}'
    start = '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"Starting CloudNativePG Instance Manager","logger":"instance-manager","logging_pod":"seats-db-1","version":"1.27.1"}'
    stopped = stage.now
    _status(stage, "seats-db", archiving=False, full=True)
    stage.crash("tickets/seats-db-1", code=4, restarts=8, lives_s=1.5)
    place = "tickets/seats-db-1"
    stage.log(place, printed(stage.ago(seconds=14), [start, full], every_s=0.4))
    refused = '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","logger":"barman-cloud-wal-archive","msg":"ERROR: Barman cloud WAL archiver exception: An error occurred (AccessDenied) when calling the PutObject operation: Access Denied","pipe":"stderr","logging_pod":"seats-db-1"}'
    failing = '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","logger":"wal-archive","msg":"Error invoking barman-cloud-wal-archive","logging_pod":"seats-db-1","walName":"pg_wal/0000000100000A14000000<10-99>","options":["--gzip","--cloud-provider","aws-s3","s3://backups-archive/tickets","seats-db"],"exitCode":2,"error":"exit status 2"}'
    died = '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","logger":"postgres","msg":"record","logging_pod":"seats-db-1","record":{"error_severity":"PANIC","sql_state_code":"53100","message":"could not write to file \\"pg_wal/xlogtemp.31\\": No space left on device","backend_type":"walwriter"}}'
    stage.log(
        place,
        printed(stopped - timedelta(minutes=6), [*[refused, failing] * 8, died], every_s=20),
        previous=True,
    )
    for number in (2, 3):
        waits = f'{{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","logger":"postgres","msg":"record","logging_pod":"seats-db-{number}","record":{{"error_severity":"FATAL","sql_state_code":"XX000","message":"streaming replication receiver \\"seats-db-{number}\\" could not connect to the primary server: connection to server at \\"seats-db-rw\\", port 5432 failed: Connection refused","backend_type":"walreceiver"}}}}'
        stage.log(f"tickets/seats-db-{number}", printed(stage.ago(minutes=12), [waits] * 24, every_s=30))
    chatter(stage, "tickets/seats-api", [
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=ERROR msg="hold seats" status=500 err="failed to connect to `user=app database=app`: 10.96.77.12:5432 (seats-db-rw.tickets): dial error: dial tcp 10.96.77.12:5432: connect: connection refused"',
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="seat plan from cache" event=<1000-9999> ms=<2-9>',
    ], count=40, minutes=15)  # fmt: skip
    chatter(stage, "tickets/web", [
        '{"level":"error","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"seats not held","url":"http://seats-api/v2/holds","status":500}',
        '{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"page","path":"/events/<1000-9999>","ms":<20-70>}',
    ], count=30, minutes=15)  # fmt: skip
    chatter(stage, "tickets/venues", ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="venue read" id=<100-999> ms=<3-12>'])  # fmt: skip
    chatter(stage, "cnpg-system/cnpg-controller-manager", [
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"Insufficient disk space detected in a pod. PostgreSQL cannot proceed until the PVC group is enlarged","controller":"cluster","controllerKind":"Cluster","Cluster":{"name":"seats-db","namespace":"tickets"},"instanceNames":["seats-db-1"]}',
    ], count=8, minutes=12)  # fmt: skip
    share = [*slope(0.31, 0.33, 20, of="before"), *slope(0.33, 1.0, 36, of="after")]
    stage.metric("volume_used_ratio", "kubelet_volume_stats_used_bytes / kubelet_volume_stats_capacity_bytes", [
        ({"namespace": "tickets", "persistentvolumeclaim": "seats-db-1"}, [min(1.0, v) for v in share]),
        ({"namespace": "tickets", "persistentvolumeclaim": "seats-db-2"}, [min(0.9, v * 0.9) for v in share]),
        ({"namespace": "tickets", "persistentvolumeclaim": "venues-db-1"}, slope(0.22, 0.23, 56, of="venues")),
    ], step_s=6 * 3600)  # fmt: skip
    stage.metric("seats_api_errors", 'sum(rate(http_requests_total{namespace="tickets",service="seats-api",code=~"5.."}[5m])) / sum(rate(http_requests_total{namespace="tickets",service="seats-api"}[5m]))', [
        ({"namespace": "tickets", "service": "seats-api"}, [0.001] * 30 + [0.12, 0.4] + [0.46, 0.44, 0.47] * 8),
    ])  # fmt: skip
    stage.heartbeat()
    stage.fire(minutes_ago=15)


def _cluster(name: str, bucket: str) -> Body:
    key = {"accessKeyId": {"name": "backup-key", "key": "id"}, "secretAccessKey": {"name": "backup-key", "key": "secret"}}  # fmt: skip
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "Cluster", "metadata": {"name": name, "namespace": "tickets"},
        "spec": {
            "instances": 3, "imageName": "registry.example.com/postgres/postgresql:17.6", "storage": {"size": "80Gi", "storageClass": "fast"},
            "backup": {"retentionPolicy": "14d", "barmanObjectStore": {"destinationPath": f"s3://{bucket}/tickets", "s3Credentials": key, "wal": {"compression": "gzip"}}},
        },
    }  # fmt: skip


def _owned(owner: Body) -> list[Body]:
    """What the operator makes of it: pods and claims (here with their volumes), and the Services for writing and reading."""
    name = owner["metadata"]["name"]
    mine = [{"apiVersion": owner["apiVersion"], "kind": "Cluster", "name": name, "uid": owner["metadata"]["uid"],
             "controller": True, "blockOwnerDeletion": True}]  # fmt: skip
    made: list[Body] = []
    for number in (1, 2, 3):
        called = f"{name}-{number}"
        labels = {"cnpg.io/cluster": name, "cnpg.io/instanceName": called, "cnpg.io/podRole": "instance", "cnpg.io/instanceRole": "primary" if number == 1 else "replica"}  # fmt: skip
        node = container("postgres", "postgres/postgresql:17.6", port=5432, cpu="200m", memory=("512Mi", "2Gi"), mounts={"pgdata": "/var/lib/postgresql/data"},
                         readinessProbe={"httpGet": {"path": "/readyz", "port": 8000, "scheme": "HTTPS"}, "periodSeconds": 10})  # fmt: skip
        made += [
            {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"pvc-{called}"}, "spec": {
                "capacity": {"storage": "80Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                "csi": {"driver": "disks.csi.example.com", "volumeHandle": f"vol-{called}"}, "claimRef": {"namespace": "tickets", "name": called}}},
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": called, "namespace": "tickets", "labels": labels, "ownerReferences": mine}, "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "volumeName": f"pvc-{called}", "resources": {"requests": {"storage": "80Gi"}}}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": called, "namespace": "tickets", "labels": labels, "ownerReferences": mine}, "spec": {
                "containers": [node], "volumes": [{"name": "pgdata", "persistentVolumeClaim": {"claimName": called}}]}},
        ]  # fmt: skip
    for suffix, role in (("rw", "primary"), ("ro", "replica")):
        each = service(f"tickets/{name}-{suffix}", 5432, selector={"cnpg.io/cluster": name, "cnpg.io/instanceRole": role})  # fmt: skip
        each["metadata"]["ownerReferences"] = mine
        made.append(each)
    return made


def _status(stage: Stage, name: str, *, archiving: bool = True, full: bool = False) -> None:
    past = {c["type"]: c for c in (stage.get(f"clusters.{GROUP}/tickets/{name}").get("status") or {}).get("conditions", [])}  # fmt: skip
    wanted = [
        ("Ready", not full, "ClusterIsNotReady" if full else "ClusterIsReady", "Cluster Is Not Ready" if full else "Cluster is Ready"),
        ("ContinuousArchiving", archiving, "ContinuousArchivingSuccess" if archiving else "ContinuousArchivingFailing",
         "Continuous archiving is working" if archiving else "unexpected failure invoking barman-cloud-wal-archive: exit status 2"),
    ]  # fmt: skip
    conditions = [
        past[kind] if past.get(kind, {}).get("status") == str(true) else
        {"type": kind, "status": str(true), "reason": reason, "message": message, "lastTransitionTime": stage.stamp()}
        for kind, true, reason, message in wanted
    ]  # fmt: skip
    stage.status(f"clusters.{GROUP}/tickets/{name}", {
        "instances": 3, "readyInstances": 2 if full else 3, "currentPrimary": f"{name}-1", "targetPrimary": f"{name}-1",
        "phase": "Not enough disk space" if full else "Cluster in healthy state",
        "phaseReason": "Insufficient disk space detected in one or more pods is preventing PostgreSQL from running.Please verify your storage settings. Further information inside .status.instancesReportedState" if full else "",
        "conditions": conditions,
    }, manager="cloudnative-pg")  # fmt: skip
