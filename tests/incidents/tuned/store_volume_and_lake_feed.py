"""A change feed was stopped and its replication slot stayed: PostgreSQL keeps every WAL segment for it, and the volume fills."""

from __future__ import annotations

from typing import Any

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
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

Body = dict[str, Any]

INCIDENT = Incident(
    title="A change feed scaled to zero five days ago leaves its replication slot, and the order store's volume fills with WAL",
    half=Half.tuned,
    story=(
        "The data team scaled the change feed of its lake to zero while the lake was rebuilt, and forgot it. Its logical slot"
        " lake_feed stays in the order store's PostgreSQL, which may therefore remove no WAL since. The volume went from 38 to 91 of"
        " 100 GiB in five days; every pod is ready, and the order API's release of two hours ago has nothing to do with it."
    ),
    sources=[
        "https://www.postgresql.org/docs/17/warm-standby.html#STREAMING-REPLICATION-SLOTS",
        "https://www.postgresql.org/docs/17/view-pg-replication-slots.html",
        "https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-wal-disk-space",
        "https://github.com/prometheus-community/postgres_exporter/blob/master/collector/pg_replication_slot.go",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepersistentvolumefillingup/",
    ],
    labels={
        "alertname": "KubePersistentVolumeFillingUp",
        "severity": "critical",
        "namespace": "orders",
        "persistentvolumeclaim": "data-store-0",
        "job": "kubelet",
        "metrics_path": "/metrics",
        "service": "kubelet",
    },
    annotations={"summary": "PersistentVolume is filling up.", "description": "The PersistentVolume claimed by data-store-0 in Namespace orders is only 8.9% free."},
    causes=["Deployment/lake/feed", "StatefulSet/orders/store"],
    says=[["slot"], ["lake_feed"], ["lake/feed", "feed is scaled", "Deployment feed", "0 replicas", "scaled to zero", "scaled to 0"]],
    innocent=["Deployment/orders/api", "Deployment/orders/shipping", "CronJob/orders/vacuum", "Node/_cluster/node-a", "Node/_cluster/node-b", "Node/_cluster/node-c"],
    traits=frozenset({Trait.metrics_only, Trait.innocent}),
)  # fmt: skip

GIB = 2.0**30
BEFORE, SINCE = 48, 122
"""Hours of the record before and since the feed was stopped."""


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "block"}, "provisioner": "nfs.example.com/shares", "allowVolumeExpansion": True},
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pvc-f0a3be0c-5b1f-4f5b-9a44-4e31d8c03c11"},
         "spec": {"capacity": {"storage": "100Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "block", "persistentVolumeReclaimPolicy": "Delete",
                  "claimRef": {"namespace": "orders", "name": "data-store-0"}, "nfs": {"server": "10.30.0.9", "path": "/volumes/f0a3be0c"}}},
        secret("orders/store-login", {"password": ""}), secret("lake/store-replication", {"password": ""}),
        config_map("orders/store-settings", {"postgresql.conf": "listen_addresses = '*'\nwal_level = logical\nmax_wal_size = 4GB\nmax_replication_slots = 10\nwal_keep_size = 1GB\nshared_buffers = 2GB\n"}),
        stateful_set(
            "orders/store",
            container("postgres", "postgres:17.2", port=5432, memory=("4Gi", "4Gi"), mounts={"data": "/var/lib/postgresql/data", "settings": "/etc/postgresql"},
                      env={"POSTGRES_PASSWORD": from_secret("store-login", "password")}),
            container("exporter", "prom/postgres-exporter:v0.18.1", port=9187, memory=("32Mi", "64Mi"), cpu="20m", env={"DATA_SOURCE_URI": "localhost:5432/postgres?sslmode=disable"}),
            claims={"data": ("block", "100Gi")}, pod={"volumes": [{"name": "settings", "configMap": {"name": "store-settings"}}]},
        ),
        service("orders/store", 5432),
        deployment("orders/api", container("api", "orders/api:24.10.1", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "store.orders.svc.cluster.local", "DB_PASSWORD": from_secret("store-login", "password")}), replicas=3),
        service("orders/api", 80, 8080),
        deployment("orders/shipping", container("shipping", "orders/shipping:3.3.9", port=8080, ready="/ready", env={"DB_HOST": "store.orders.svc.cluster.local"})),
        service("orders/shipping", 80, 8080),
        {
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "vacuum", "namespace": "orders"},
            "spec": {"schedule": "30 3 * * *", "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [container("vacuum", "postgres:17.2", command=["vacuumdb", "--all", "--analyze"], env={"PGHOST": "store.orders.svc"})]}}}}},
        },
        config_map("lake/feed-settings", {"application.properties": (
            "debezium.source.connector.class=io.debezium.connector.postgresql.PostgresConnector\n"
            "debezium.source.database.hostname=store.orders.svc.cluster.local\ndebezium.source.database.port=5432\ndebezium.source.database.dbname=orders\n"
            "debezium.source.plugin.name=pgoutput\ndebezium.source.slot.name=lake_feed\ndebezium.source.topic.prefix=orders\n"
            "debezium.sink.type=http\ndebezium.sink.http.url=http://intake.lake.svc.cluster.local:8080/changes\n")}),
        deployment("lake/feed", container("server", "debezium/server:3.3.1.Final", port=8080, ready="/q/health/ready", memory=("512Mi", "1Gi"), mounts={"settings": "/debezium/config"},
                                          env={"DEBEZIUM_SOURCE_DATABASE_PASSWORD": from_secret("store-replication", "password")}), replicas=1,
                   pod={"volumes": [{"name": "settings", "configMap": {"name": "feed-settings"}}]}, strategy={"type": "Recreate"}),
        deployment("lake/intake", container("intake", "lake/intake:0.31.2", port=8080, ready="/ready")),
        service("lake/intake", 8080),
        deployment("lake/query", container("query", "lake/query:0.31.2", port=8123, ready="/ping"), replicas=1),
        service("lake/query", 8123),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=19)
    stage.kubectl("scale", "deployment/feed", "-n", "lake", "--replicas=0")
    stage.calm()
    stage.wait(days=2, hours=3)
    for name in ("intake", "query"):
        stage.kubectl(
            "set",
            "image",
            f"deployment/{name}",
            f"{name}=registry.example.com/lake/{name}:0.32.0",
            "-n",
            "lake",
        )
    stage.calm()
    stage.wait(days=2, hours=21)
    stage.kubectl(
        "set", "image", "deployment/api", "api=registry.example.com/orders/api:24.11.0", "-n", "orders"
    )
    stage.calm()
    stage.wait(hours=2)
    stage.heartbeat()
    stage.log("orders/store", printed(stage.ago(minutes=55), [
        "<%Y-%m-%d %H:%M:%S.%3> UTC [64] LOG:  checkpoint starting: time",
        "<%Y-%m-%d %H:%M:%S.%3> UTC [64] LOG:  checkpoint complete: wrote <4000-9000> buffers (2.1%), wrote 3 SLRU buffers; 0 WAL file(s) added, 0 removed, 0 recycled; write=269.<100-999> s, sync=0.0<10-99> s, total=270.<100-999> s; sync files=<80-140>, longest=0.0<10-40> s, average=0.001 s; distance=<120000-180000> kB, estimate=<150000-190000> kB",
    ] * 11, every_s=150), container="postgres")  # fmt: skip
    stage.log(
        "orders/store",
        printed(
            stage.ago(minutes=50),
            [
                'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=tls_config.go:347 msg="Listening on" address=[::]:9187'
            ],
        ),
        container="exporter",
    )
    chatter(
        stage,
        "orders/api-",
        [
            '{"level":"info","msg":"order stored","ms":<5-21>}',
            '{"level":"info","msg":"GET /orders","status":200,"ms":<3-30>}',
        ],
    )
    chatter(
        stage, "orders/shipping-", ['{"level":"info","msg":"label printed","carrier":"north","ms":<40-90>}']
    )
    chatter(stage, "lake/intake-", ['level=INFO msg="flushed" table=clicks rows=<2000-9000>'])
    chatter(stage, "lake/query-", ['level=INFO msg="query" rows_read=<10000-90000> ms=<90-900>'])
    _metrics(stage)
    stage.fire(minutes_ago=34)


def _metrics(stage: Stage) -> None:
    claim = {"namespace": "orders", "persistentvolumeclaim": "data-store-0"}
    kept = [*about(0.4, BEFORE, noise=0.6), *slope(0.4, 53.2, SINCE, noise=0.004)]
    used = [38 + more for more in kept]
    for name, values in (
        ("used", [u * GIB for u in used]),
        ("available", [(100 - u) * GIB for u in used]),
        ("capacity", [100 * GIB] * len(used)),
    ):
        metric = f"kubelet_volume_stats_{name}_bytes"
        stage.metric(f"volume-{name}", metric, [({"__name__": metric, **claim}, values)], step_s=3600)
    here = {"namespace": "orders", "pod": "store-0", "container": "exporter", "service": "store"}
    feed = {
        **here,
        "slot_name": "lake_feed",
        "slot_type": "logical",
        "database": "orders",
        "plugin": "pgoutput",
    }
    standby = {
        **here,
        "slot_name": "reports_sub",
        "slot_type": "logical",
        "database": "orders",
        "plugin": "pgoutput",
    }
    stage.metric("slot-active", "pg_replication_slot_slot_is_active", [
        ({"__name__": "pg_replication_slot_slot_is_active", **feed}, [1.0] * BEFORE + [0.0] * SINCE),
        ({"__name__": "pg_replication_slot_slot_is_active", **standby}, [1.0] * (BEFORE + SINCE)),
    ], step_s=3600)  # fmt: skip
    stage.metric("slot-kept", "pg_replication_slots_pg_wal_lsn_diff", [
        ({"__name__": "pg_replication_slots_pg_wal_lsn_diff", **feed}, [k * GIB for k in kept]),
        ({"__name__": "pg_replication_slots_pg_wal_lsn_diff", **standby}, [k * GIB for k in about(0.02, BEFORE + SINCE, noise=0.5)]),
    ], step_s=3600)  # fmt: skip
    stage.metric("wal", "pg_wal_size_bytes", [
        ({"__name__": "pg_wal_size_bytes", **here}, [(2.1 + k) * GIB for k in kept]),
    ], step_s=3600)  # fmt: skip
    stage.metric("database", "pg_database_size_bytes", [
        ({"__name__": "pg_database_size_bytes", **here, "datname": "orders"}, [g * GIB for g in slope(35.1, 35.4, BEFORE + SINCE, noise=0.001)]),
    ], step_s=3600)  # fmt: skip
