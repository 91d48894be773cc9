"""A schema step waits for a lock that a long export's transaction holds, and every query of the table waits behind it."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.curves import about, slope, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.runs import cron_job
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
    title="An ALTER TABLE queues behind the transaction of an export, and all baskets queue behind the ALTER TABLE",
    half=Half.tuned,
    story=(
        "The weekly figures, started again by hand, read basket_lines in one transaction, which has been open for more than three hours. Eleven minutes ago the next"
        " release's schema step asked for an ACCESS EXCLUSIVE lock on that table and waits. Every query that comes later queues"
        " behind it, until its statement timeout. No pod restarts, the database is idle."
    ),
    sources=[
        "https://www.postgresql.org/docs/current/explicit-locking.html",
        "https://www.postgresql.org/docs/current/runtime-config-logging.html#GUC-LOG-LOCK-WAITS",
        "https://gocardless.com/blog/zero-downtime-postgres-migrations-the-hard-parts/",
        "https://github.com/prometheus-community/postgres_exporter",
    ],
    labels={
        "alertname": "HTTPErrorRatioHigh",
        "namespace": "wholesale",
        "service": "shopfront",
        "job": "shopfront",
        "severity": "critical",
    },
    annotations={"summary": "shopfront answers more than 5 % of its requests with 5xx."},
    causes=["Job/wholesale/basket-columns-52", "Job/reports/weekly-figures-again", "CronJob/reports/weekly-figures"],
    says=[["lock"], ["AccessExclusiveLock", "ACCESS EXCLUSIVE", "ALTER TABLE"]],
    innocent=["Deployment/wholesale/shopfront", "Service/wholesale/shopfront", "Deployment/wholesale/basket", "StatefulSet/wholesale/main-db"],
    traits=frozenset({Trait.innocent, Trait.metrics_only}),
)  # fmt: skip

TABLE = "ALTER TABLE basket_lines ADD COLUMN gift_note text, ADD CONSTRAINT basket_lines_qty_positive CHECK (qty > 0)"
READ = (
    "SELECT l.id, l.sku, l.qty, l.price_cents FROM basket_lines l WHERE l.basket_id = $1 ORDER BY l.position"
)
HOLDER, WAITER = 90417, 104233


def play(stage: Stage) -> None:
    database = "postgresql://main-db.wholesale.svc:5432/wholesale"
    stage.apply(system())
    stage.apply([
        *(secret(f"{namespace}/main-db-login", {"username": user, "password": f"{user}-8fk2"}) for namespace, user in (("wholesale", "shop"), ("reports", "figures"))),
        stateful_set("wholesale/main-db", container("postgres", "postgres:17.6", port=5432, cpu="500m", memory=("2Gi", "4Gi"),
                                                    args=["-c", "log_lock_waits=on", "-c", "log_connections=on", "-c", "log_line_prefix=%m [%p] %q%u@%d/%a ", "-c", "max_connections=300"])),
        service("wholesale/main-db", 5432, headless=True),
        deployment("wholesale/basket", container("basket", "wholesale/basket:12.4.1", port=8080, ready="/healthz", alive="/healthz", memory=("256Mi", "512Mi"),
                                                 env={"DATABASE_URL": database, "DB_PASSWORD": from_secret("main-db-login", "password"), "DB_STATEMENT_TIMEOUT": "15s"}), replicas=3),
        service("wholesale/basket", 80, 8080),
        deployment("wholesale/prices", container("prices", "wholesale/prices:5.0.12", port=8080, ready="/healthz",
                                                 env={"DATABASE_URL": database, "DB_PASSWORD": from_secret("main-db-login", "password")})),
        service("wholesale/prices", 80, 8080),
        deployment("wholesale/shopfront", container("shopfront", "wholesale/shopfront:31.7.0", port=3000, ready="/up",
                                                    env={"BASKET_URL": "http://basket", "PRICES_URL": "http://prices", "UPSTREAM_TIMEOUT_MS": "10000"}), replicas=3),
        service("wholesale/shopfront", 80, 3000),
        deployment("wholesale/labels", container("labels", "wholesale/labels:1.9.3", port=8000, ready="/up"), replicas=1),
        cron_job("reports/weekly-figures", "0 4 * * 4", container("figures", "reports/figures:3.3.0", memory=("512Mi", "2Gi"),
                 env={"SOURCE": database, "DB_PASSWORD": from_secret("main-db-login", "password"), "OUT": "s3://figures/weekly"}, args=["export", "--isolation=repeatable-read", "--tables=baskets,basket_lines,customers"])),
        deployment("reports/viewer", container("viewer", "reports/viewer:0.21.0", port=3000, ready="/api/health"), replicas=1),
        service("reports/viewer", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=16, hours=4)
    stage.kubectl(
        "set",
        "image",
        "deployment/labels",
        "labels=registry.example.com/wholesale/labels:1.9.4",
        "-n",
        "wholesale",
    )
    stage.calm()
    stage.kubectl("create", "job", "--from=cronjob/weekly-figures", "weekly-figures-again", "-n", "reports")
    stage.calm()
    exporting = stage.now
    stage.wait(hours=3, minutes=21)
    step = container(
        "columns",
        "wholesale/basket:12.5.0",
        args=["migrate", "up"],
        env={"DATABASE_URL": database, "DB_PASSWORD": from_secret("main-db-login", "password")},
    )
    stage.apply([{
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "basket-columns-52", "namespace": "wholesale", "labels": {"app": "basket-columns"}},
        "spec": {"backoffLimit": 2, "template": {"metadata": {"labels": {"app": "basket-columns"}}, "spec": {"restartPolicy": "Never", "containers": [step]}}},
    }], manager="helm")  # fmt: skip
    stage.calm()
    asked = stage.now
    stage.wait(minutes=11)
    stage.heartbeat()

    front = "<%Y-%m-%d %H:%M:%S.%3> UTC"
    shop = "shop@wholesale/basket"
    query = "\n".join([
        f"{front} [<104240-104399>] {shop} LOG:  process <104240-104399> still waiting for AccessShareLock on relation 16734 of database 16391 after 1000.<100-299> ms",
        f"{front} [<104240-104399>] {shop} DETAIL:  Process holding the lock: {HOLDER}. Wait queue: {WAITER}, <104240-104299>, <104300-104399>.",
        f"{front} [<104240-104399>] {shop} STATEMENT:  {READ}",
    ])  # fmt: skip
    late = "\n".join(
        [
            f"{front} [<104240-104399>] {shop} ERROR:  canceling statement due to statement timeout",
            f"{front} [<104240-104399>] {shop} STATEMENT:  {READ}",
        ]
    )
    stage.log("wholesale/main-db", "\n".join([
        printed(exporting + timedelta(seconds=2), [
            f"{front} [{HOLDER}] figures@wholesale/[unknown] LOG:  connection authenticated: identity=\"figures\" method=scram-sha-256 (/var/lib/postgresql/data/pg_hba.conf:129)",
            f"{front} [{HOLDER}] figures@wholesale/[unknown] LOG:  connection authorized: user=figures database=wholesale application_name=weekly-figures",
        ]),
        printed(exporting + timedelta(minutes=4), [
            f"{front} [27] LOG:  checkpoint starting: time",
            f"{front} [27] LOG:  checkpoint complete: wrote <300-900> buffers (0.<2-6>%), wrote 1 SLRU buffers; 0 WAL file(s) added, 0 removed, 1 recycled; write=<60-89>.1<10-99> s, sync=0.0<10-30> s, total=<89-90>.2<10-99> s",
        ] * 19, every_s=300),
        printed(asked + timedelta(seconds=1), ["\n".join([
            f"{front} [{WAITER}] shop@wholesale/migrate LOG:  process {WAITER} still waiting for AccessExclusiveLock on relation 16734 of database 16391 after 1000.118 ms",
            f"{front} [{WAITER}] shop@wholesale/migrate DETAIL:  Process holding the lock: {HOLDER}. Wait queue: {WAITER}.",
            f"{front} [{WAITER}] shop@wholesale/migrate STATEMENT:  {TABLE}",
        ])]),
        printed(asked + timedelta(seconds=4), [query, query, query, late, query, late] * 8, every_s=13),
    ]))  # fmt: skip
    stage.log("reports/weekly-figures", printed(exporting + timedelta(seconds=2), [
        "<%Y-%m-%d %H:%M:%S,%3> INFO figures: transaction begun isolation=repeatable-read application_name=weekly-figures",
        "<%Y-%m-%d %H:%M:%S,%3> INFO figures: table baskets done rows=8204117",
        *["<%Y-%m-%d %H:%M:%S,%3> INFO figures: table basket_lines rows so far=<10000000-69999999>"] * 18,
    ], every_s=640))  # fmt: skip
    chatter(stage, "wholesale/basket-", [
        '{"level":"error","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"read basket","basket":<400000-499999>,"elapsed_ms":1500<0-9>,"error":"ERROR: canceling statement due to statement timeout (SQLSTATE 57014)"}',
        '{"level":"error","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"request","method":"GET","path":"/baskets/<400000-499999>","status":503,"elapsed_ms":1500<0-9>}',
        '{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"request","method":"GET","path":"/healthz","status":200,"elapsed_ms":0}',
    ], count=40, minutes=10)  # fmt: skip
    for pod in stage.pods("wholesale/basket-columns"):
        # `chatter` gave it the service's lines, as its name begins alike.
        stage.log(f"wholesale/{pod['metadata']['name']}", printed(asked, [
            "<%Y/%m/%d %H:%M:%S> migrate: schema at version 51, 1 step to apply",
            f"<%Y/%m/%d %H:%M:%S> migrate: 52_basket_lines_gift_note.up.sql: {TABLE}",
        ]))  # fmt: skip
    chatter(stage, "wholesale/shopfront", [
        '{"level":50,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"GET","url":"/basket"},"res":{"statusCode":504},"err":{"type":"TimeoutError","message":"GET http://basket/baskets/<400000-499999>: no answer within 10000 ms"},"msg":"request errored"}',
        '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"GET","url":"/p/<1000-9999>"},"res":{"statusCode":200},"responseTime":<18-70>,"msg":"request completed"}',
        '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"GET","url":"/up"},"res":{"statusCode":200},"responseTime":1,"msg":"request completed"}',
    ], count=36, minutes=10)  # fmt: skip
    chatter(
        stage,
        "wholesale/prices",
        [
            '{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"request","method":"GET","path":"/prices","status":200,"elapsed_ms":<3-12>}'
        ],
    )
    chatter(stage, "wholesale/labels", ["[<%Y-%m-%d %H:%M:%S> +0000] INFO label printed id=<1000-9999>"])
    chatter(
        stage,
        "reports/viewer",
        [
            'logger=context t=<%Y-%m-%dT%H:%M:%S.%3>Z level=info msg="Request Completed" method=GET path=/api/ds/query status=200 duration=<10-80>ms'
        ],
    )
    _metrics(stage)
    stage.fire(minutes_ago=6)


def _metrics(stage: Stage) -> None:
    """Once a minute for an hour; the step asked eleven minutes ago."""
    before, since = 49, 11
    count = before + since
    here = {"namespace": "wholesale", "datname": "wholesale"}
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{namespace="wholesale",code=~"5.."}[2m])) / sum by (namespace, service) (rate(http_requests_total{namespace="wholesale"}[2m]))', [
        ({"namespace": "wholesale", "service": "shopfront"}, [*about(0.001, before, noise=0.8), 0.03, 0.14, *about(0.22, since - 2)]),
        ({"namespace": "wholesale", "service": "basket"}, [*about(0.001, before, noise=0.8), 0.21, 0.8, *about(0.97, since - 2, noise=0.02)]),
        ({"namespace": "wholesale", "service": "prices"}, about(0.0005, count, noise=0.9)),
    ])  # fmt: skip
    stage.metric("locks", "pg_locks_count", [
        ({**here, "mode": "accesssharelock"}, whole([*about(14, before, noise=0.4), *slope(30, 141, since)])),
        ({**here, "mode": "accessexclusivelock"}, [*([0.0] * before), *([1.0] * since)]),
    ])  # fmt: skip
    stage.metric("longest-transaction", "pg_stat_activity_max_tx_duration", [
        ({**here, "usename": "figures", "application_name": "weekly-figures", "state": "active"}, slope(12720 - 60 * count, 12720, count, noise=0)),
        ({**here, "usename": "shop", "application_name": "migrate", "state": "active"}, [*([0.0] * before), *slope(12, 660, since, noise=0)]),
        ({**here, "usename": "shop", "application_name": "basket", "state": "active"}, [*about(0.02, before, noise=0.9), *about(14.6, since, noise=0.02)]),
    ])  # fmt: skip
    usage = 'sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total{namespace="wholesale"}[5m]))'
    stage.metric("cpu", usage, [
        ({"namespace": "wholesale", "pod": "main-db-0", "container": "postgres"}, [*about(0.34, before), *about(0.09, since)]),
        *(({"namespace": "wholesale", "pod": pod["metadata"]["name"], "container": "basket"}, [*about(0.11, before), *about(0.05, since)])
          for pod in stage.pods("wholesale/basket-") if pod["metadata"]["labels"]["app"] == "basket"),
    ])  # fmt: skip
