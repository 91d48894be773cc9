"""A batch importer is scaled out and its pools take nearly all of a database's connections."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="Eight importers with pools of twenty leave a database no connections for its API",
    half=Half.blind,
    story="To work off a backlog somebody scales the importer from 2 to 8 replicas. Each keeps 20 connections open; "
    "with the API's they reach PostgreSQL's max_connections of 200. Every pod is ready, and new connections are refused.",
    sources=[
        "https://www.postgresql.org/docs/current/runtime-config-connection.html",
        "https://github.com/prometheus-community/postgres_exporter/blob/master/postgres_mixin/alerts/postgres.libsonnet",
        "https://github.com/brettwooldridge/HikariCP/wiki/About-Pool-Sizing",
    ],
    labels={
        "alertname": "PostgreSQLMaxConnectionsReached",
        "namespace": "catalog",
        "pod": "catalog-db-0",
        "container": "exporter",
        "job": "catalog-db",
        "server": "localhost:5432",
        "severity": "warning",
    },
    annotations={"summary": "catalog-db-0 has maxed out Postgres connections."},
    causes=["Deployment/catalog/importer", "ConfigMap/catalog/catalog-db-config"],
    says=[["connection"], ["importer"], ["max_connections", "200"]],
    innocent=["Pod/catalog/catalog-db-0", "Deployment/catalog/catalog-api"],
    traits=frozenset({Trait.metrics_only, Trait.innocent}),
)

DATABASE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: catalog-db-config, namespace: catalog}
data:
  postgresql.conf: |
    listen_addresses = '*'
    max_connections = 200
    superuser_reserved_connections = 3
    shared_buffers = 2GB
---
apiVersion: v1
kind: Service
metadata: {name: catalog-db, namespace: catalog}
spec: {clusterIP: None, selector: {app: catalog-db}, ports: [{name: postgres, port: 5432}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: catalog-db, namespace: catalog}
spec:
  serviceName: catalog-db
  replicas: 1
  selector: {matchLabels: {app: catalog-db}}
  template:
    metadata: {labels: {app: catalog-db}}
    spec:
      containers:
      - name: postgres
        image: registry.example.com/catalog/postgres:17.6
        args: [-c, config_file=/etc/postgresql/postgresql.conf]
        ports: [{name: postgres, containerPort: 5432}]
        resources: {requests: {cpu: "1", memory: 4Gi}, limits: {memory: 6Gi}}
        volumeMounts: [{name: config, mountPath: /etc/postgresql}]
      - name: exporter
        image: registry.example.com/prometheuscommunity/postgres-exporter:v0.17.1
        ports: [{name: metrics, containerPort: 9187}]
      volumes: [{name: config, configMap: {name: catalog-db-config}}]
"""

CLIENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: catalog}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: {name}
        image: registry.example.com/catalog/{name}:{tag}
        env:
        - {{name: DB_URL, value: "postgresql://catalog-db.catalog.svc:5432/catalog"}}
        - {{name: DB_USER, value: {user}}}
        - {{name: DB_POOL_SIZE, value: "{pool}"}}
        resources: {{requests: {{cpu: 200m, memory: 256Mi}}, limits: {{memory: 768Mi}}}}
"""

CLIENTS = (
    ("catalog-api", 3, "8.2.1", "catalog_api", 15),
    ("importer", 2, "4.5.0", "importer", 20),
    ("price-feed", 1, "2.0.7", "price_feed", 5),
)
MINUTES, SCALED = 180, 154


def play(stage: Stage) -> None:
    stage.apply(DATABASE)
    for name, replicas, tag, user, pool in CLIENTS:
        stage.apply(CLIENT.format(name=name, replicas=replicas, tag=tag, user=user, pool=pool))
    stage.calm()
    stage.wait(days=29, hours=1)

    stage.kubectl("scale", "deployment/importer", "--replicas=8", "-n", "catalog")
    stage.calm()
    stage.wait(minutes=MINUTES - SCALED)
    refused = "FATAL: remaining connection slots are reserved for roles with the SUPERUSER attribute"
    stage.log("catalog/catalog-api", f"WARN pool: could not open connection 14 of 15: {refused}\nWARN request waited 4200ms for a connection\nINFO GET /v1/items 200 4312ms", every_s=2)  # fmt: skip
    stage.log("catalog/catalog-db-0", f"[2214] importer@catalog {refused}\n[2215] catalog_api@catalog {refused}\n[2219] importer@catalog {refused}", container="postgres", every_s=2)  # fmt: skip
    stage.log(
        "catalog/importer",
        "INFO batch 7712 of 19004 done rows=5000\nINFO pool: 20 of 20 connections open",
        every_s=3,
    )
    _measure(stage)
    stage.fire(minutes_ago=17)


def _measure(stage: Stage) -> None:
    address = stage.pod("catalog/catalog-db-0")["status"]["podIP"]
    target = {
        "instance": f"{address}:9187", "job": "catalog-db", "namespace": "catalog", "pod": "catalog-db-0", "container": "exporter",
        "server": "localhost:5432",
    }  # fmt: skip

    def count(user: str, before: float, after: float) -> tuple[dict[str, str], list[float]]:
        rising = [before + (after - before) * min(n + 1, 5) / 5 for n in range(MINUTES - SCALED)]
        values = [before] * SCALED + rising
        return {**target, "datname": "catalog", "usename": user}, [round(v) for v in values]

    stage.metric(
        "connections_by_user",
        'sum by (instance, job, namespace, pod, container, server, datname, usename) (pg_stat_activity_count{namespace="catalog"})',
        [count("catalog_api", 45, 36), count("importer", 40, 155), count("price_feed", 5, 5), count("postgres_exporter", 1, 1)],
    )  # fmt: skip
    for name, value in (
        ("pg_settings_max_connections", 200.0),
        ("pg_settings_superuser_reserved_connections", 3.0),
    ):
        stage.metric(name, name, [({"__name__": name, **target}, [value] * MINUTES)])
    stage.metric(
        "database_cpu", 'sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total{namespace="catalog",pod="catalog-db-0"}[5m]))',
        [({"namespace": "catalog", "pod": "catalog-db-0", "container": "postgres"}, [0.42] * SCALED + [0.71] * (MINUTES - SCALED))],
    )  # fmt: skip
    stage.metric(
        "replicas", 'kube_deployment_status_replicas_available{namespace="catalog"}',
        [
            ({"namespace": "catalog", "deployment": "importer"}, [2.0] * SCALED + [8.0] * (MINUTES - SCALED)),
            ({"namespace": "catalog", "deployment": "catalog-api"}, [3.0] * MINUTES),
            ({"namespace": "catalog", "deployment": "price-feed"}, [1.0] * MINUTES),
        ],
    )  # fmt: skip
