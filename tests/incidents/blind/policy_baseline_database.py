"""A baseline of network policies closes a database to the application in another namespace; a log names another cause."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import (
    container,
    deployment,
    from_secret,
    secret,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="A new NetworkPolicy keeps the claims application from its database",
    half=Half.blind,
    story="The platform team rolls out a baseline: in claims-data only pods of the same namespace may come in. The "
    "application lives in claims. Its packets are dropped, so connecting times out; the pool's own hint blames "
    "max_connections, which is far from used up.",
    sources=[
        "https://kubernetes.io/docs/concepts/services-networking/network-policies/#default-policies",
        "https://kubernetes.io/docs/tasks/debug/debug-application/debug-running-pod/",
        "https://github.com/brettwooldridge/HikariCP#frequently-used",
    ],
    labels={
        "alertname": "KubeDeploymentReplicasMismatch",
        "namespace": "claims",
        "deployment": "claims-api",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    annotations={
        "summary": "Deployment has not matched the expected number of replicas.",
        "description": "Deployment claims/claims-api has not matched the expected number of replicas for longer than 15 minutes.",
    },
    causes=["NetworkPolicy/claims-data/baseline-ingress"],
    says=[["ingress"], ["claims-db", "claims-data", "5432"]],
    innocent=["Deployment/claims/claims-api", "StatefulSet/claims-data/claims-db", "Service/claims-data/claims-db"],
    traits=frozenset({Trait.innocent, Trait.false_narrative}),
)  # fmt: skip

BASELINE = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: baseline-ingress
  namespace: {namespace}
  labels: {{app.kubernetes.io/part-of: platform-baseline}}
spec:
  podSelector: {{}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - podSelector: {{}}
"""


def play(stage: Stage) -> None:
    url = "jdbc:postgresql://claims-db.claims-data.svc.cluster.local:5432/claims"
    api = container(
        "api", "claims/claims-api:9.14.0", port=8080, ready="/actuator/health/readiness",
        alive="/actuator/health/liveness", memory=("768Mi", "1Gi"), cpu="200m",
        env={"SPRING_DATASOURCE_URL": url, "SPRING_DATASOURCE_PASSWORD": from_secret("claims-db-login", "password")},
    )  # fmt: skip
    postgres = container(
        "postgres", "library/postgres:16.10", port=5432, memory=("1Gi", "2Gi"), cpu="500m",
        args=["-c", "max_connections=200", "-c", "log_connections=on"], mounts={"data": "/var/lib/postgresql/data"},
    )  # fmt: skip
    stage.apply([
        *system(),
        secret("claims/claims-db-login", {"password": "fixture"}),
        deployment("claims/claims-api", api, replicas=3),
        service("claims/claims-api", 80, 8080),
        deployment("claims/letters", container("letters", "claims/letters:2.0.7", port=8000, ready="/healthz")),
        service("claims/letters", 80, 8000),
        stateful_set("claims-data/claims-db", postgres, claims={"data": ("kwok-volume", "80Gi")}),
        service("claims-data/claims-db", 5432),
        deployment("claims-data/exporter", container("exporter", "prometheus/postgres-exporter:v0.18.1", port=9187), replicas=1),
        deployment("intake/uploads", container("uploads", "intake/uploads:31", port=8080, ready="/readyz")),
        service("intake/uploads", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=11)
    stage.kubectl(
        "set",
        "image",
        "deployment/claims-api",
        "api=registry.example.com/claims/claims-api:9.15.2",
        "-n",
        "claims",
    )
    stage.calm()
    stage.wait(days=17, hours=22)
    for namespace in ("claims-data", "intake"):
        stage.apply(BASELINE.format(namespace=namespace), manager="platform-baseline")
    stage.wait(minutes=3)
    stage.unready("claims/claims-api", "HTTP probe failed with statuscode: 503", count=3, failures=8)
    stage.wait(minutes=24)
    stage.unready("claims/claims-api", "HTTP probe failed with statuscode: 503", count=3, failures=144)
    front = "<%Y-%m-%dT%H:%M:%S.%3Z> {} 1 --- [claims-api] [{}] {}"
    chatter(stage, "claims/claims-api", [
        front.format("WARN", "nio-8080-exec-<1-9>", "c.e.claims.db.PoolAdvisor                 : pool is starved; usual cause is PostgreSQL max_connections being reached, raise max_connections on claims-db and restart it"),
        front.format("ERROR", "nio-8080-exec-<1-9>", "o.h.engine.jdbc.spi.SqlExceptionHelper   : HikariPool-1 - Connection is not available, request timed out after 3000<0-9>ms (total=0, active=0, idle=0, waiting=<6-19>)"),
        front.format("ERROR", "nio-8080-exec-<1-9>", "o.a.c.c.C.[.[.[/].[dispatcherServlet]    : Servlet.service() for servlet [dispatcherServlet] in context with path [] threw exception [Request processing failed: org.springframework.transaction.CannotCreateTransactionException: Could not open JPA EntityManager for transaction] with root cause\n"
                     "java.net.SocketTimeoutException: Connect timed out\n"
                     "\tat java.base/sun.nio.ch.NioSocketImpl.timedFinishConnect(NioSocketImpl.java:546)\n"
                     "\tat java.base/sun.nio.ch.NioSocketImpl.connect(NioSocketImpl.java:592)\n"
                     "\tat java.base/java.net.Socket.connect(Socket.java:751)\n"
                     "\tat org.postgresql.core.PGStream.createSocket(PGStream.java:260)\n"
                     "\tat org.postgresql.core.v3.ConnectionFactoryImpl.openConnectionImpl(ConnectionFactoryImpl.java:329)"),
        front.format("WARN", "nio-8080-exec-<1-9>", "c.e.claims.web.ReadinessIndicator           : db DOWN, url=" + url),
    ], count=36, minutes=24)  # fmt: skip
    exporter = stage.pod("claims-data/exporter")["status"]["podIP"]
    chatter(stage, "claims-data/claims-db", [
        "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time",
        "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint complete: wrote <3-9> buffers (0.0%); 0 WAL file(s) added, 0 removed, 0 recycled; write=0.<301-905> s, sync=0.00<1-9> s, total=0.<910-999> s",
        f"<%Y-%m-%d %H:%M:%S.%3> UTC [<4100-4900>] LOG:  connection received: host={exporter} port=<34000-59000>",
        "<%Y-%m-%d %H:%M:%S.%3> UTC [<4100-4900>] LOG:  connection authorized: user=exporter database=claims application_name=postgres_exporter",
    ], count=20)  # fmt: skip
    chatter(stage, "claims-data/exporter", [
        'time=<%Y-%m-%dT%H:%M:%S.%3Z> level=INFO source=server.go:74 msg="Established new database connection" fingerprint=claims-db:5432',
    ], count=8)  # fmt: skip
    chatter(stage, "claims/letters", [
        'INFO:     10.244.<0-2>.<4-30>:<33000-60000> - "POST /render HTTP/1.1" 200 OK',
        'INFO:     10.20.0.1<1-3>:<33000-60000> - "GET /healthz HTTP/1.1" 200 OK',
    ])  # fmt: skip
    stage.metric("database-connections", 'pg_stat_activity_count{datname="claims"}',
                 [({"datname": "claims", "state": "active"}, [31, 29, 33, 30, 12, 2, 1, 1, 1, 1, 1, 1]), ({"datname": "claims", "state": "idle"}, [28, 30, 27, 29, 30, 9, 0, 0, 0, 0, 0, 0])], step_s=180)  # fmt: skip
    stage.heartbeat()
    stage.fire(minutes_ago=9)
