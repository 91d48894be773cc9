"""Every object is well, and requests wait for a database connection: the pool is at its maximum."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A wallet service's connection pool is used up, and requests wait",
    half=Half.tuned,
    story="A campaign doubles the number of bookings. All twenty connections of each pod are in use; the database is idle "
    "by comparison. Nothing restarts, nothing is unready.",
    sources=[
        "https://github.com/brettwooldridge/HikariCP/wiki/About-Pool-Sizing",
        "https://docs.micrometer.io/micrometer/reference/reference/jvm.html",
    ],
    labels={"alertname": "HighRequestLatency", "namespace": "loyalty", "deployment": "wallet"},
    causes=["Deployment/loyalty/wallet"],
    says=[["pool", "connections"], ["20"]],
    innocent=["StatefulSet/loyalty/wallet-db", "Service/loyalty/wallet-db"],
    traits=frozenset({Trait.metrics_only}),
)

MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: wallet, namespace: loyalty}
spec:
  replicas: 2
  selector: {matchLabels: {app: wallet}}
  template:
    metadata: {labels: {app: wallet}}
    spec:
      containers:
      - name: wallet
        image: registry.example.com/loyalty/wallet:3.0.7
        env:
        - {name: SPRING_DATASOURCE_URL, value: "jdbc:postgresql://wallet-db:5432/wallet"}
        - {name: SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE, value: "20"}
        resources: {requests: {cpu: 500m, memory: 512Mi}, limits: {cpu: "2", memory: 1Gi}}
---
apiVersion: v1
kind: Service
metadata: {name: wallet, namespace: loyalty}
spec:
  selector: {app: wallet}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: wallet-db, namespace: loyalty}
spec:
  serviceName: wallet-db
  replicas: 1
  selector: {matchLabels: {app: wallet-db}}
  template:
    metadata: {labels: {app: wallet-db}}
    spec:
      containers:
      - name: postgres
        image: registry.example.com/postgres:17.2
        resources: {requests: {cpu: "1", memory: 2Gi}, limits: {cpu: "2", memory: 2Gi}}
---
apiVersion: v1
kind: Service
metadata: {name: wallet-db, namespace: loyalty}
spec:
  selector: {app: wallet-db}
  ports: [{port: 5432}]
"""


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=19, hours=2)
    wallets = [pod["metadata"]["name"] for pod in stage.pods("loyalty/wallet-")]
    wallets = [name for name in wallets if not name.startswith("wallet-db")]
    (database,) = [pod["metadata"]["name"] for pod in stage.pods("loyalty/wallet-db")]
    active = [*([7.0, 8.0, 6.0, 9.0] * 4), 13.0, 17.0, *([20.0] * 12)]
    waiting = [*([0.0] * 18), *[float(4 + 6 * n) for n in range(12)]]

    def series(name: str, values: list[float]) -> list[tuple[dict[str, str], list[float]]]:
        return [
            (
                {
                    "__name__": name,
                    "namespace": "loyalty",
                    "pod": pod,
                    "container": "wallet",
                    "pool": "HikariPool-1",
                },
                values,
            )
            for pod in wallets
        ]

    stage.metric("pool-active", "hikaricp_connections_active", series("hikaricp_connections_active", active))
    stage.metric(
        "pool-pending", "hikaricp_connections_pending", series("hikaricp_connections_pending", waiting)
    )
    stage.metric("pool-max", "hikaricp_connections_max", series("hikaricp_connections_max", [20.0] * 30))
    usage = "sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total[5m]))"
    labels = {"namespace": "loyalty", "pod": database, "container": "postgres"}
    stage.metric("cpu", usage, [(labels, [0.31, 0.33, 0.3, 0.36, 0.34] * 6)])
    stage.fire(minutes_ago=9)
