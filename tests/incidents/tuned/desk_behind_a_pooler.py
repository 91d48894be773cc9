"""PgBouncer hands connections out per transaction since an edit; a driver with prepared statements fails, one without does not."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.incidents.curves import about, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
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
    title="The pooler lends its connections per transaction since an edit, and the ticket service's prepared statements are not there",
    half=Half.tuned,
    story=(
        "Somebody sets PgBouncer's pool_mode from session to transaction to save connections; its reloader sends a SIGHUP. The ticket service"
        " (pgjdbc) prepares statements by name on one server connection and meets another at the next transaction; the agents' service uses the simple"
        " protocol and is well. The desk in front answers 500. Its own release went out shortly before. Elsewhere a release of thumbs asks for a key that its ConfigMap does not have."
    ),
    sources=[
        "https://www.pgbouncer.org/features.html",
        "https://www.pgbouncer.org/faq.html#how-to-use-prepared-statements-with-transaction-pooling",
        "https://www.pgbouncer.org/config.html#pool_mode",
        "https://github.com/pgbouncer/pgbouncer/issues/1129",
    ],
    labels={
        "alertname": "HttpErrorRatioHigh",
        "namespace": "web",
        "service": "desk",
        "job": "desk",
        "severity": "critical",
    },
    annotations={"summary": "desk answers more than 5 % of its requests with 5xx."},
    causes=["ConfigMap/data/pooler-ini"],
    says=[["pool_mode"], ["transaction"], ["prepared statement"]],
    innocent=["Deployment/web/desk", "Service/web/desk", "Deployment/support/tickets", "StatefulSet/data/desk-db"],
    second=["Deployment/media/thumbs", "ConfigMap/media/thumbs-env"],
    traits=frozenset({Trait.innocent, Trait.two_faults}),
)  # fmt: skip

INI = """\
[databases]
desk = host=desk-db.data.svc port=5432 dbname=desk

[pgbouncer]
listen_addr = 0.0.0.0
listen_port = 6432
auth_type = scram-sha-256
auth_file = /etc/pgbouncer-users/userlist.txt
pool_mode = session
max_client_conn = 600
default_pool_size = 60
max_prepared_statements = 0
server_idle_timeout = 300
log_connections = 0
log_disconnections = 0
"""


def play(stage: Stage) -> None:
    database = "pooler.data.svc.cluster.local:6432/desk"
    mounted = {
        "volumes": [
            {"name": "ini", "configMap": {"name": "pooler-ini"}},
            {"name": "users", "secret": {"secretName": "pooler-users"}},
        ]
    }
    stage.apply(system())
    stage.apply([
        secret("data/pooler-users", {"userlist.txt": '"desk" "SCRAM-SHA-256$4096:c2FsdA==$a2V5:a2V5"'}),
        config_map("data/pooler-ini", {"pgbouncer.ini": INI}),
        stateful_set("data/desk-db", container("postgres", "postgres:17.6", port=5432, cpu="500m", memory=("2Gi", "4Gi"), args=["-c", "max_connections=200"])),
        service("data/desk-db", 5432, headless=True),
        deployment("data/pooler", container("pgbouncer", "pgbouncer:1.23.1", port=6432, mounts={"ini": "/etc/pgbouncer", "users": "/etc/pgbouncer-users"}),
                   container("reloader", "tools/file-signal:0.9.1", args=["--watch=/etc/pgbouncer", "--signal=HUP", "--process=pgbouncer"], mounts={"ini": "/etc/pgbouncer"}),
                   replicas=2, pod={**mounted, "shareProcessNamespace": True}),
        service("data/pooler", 6432),
        secret("support/desk-login", {"password": "r3-blue-stone"}),
        deployment("support/tickets", container("tickets", "support/tickets:15.2.0", port=8080, ready="/actuator/health/readiness", memory=("512Mi", "1Gi"), env={
            "SPRING_DATASOURCE_URL": f"jdbc:postgresql://{database}", "SPRING_DATASOURCE_USERNAME": "desk", "SPRING_DATASOURCE_PASSWORD": from_secret("desk-login", "password")}), replicas=4),
        service("support/tickets", 80, 8080),
        deployment("support/agents", container("agents", "support/agents:4.0.3", port=8080, ready="/ready", env={
            "DATABASE_URL": f"postgres://desk@{database}?default_query_exec_mode=simple_protocol", "PGPASSWORD": from_secret("desk-login", "password")}), replicas=2),
        service("support/agents", 80, 8080),
        deployment("web/desk", container("desk", "web/desk:30.4.0", port=3000, ready="/up", env={"TICKETS_URL": "http://tickets.support", "AGENTS_URL": "http://agents.support"}), replicas=3),
        service("web/desk", 80, 3000),
        config_map("media/thumbs-env", {"bucket": "thumbs", "quality": "82"}),
        deployment("media/thumbs", container("thumbs", "media/thumbs:2.0.0", port=8080, ready="/ready", env={"BUCKET": {"configMapKeyRef": {"name": "thumbs-env", "key": "bucket"}}})),
        service("media/thumbs", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=33, hours=4)

    # A release of thumbs this morning, with a key that nobody added; the old pods go on.
    def region(body: Body) -> None:
        one = body["spec"]["template"]["spec"]["containers"][0]
        one["image"] = "registry.example.com/media/thumbs:2.1.0"
        one["env"].append(
            {"name": "REGION", "valueFrom": {"configMapKeyRef": {"name": "thumbs-env", "key": "region"}}}
        )

    old = {pod["metadata"]["name"] for pod in stage.pods("media/thumbs")}
    stage.edit("deployments/media/thumbs", region)
    stage.cluster.until("the new thumbs", lambda: len(stage.pods("media/thumbs")) > len(old))
    (new,) = [
        pod["metadata"]["name"] for pod in stage.pods("media/thumbs") if pod["metadata"]["name"] not in old
    ]
    words = "couldn't find key region in ConfigMap media/thumbs-env"
    stage.stuck(f"media/{new}", "CreateContainerConfigError", words, event=("Failed", f"Error: {words}"))
    stage.calm(unfinished=["media/thumbs"])
    stage.wait(hours=2, minutes=40)
    stage.stuck(f"media/{new}", "CreateContainerConfigError", words, event=("Failed", f"Error: {words}"))
    stage.kubectl("set", "image", "deployment/desk", "desk=registry.example.com/web/desk:30.4.1", "-n", "web")
    stage.calm(unfinished=["media/thumbs"])
    stage.wait(minutes=21)

    def shared(body: Body) -> None:
        text = INI.replace("pool_mode = session", "pool_mode = transaction").replace(
            "default_pool_size = 60", "default_pool_size = 20"
        )
        body["data"]["pgbouncer.ini"] = text

    stage.edit("configmaps/data/pooler-ini", shared)
    edited = stage.now
    stage.wait(minutes=26)
    stage.stuck(f"media/{new}", "CreateContainerConfigError", words, event=("Failed", f"Error: {words}"))
    stage.heartbeat()
    _logs(stage, edited)
    _metrics(stage)
    stage.fire(minutes_ago=18)


def _logs(stage: Stage, edited: datetime) -> None:
    since = edited + timedelta(seconds=70)
    stats = "<%Y-%m-%d %H:%M:%S.%3> UTC [1] LOG stats: <80-120> xacts/s, <300-420> queries/s, 0 client parses/s, 0 server parses/s, 0 binds/s, in <40000-60000> B/s, out <200000-300000> B/s, xact <1800-2600> us, query <500-900> us, wait <2-30> us"
    for n, pod in enumerate(stage.pods("data/pooler")):
        name = f"data/{pod['metadata']['name']}"
        stage.log(name, "\n".join([
            printed(edited - timedelta(minutes=30), [stats] * 30, every_s=60),
            printed(since + timedelta(seconds=n), ["<%Y-%m-%d %H:%M:%S.%3> UTC [1] LOG got SIGHUP, re-reading config"]),
            printed(since + timedelta(seconds=40), [stats] * 24, every_s=60),
        ]), container="pgbouncer")  # fmt: skip
        stage.log(
            name,
            printed(
                since + timedelta(seconds=n),
                ["<%Y/%m/%d %H:%M:%S> /etc/pgbouncer changed, signalled HUP to pid 1"],
            ),
            container="reloader",
        )
    well = "<%Y-%m-%dT%H:%M:%S.%3>Z  INFO 1 --- [nio-8080-exec-<1-9>] c.e.support.tickets.Api : ticket read <100000-999999>"
    failed = "\n".join([
        "<%Y-%m-%dT%H:%M:%S.%3>Z ERROR 1 --- [nio-8080-exec-<1-9>] o.h.engine.jdbc.spi.SqlExceptionHelper : ERROR: prepared statement \"S_<1-40>\" does not exist",
        "<%Y-%m-%dT%H:%M:%S.%3>Z ERROR 1 --- [nio-8080-exec-<1-9>] o.a.c.c.C.[.[.[/].[dispatcherServlet] : Servlet.service() for servlet [dispatcherServlet] threw exception [Request processing failed: org.springframework.orm.jpa.JpaSystemException: JDBC exception executing SQL] with root cause",
        "org.postgresql.util.PSQLException: ERROR: prepared statement \"S_<1-40>\" does not exist",
        "\tat org.postgresql.core.v3.QueryExecutorImpl.receiveErrorResponse(QueryExecutorImpl.java:2734)",
    ])  # fmt: skip
    for n, pod in enumerate(stage.pods("support/tickets")):
        stage.log(f"support/{pod['metadata']['name']}", "\n".join([
            printed(edited - timedelta(minutes=15) + timedelta(seconds=n), [well] * 20, every_s=46),
            printed(since + timedelta(seconds=25 + n), [failed, well, failed] * 12, every_s=39),
        ]))  # fmt: skip
    front = "<%Y-%m-%d %H:%M:%S.%3> UTC"
    stage.log("data/desk-db-0", printed(since + timedelta(seconds=25), [
        f'{front} [<300-999>] ERROR:  prepared statement "S_<1-40>" does not exist',
        f"{front} [27] LOG:  checkpoint complete: wrote <300-900> buffers (0.<2-6>%), wrote 1 SLRU buffers; 0 WAL file(s) added, 0 removed, 1 recycled",
        f'{front} [<300-999>] ERROR:  prepared statement "S_<1-40>" does not exist',
    ] * 14, every_s=31))  # fmt: skip
    chatter(
        stage,
        "support/agents",
        [
            '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"INFO","msg":"agents listed","online":<20-60>,"ms":<3-12>}'
        ],
    )
    chatter(stage, "web/desk", [
        '{"level":50,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"GET","url":"/t/<100000-999999>"},"res":{"statusCode":500},"err":{"message":"GET http://tickets.support/tickets/<100000-999999> answered 500"},"msg":"request errored"}',
        '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"GET","url":"/agents"},"res":{"statusCode":200},"responseTime":<10-30>,"msg":"request completed"}',
    ], count=36, minutes=22)  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Once a minute for an hour; the reload is 25 minutes ago."""
    before, since = 36, 24
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[2m])) / sum by (namespace, service) (rate(http_requests_total[2m]))', [
        ({"namespace": "support", "service": "tickets"}, [*about(0.001, before, noise=0.8), *about(0.61, since)]),
        ({"namespace": "web", "service": "desk"}, [*about(0.001, before, noise=0.8), *about(0.34, since)]),
        ({"namespace": "support", "service": "agents"}, about(0.0006, before + since, noise=0.8)),
    ])  # fmt: skip
    stage.metric("database-connections", "sum by (namespace, datname) (pg_stat_database_numbackends)", [
        ({"namespace": "data", "datname": "desk"}, whole([*about(88, before, noise=0.03), *about(34, since, noise=0.05)])),
    ])  # fmt: skip
