"""A loader's schedule was bound to another time zone on Friday; on Monday the settlement runs before it and finds no rates."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.incidents import crons
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.runs import cron_job
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import (
    container,
    deployment,
    from_secret,
    secret,
    service,
    stateful_set,
    system,
)

FRIDAY, MONDAY = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)
RUN = crons.job_name("settle", MONDAY.replace(hour=17, minute=30))

INCIDENT = Incident(
    title="closing-load runs by New York's clock since Friday evening, five hours after the settlement that needs its rates",
    half=Half.tuned,
    story=(
        "closing-load fills closing_rates at 17:00, settle reads it at 17:30, both in UTC. On Friday evening somebody sets closing-load's time"
        " zone to America/New_York, which moves it to 22:00 UTC. On Monday settle finds no rows for the day and fails. settle itself got a new image"
        " on Monday morning, and a role of its database was renewed at noon; both are harmless."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#time-zones",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubejobfailed/",
    ],
    labels={
        "alertname": "KubeJobFailed",
        "condition": "true",
        "container": "kube-rbac-proxy-main",
        "instance": "10.244.2.9:8443",
        "job": "kube-state-metrics",
        "job_name": RUN,
        "namespace": "treasury",
        "severity": "warning",
    },
    annotations={"summary": "Job failed to complete.", "description": f"Job treasury/{RUN} failed to complete. Removing failed job after investigation should clear this alert."},
    causes=["CronJob/rates/closing-load"],
    says=[["timeZone", "time zone"], ["New_York"]],
    innocent=["CronJob/treasury/settle", f"Job/treasury/{RUN}", "StatefulSet/rates/rates-db"],
    traits=frozenset({Trait.innocent}),
    authored=["cronjob-controller"],
)  # fmt: skip

LOADED = [
    "<%Y-%m-%d %H:%M:%S,%3> INFO load: source sftp://files.exchange.example/closing/<%Y%m%d>.csv",
    "<%Y-%m-%d %H:%M:%S,%3> INFO load: 171 rows into closing_rates for <%Y-%m-%d>",
]
SETTLED = [
    "<%Y-%m-%d %H:%M:%S,%3> INFO settle: business date <%Y-%m-%d>",
    "<%Y-%m-%d %H:%M:%S,%3> INFO settle: 48210 positions settled with 171 rates of <%Y-%m-%d>",
]
MISSED = "\n".join([
    "2026-11-23 17:30:04,118 INFO settle: business date 2026-11-23",
    "2026-11-23 17:30:04,730 INFO settle: 47902 positions open",
    "2026-11-23 17:30:05,204 WARNING settle: closing_rates has no rows for 2026-11-23, newest are of 2026-11-20",
    "2026-11-23 17:40:05,911 ERROR settle: closing_rates has no rows for 2026-11-23, newest are of 2026-11-20; waited 600 s",
    "Traceback (most recent call last):",
    '  File "/app/settle/__main__.py", line 88, in main',
    "    rates = closing_rates(db, date)",
    "settle.errors.NoRates: 2026-11-23",
])  # fmt: skip


def _until(stage: Stage, moment: datetime) -> None:
    stage.wait(seconds=(moment - stage.now).total_seconds())


def play(stage: Stage) -> None:
    database = "postgresql://rates-db.rates.svc:5432/rates"
    login: Body = {"DATABASE_URL": database, "PGPASSWORD": from_secret("rates-db-login", "password")}
    load = cron_job(
        "rates/closing-load",
        "0 17 * * 1-5",
        container(
            "load",
            "rates/load:1.12.0",
            env={**login, "SOURCE": "sftp://files.exchange.example/closing", "TABLE": "closing_rates"},
        ),
    )
    fixing = cron_job(
        "rates/fixing-load",
        "15 11 * * 1-5",
        container(
            "load",
            "rates/load:1.12.0",
            env={**login, "SOURCE": "sftp://files.exchange.example/fixing", "TABLE": "fixing_rates"},
        ),
    )
    settle = cron_job(
        "treasury/settle",
        "30 17 * * 1-5",
        container(
            "settle",
            "treasury/settle:5.7.1",
            env={**login, "LEDGER_URL": "http://ledger", "RATES_TABLE": "closing_rates"},
            memory=("512Mi", "1Gi"),
        ),
    )
    settle["spec"]["jobTemplate"]["spec"]["backoffLimit"] = 0
    stage.apply(system())
    stage.apply([
        *(secret(f"{namespace}/rates-db-login", {"password": "v5-pale-birch"}) for namespace in ("rates", "treasury")),
        stateful_set("rates/rates-db", container("postgres", "postgres:17.6", port=5432, cpu="300m", memory=("1Gi", "2Gi"))),
        service("rates/rates-db", 5432, headless=True),
        load, fixing, settle,
        deployment("rates/quotes", container("quotes", "rates/quotes:3.3.8", port=8080, ready="/ready", env=login)),
        service("rates/quotes", 80, 8080),
        deployment("treasury/ledger", container("ledger", "treasury/ledger:10.2.0", port=8080, ready="/ready", alive="/alive"), replicas=3),
        service("treasury/ledger", 80, 8080),
        deployment("treasury/limits", container("limits", "treasury/limits:2.0.6", port=8080, ready="/ready", env={"QUOTES_URL": "http://quotes.rates"})),
        service("treasury/limits", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    _until(stage, FRIDAY.replace(hour=17))
    first = crons.start(stage, "rates/closing-load", FRIDAY.replace(hour=17))
    pod = crons.complete(stage, "rates/closing-load", first, lasts_s=41)
    stage.log(f"rates/{pod['metadata']['name']}", printed(stage.ago(seconds=40), LOADED, every_s=36))
    _until(stage, FRIDAY.replace(hour=17, minute=30))
    second = crons.start(stage, "treasury/settle", FRIDAY.replace(hour=17, minute=30))
    pod = crons.complete(stage, "treasury/settle", second, lasts_s=600)
    stage.log(f"treasury/{pod['metadata']['name']}", printed(stage.ago(minutes=10), SETTLED, every_s=590))
    _until(stage, FRIDAY.replace(hour=18, minute=44))
    stage.kubectl(
        "patch",
        "cronjob",
        "closing-load",
        "-n",
        "rates",
        "--type=merge",
        "-p",
        '{"spec":{"timeZone":"America/New_York"}}',
    )

    _until(stage, MONDAY.replace(hour=8, minute=50))
    stage.kubectl(
        "set",
        "image",
        "cronjob/settle",
        "settle=registry.example.com/treasury/settle:5.7.2",
        "-n",
        "treasury",
    )
    _until(stage, MONDAY.replace(hour=11, minute=15))
    third = crons.start(stage, "rates/fixing-load", MONDAY.replace(hour=11, minute=15))
    pod = crons.complete(stage, "rates/fixing-load", third, lasts_s=30)
    stage.log(
        f"rates/{pod['metadata']['name']}",
        printed(stage.ago(seconds=30), [line.replace("closing", "fixing") for line in LOADED], every_s=25),
    )
    _until(stage, MONDAY.replace(hour=12, minute=5))

    def role(body: Body) -> None:
        body["metadata"].setdefault("annotations", {})["example.com/role-valid-until"] = "2027-05-23"

    stage.edit("statefulsets/rates/rates-db", role)
    stage.calm()
    _until(stage, MONDAY.replace(hour=17, minute=30))
    last = crons.start(stage, "treasury/settle", MONDAY.replace(hour=17, minute=30))
    crons.fail(stage, "treasury/settle", last, log=MISSED, lasts_s=603)
    stage.wait(minutes=14)
    stage.heartbeat()
    chatter(stage, "rates/quotes", ["[<%Y-%m-%d %H:%M:%S> +0000] INFO quote EUR/USD 1.<1000-1999>"])
    chatter(
        stage,
        "treasury/ledger",
        ["INFO  ledger.http POST /entries 201 <8-30>ms", "INFO  ledger.http GET /balances 200 <4-12>ms"],
    )
    chatter(stage, "treasury/limits", ['level=info msg="limit checked" used=<10-90>%'])
    chatter(stage, "rates/rates-db-0", [
        "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time",
        "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint complete: wrote <20-90> buffers (0.<1-4>%); 0 WAL file(s) added, 0 removed, 0 recycled",
    ], count=8, minutes=40)  # fmt: skip
    stage.fire(minutes_ago=12)
