"""An alert says that a database is down: its exporter can no longer log in, and the database serves everybody else."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.curves import about
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
    title="The password of the exporter's database user expired, and the database that it watches is reported as down",
    half=Half.tuned,
    story=(
        "The user of postgres_exporter was made with VALID UNTIL 90 days ahead. That moment has passed, pg_up is 0, and the rule says that the"
        " database is down. The services log in with other users and work as ever. A setting of the database was edited earlier today, which"
        " is of no consequence."
    ),
    sources=[
        "https://github.com/prometheus-community/postgres_exporter",
        "https://www.postgresql.org/docs/current/sql-createrole.html",
        "https://samber.github.io/awesome-prometheus-alerts/rules.html#postgresql",
    ],
    labels={
        "alertname": "PostgresqlDown",
        "namespace": "permits",
        "statefulset": "register",
        "severity": "critical",
    },
    annotations={"summary": "PostgreSQL register in permits is down.", "description": "pg_up is 0 for 5 minutes."},
    causes=["Deployment/permits/register-stats", "Secret/permits/register-stats-login"],
    says=[["password", "expired", "authentication", "log in"]],
    innocent=["StatefulSet/permits/register", "Service/permits/register", "{pod:permits/register-0}", "ConfigMap/permits/register-conf"],
    traits=frozenset({Trait.innocent}),
)  # fmt: skip

CONF = """\
listen_addresses = '*'
max_connections = 200
shared_buffers = 512MB
log_line_prefix = '%m [%p] %q%u@%d '
log_min_duration_statement = 500ms
"""
FRONT = "<%Y-%m-%d %H:%M:%S.%3> UTC"


def play(stage: Stage) -> None:
    login: dict[str, str | Body] = {
        "PGUSER": from_secret("register-login", "username"),
        "PGPASSWORD": from_secret("register-login", "password"),
        "PGHOST": "register",
        "PGDATABASE": "register",
    }
    stage.apply(system())
    stage.apply([
        secret("permits/register-login", {"username": "clerk", "password": "p4-slow-otter"}),
        secret("permits/register-stats-login", {"username": "stats", "password": "p9-grey-heron"}),
        config_map("permits/register-conf", {"postgresql.conf": CONF}),
        stateful_set("permits/register", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"), mounts={"conf": "/etc/postgresql"}, args=["-c", "config_file=/etc/postgresql/postgresql.conf"],
                                                   readinessProbe={"exec": {"command": ["pg_isready", "-U", "postgres"]}}, livenessProbe={"exec": {"command": ["pg_isready", "-U", "postgres"]}}),
                     pod={"volumes": [{"name": "conf", "configMap": {"name": "register-conf"}}]}),
        service("permits/register", 5432, headless=True),
        deployment("permits/register-stats", container("exporter", "prometheuscommunity/postgres-exporter:v0.18.1", port=9187, ready="/", alive="/", memory=("32Mi", "64Mi"), cpu="20m",
                                                       env={"DATA_SOURCE_URI": "register.permits.svc:5432/postgres?sslmode=disable", "DATA_SOURCE_USER": from_secret("register-stats-login", "username"),
                                                            "DATA_SOURCE_PASS": from_secret("register-stats-login", "password")}), replicas=1),
        service("permits/register-stats", 9187),
        deployment("permits/applications", container("applications", "permits/applications:18.0.4", port=8080, ready="/ready", alive="/alive", env=login), replicas=3),
        service("permits/applications", 80, 8080),
        deployment("permits/fees", container("fees", "permits/fees:7.3.2", port=8080, ready="/ready", env=login)),
        service("permits/fees", 80, 8080),
        deployment("permits/scans", container("scans", "permits/scans:2.0.1", port=8080, ready="/ready"), replicas=1),
        deployment("web/counter", container("counter", "web/counter:9.1.0", port=3000, ready="/up", env={"APPLICATIONS_URL": "http://applications.permits", "FEES_URL": "http://fees.permits"})),
        service("web/counter", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=89, hours=21)
    stage.edit(
        "configmaps/permits/register-conf",
        lambda body: body["data"].update({"postgresql.conf": CONF.replace("500ms", "250ms")}),
    )
    stage.wait(hours=2, minutes=18)
    stage.kubectl(
        "set", "image", "deployment/fees", "fees=registry.example.com/permits/fees:7.3.3", "-n", "permits"
    )
    stage.calm()
    stage.wait(minutes=43)
    stage.heartbeat()
    ended = stage.ago(minutes=24)
    refused = "\n".join(
        [
            f'{FRONT} [<9000-9999>] stats@postgres FATAL:  password authentication failed for user "stats"',
            f'{FRONT} [<9000-9999>] stats@postgres DETAIL:  User "stats" has an expired password.',
            '\tConnection matched file "/var/lib/postgresql/data/pg_hba.conf" line 128: "host all all all scram-sha-256"',
        ]
    )
    slow = f"{FRONT} [<9000-9999>] clerk@register LOG:  duration: <510-900>.<100-999> ms  execute <unnamed>: SELECT * FROM applications WHERE district = $1 ORDER BY received"
    checkpoint = f"{FRONT} [27] LOG:  checkpoint complete: wrote <100-900> buffers (0.<1-9>%); 0 WAL file(s) added, 0 removed, 0 recycled"
    stage.log("permits/register-0", "\n".join([
        printed(ended - timedelta(minutes=60), [checkpoint, slow] * 10, every_s=170),
        printed(ended + timedelta(seconds=11), [refused, refused, refused, refused, slow, refused, refused, checkpoint] * 6, every_s=29),
    ]))  # fmt: skip
    failed = (
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=ERROR source=collector.go:196 msg="Error opening connection to database"'
        ' err="error querying postgresql version: pq: password authentication failed for user \\"stats\\""'
    )
    stage.log("permits/register-stats", "\n".join([
        printed(ended - timedelta(hours=3), ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=WARN source=queries.go:97 msg="Proceeding with outdated query maps, as the Postgres version could not be determined"']),
        printed(ended + timedelta(seconds=11), [failed] * 46, every_s=30),
    ]))  # fmt: skip
    chatter(stage, "permits/applications", [
        '{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"application stored","number":"26-<10000-99999>","ms":<8-30>}',
        '{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"request","path":"/applications","status":200,"ms":<4-60>}',
    ])  # fmt: skip
    chatter(
        stage,
        "permits/fees",
        [
            '{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"fee computed","cents":<1000-9999>,"ms":<3-12>}'
        ],
    )
    chatter(stage, "permits/scans", ["INFO scan stored pages=<1-30>"])
    chatter(
        stage,
        "web/counter",
        [
            '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"GET","url":"/mine"},"res":{"statusCode":200},"responseTime":<40-110>,"msg":"request completed"}'
        ],
    )
    _metrics(stage)
    stage.fire(minutes_ago=18)


def _metrics(stage: Stage) -> None:
    """Once a minute for an hour and a half; the user cannot log in for 24 minutes."""
    before, since = 66, 24
    count = before + since
    pod = stage.pods("permits/register-stats")[0]["metadata"]["name"]
    target = {
        "namespace": "permits",
        "job": "register-stats",
        "service": "register-stats",
        "pod": pod,
        "container": "exporter",
        "instance": "10.244.1.6:9187",
    }
    stage.metric("pg-up", "pg_up", [(target, [*([1.0] * before), *([0.0] * since)])])
    stage.metric("up", 'up{namespace="permits"}', [
        (target, [1.0] * count),
        *(({"namespace": "permits", "job": "applications", "service": "applications", "pod": one["metadata"]["name"]}, [1.0] * count) for one in stage.pods("permits/applications")),
    ])  # fmt: skip
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[2m])) / sum by (namespace, service) (rate(http_requests_total[2m]))', [
        ({"namespace": namespace, "service": name}, about(0.0005, count, noise=0.9, of=name)) for namespace, name in (("permits", "applications"), ("permits", "fees"), ("web", "counter"))
    ])  # fmt: skip
    stage.metric("database-cpu", 'sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total{namespace="permits"}[5m]))', [
        ({"namespace": "permits", "pod": "register-0", "container": "postgres"}, about(0.21, count)),
    ])  # fmt: skip
