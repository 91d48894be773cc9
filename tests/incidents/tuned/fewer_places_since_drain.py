"""A limit of connections lowered three weeks ago takes effect when a drain restarts the database; a release is suspected."""

from __future__ import annotations

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
    title="max_connections was lowered three weeks ago and holds since the database was restarted for a kernel update",
    half=Half.tuned,
    story=(
        "Somebody lowers max_connections from 400 to 60 in the database's file; a running Postgres does not take that over. Three weeks later"
        " its node is drained, it starts anew, and the services' pools (4 times 20, 3 times 15) no longer fit. A release of statements"
        " went out ten minutes before the drain, and a note on it says that it is to blame."
    ),
    sources=[
        "https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-MAX-CONNECTIONS",
        "https://www.postgresql.org/docs/current/config-setting.html",
        "https://github.com/prometheus-community/postgres_exporter",
    ],
    labels={
        "alertname": "RequestErrorsHigh",
        "namespace": "accounts",
        "deployment": "statements",
        "service": "statements",
        "severity": "critical",
    },
    annotations={
        "summary": "More than 10 % of the requests to statements fail.",
        "description": "Nearly always the last release of statements. Roll it back first.",
    },
    causes=["ConfigMap/accounts/books-db-conf"],
    says=[["max_connections", "too many clients"], ["60"]],
    innocent=["Deployment/accounts/statements", "Deployment/accounts/entries", "Service/accounts/statements"],
    traits=frozenset({Trait.innocent, Trait.false_narrative}),
)  # fmt: skip

CONF = """\
listen_addresses = '*'
max_connections = 400
shared_buffers = 1GB
work_mem = 8MB
wal_level = replica
log_line_prefix = '%m [%p] %q%u@%d '
log_checkpoints = on
"""
FRONT = "<%Y-%m-%d %H:%M:%S.%3> UTC"


def play(stage: Stage) -> None:
    url = "postgres://books-db.accounts.svc.cluster.local:5432/books"
    login: dict[str, str | Body] = {
        "DATABASE_URL": url,
        "PGUSER": from_secret("books-db-login", "username"),
        "PGPASSWORD": from_secret("books-db-login", "password"),
    }
    disk = {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk-14"},
        "spec": {"capacity": {"storage": "80Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
                 "storageClassName": "shared", "nfs": {"server": "10.30.0.9", "path": "/exports/disk-14"}},
    }  # fmt: skip
    stage.apply(system())
    stage.apply([
        disk,
        secret("accounts/books-db-login", {"username": "books", "password": "u7-quick-lime"}),
        config_map("accounts/books-db-conf", {"postgresql.conf": CONF}),
        stateful_set("accounts/books-db", container("postgres", "postgres:17.6", port=5432, cpu="500m", memory=("2Gi", "4Gi"), mounts={"conf": "/etc/postgresql", "data": "/var/lib/postgresql/data"},
                                                    args=["-c", "config_file=/etc/postgresql/postgresql.conf"], readinessProbe={"exec": {"command": ["pg_isready", "-U", "postgres"]}}),
                     pod={"volumes": [{"name": "conf", "configMap": {"name": "books-db-conf"}}]}, claims={"data": ("shared", "80Gi")}),
        service("accounts/books-db", 5432, headless=True),
        deployment("accounts/entries", container("entries", "accounts/entries:14.2.0", port=8080, alive="/live", ready="/live", env={**login, "DB_POOL_MIN": "20", "DB_POOL_MAX": "20"}), replicas=4),
        service("accounts/entries", 80, 8080),
        deployment("accounts/statements", container("statements", "accounts/statements:2.9.0", port=8080, alive="/live", ready="/live", env={**login, "DB_POOL_MIN": "15", "DB_POOL_MAX": "15", "PAPER_URL": "http://paper"}), replicas=3),
        service("accounts/statements", 80, 8080),
        deployment("accounts/paper", container("paper", "accounts/paper:1.3.3", port=8000, ready="/up")),
        service("accounts/paper", 80, 8000),
        deployment("web/portal", container("portal", "web/portal:20.1.0", port=3000, ready="/up", env={"STATEMENTS_URL": "http://statements.accounts", "ENTRIES_URL": "http://entries.accounts"})),
        service("web/portal", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=41, hours=2)

    def fewer(body: Body) -> None:
        body["data"]["postgresql.conf"] = CONF.replace(
            "max_connections = 400", "max_connections = 60"
        ).replace("work_mem = 8MB", "work_mem = 32MB")

    stage.edit("configmaps/accounts/books-db-conf", fewer)
    stage.wait(days=21, hours=3)
    stage.kubectl(
        "set",
        "image",
        "deployment/statements",
        "statements=registry.example.com/accounts/statements:2.9.1",
        "-n",
        "accounts",
    )
    stage.calm()
    stage.wait(minutes=10)
    (node,) = {pod["spec"]["nodeName"] for pod in stage.pods("accounts/books-db")}
    stage.kubectl("cordon", node)
    stage.evict("accounts/books-db-0")
    stage.calm()
    restarted = stage.now
    stage.wait(minutes=9)
    stage.kubectl("uncordon", node)
    stage.wait(minutes=4)

    def note(body: Body) -> None:
        body["metadata"].setdefault("annotations", {})["example.com/on-call-note"] = (
            "errors came with 2.9.1, connections leak there - roll back"
        )

    stage.edit("deployments/accounts/statements", note)
    stage.calm()
    stage.wait(minutes=5)
    stage.heartbeat()
    stage.log("accounts/books-db", "\n".join([
        printed(restarted, [
            f"{FRONT} [1] LOG:  starting PostgreSQL 17.6 (Debian 17.6-1.pgdg13+1) on x86_64-pc-linux-gnu, compiled by gcc (Debian 14.2.0-19) 14.2.0, 64-bit",
            f'{FRONT} [1] LOG:  listening on IPv4 address "0.0.0.0", port 5432',
            f"{FRONT} [29] LOG:  database system was shut down at <%Y-%m-%d> <10-12>:<10-59>:<10-59> UTC",
            f"{FRONT} [1] LOG:  database system is ready to accept connections",
        ]),
        printed(stage.ago(minutes=17), [f"{FRONT} [<200-999>] books@books FATAL:  sorry, too many clients already"] * 90, every_s=11),
    ]))  # fmt: skip
    address = stage.pod("accounts/books-db")["status"]["podIP"]
    refused = '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"ERROR","msg":"statement not made","account":<100000-999999>,"err":"connect to `user=books database=books`: @:5432 (books-db.accounts.svc.cluster.local): server error: FATAL: sorry, too many clients already (SQLSTATE 53300)"}'.replace(
        "@", address
    )
    chatter(stage, "accounts/statements", [
        refused,
        '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"INFO","msg":"statement made","account":<100000-999999>,"pages":<1-9>}',
        refused,
    ], count=36, minutes=16)  # fmt: skip
    chatter(stage, "accounts/entries", [
        '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"WARN","msg":"pool below its size","want":20,"have":<6-13>,"err":"FATAL: sorry, too many clients already (SQLSTATE 53300)"}',
        '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"INFO","msg":"entry booked","ms":<4-19>}',
    ], count=36, minutes=16)  # fmt: skip
    chatter(stage, "accounts/paper", ["[<%Y-%m-%d %H:%M:%S> +0000] INFO rendered pages=<1-9>"])
    chatter(stage, "web/portal", [
        '{"level":50,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"GET","url":"/statements"},"res":{"statusCode":502},"err":{"message":"GET http://statements.accounts/v1/statements answered 500"},"msg":"request errored"}',
        '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"GET","url":"/up"},"res":{"statusCode":200},"msg":"request completed"}',
    ])  # fmt: skip
    _metrics(stage)
    stage.fire(minutes_ago=14)


def _metrics(stage: Stage) -> None:
    """Once a minute for an hour; the database is back for nineteen minutes."""
    before, since = 41, 19
    here = {"namespace": "accounts", "datname": "books"}
    stage.metric(
        "connections",
        "sum by (namespace, datname) (pg_stat_database_numbackends)",
        [(here, whole([*about(127, before, noise=0.02), *about(57, since, noise=0)]))],
    )
    stage.metric(
        "connections-at-most",
        "pg_settings_max_connections",
        [({"namespace": "accounts"}, [*([400.0] * before), *([60.0] * since)])],
    )
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[2m])) / sum by (namespace, service) (rate(http_requests_total[2m]))', [
        ({"namespace": "accounts", "service": "statements"}, [*about(0.001, before, noise=0.8), *about(0.58, since)]),
        ({"namespace": "accounts", "service": "entries"}, [*about(0.001, before, noise=0.8), *about(0.03, since)]),
    ])  # fmt: skip
