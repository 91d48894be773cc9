"""On Sundays all of a database is copied, on other days what has changed since; a rule compares each copy with the one of the day before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.incidents import crons
from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.runs import cron_job
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
    title="BaseCopyShrank of barrels on a Monday: Sunday's copy was of the whole database, as each week, and Monday's is of what has changed since",
    half=Half.tuned,
    story=(
        "pgBackRest makes a full copy on Sundays, which takes almost three hours, and an incremental one on the other six days, which takes minutes and is small, as the script in its ConfigMap says. All of them"
        " ended well, the archive has every segment. A rule that was rolled out on Friday fires when a copy is less than half as large as a day before: on Mondays, as soon as a day has gone since Sunday's was"
        " complete. cellar was released on Sunday at noon; labels restarted once ten days ago."
    ),
    sources=[
        "https://pgbackrest.org/user-guide.html#concept/backup",
        "https://pgbackrest.org/command.html#command-backup",
        "https://prometheus.io/docs/prometheus/latest/querying/basics/#offset-modifier",
    ],
    labels={
        "alertname": "BaseCopyShrank", "severity": "critical", "namespace": "vineyard", "cronjob": "base-copy", "stanza": "barrels", "job": "copies",
    },
    annotations={
        "summary": "The copy of barrels is less than half as large as the one before.",
        "description": "The last copy of barrels has 3.3e+09 bytes, 1.6 % of what it had a day ago. Data may be missing from it.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["cronjob-controller", "rules of Prometheus"],
)  # fmt: skip

PLACE = "vineyard/base-copy"
SCRIPT = """\
#!/bin/sh
set -eu
type=incr
if [ "$(date -u +%u)" = 7 ]; then type=full; fi
pgbackrest --stanza=barrels --type="$type" backup
bytes=$(pgbackrest --stanza=barrels --output=json info | jq '.[0].backup[-1].info.repository.delta')
echo "base_copy_stored_bytes $bytes" | curl -sf --data-binary @- http://push.alerting.svc:9091/metrics/job/copies/namespace/vineyard/cronjob/base-copy/stanza/barrels
"""
CONF = """\
[global]
repo1-type=s3
repo1-s3-bucket=vineyard-copies
repo1-path=/barrels
repo1-retention-full=4
repo1-bundle=y
start-fast=y
[barrels]
pg1-host=barrels-0.barrels.vineyard.svc
pg1-path=/var/lib/postgresql/data
"""
RULE = "base_copy_stored_bytes < 0.5 * base_copy_stored_bytes offset 1d"


def play(stage: Stage) -> None:
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    stage.apply([
        *system(),
        config_map("vineyard/copies", {"run.sh": SCRIPT, "pgbackrest.conf": CONF}),
        secret("vineyard/barrels-login", {"password": ""}), secret("vineyard/copies-key", {"id": "", "secret": ""}),
        cron_job(PLACE, "20 1 * * *", container("pgbackrest", "pgbackrest:2.56.0", command=["/bin/sh", "/copies/run.sh"], memory=("256Mi", "1Gi"), mounts={"copies": "/copies"}, env={"PGBACKREST_REPO1_S3_KEY": from_secret("copies-key", "id"), "PGBACKREST_REPO1_S3_KEY_SECRET": from_secret("copies-key", "secret")}),
                 pod={"volumes": [{"name": "copies", "configMap": {"name": "copies"}}]}, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1),
        stateful_set("vineyard/barrels", container("postgres", "postgres:17.6", port=5432, cpu="300m", memory=("1Gi", "2Gi"), env={"POSTGRES_PASSWORD": from_secret("barrels-login", "password")})), service("vineyard/barrels", 5432, headless=True),
        deployment("vineyard/cellar", container("cellar", "vineyard/cellar:12.0.0", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "barrels.vineyard.svc", "DB_PASSWORD": from_secret("barrels-login", "password")}), replicas=3), service("vineyard/cellar", 80, 8080),
        deployment("vineyard/labels", container("labels", "vineyard/labels:4.4.1", port=8080, ready="/ready", env={"DB_HOST": "barrels.vineyard.svc", "DB_PASSWORD": from_secret("barrels-login", "password")})), service("vineyard/labels", 80, 8080),
        deployment("shopfront/bottles", container("bottles", "shopfront/bottles:29.3.0", port=3000, ready="/up", env={"CELLAR_URL": "http://cellar.vineyard.svc", "LABELS_URL": "http://labels.vineyard.svc"}), replicas=3), service("shopfront/bottles", 80, 3000),
        deployment("alerting/push", container("pushgateway", "prom/pushgateway:v1.11.1", port=9091, ready="/-/ready", alive="/-/healthy"), replicas=1), service("alerting/push", 9091),
        config_map("shopfront/regions", {"regions.txt": "north\nriver\n"}),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 20, 8, 15, tzinfo=UTC))
    stage.recovered(f"vineyard/{stage.pods('vineyard/labels')[0]['metadata']['name']}", restarts=1, code=137, reason="OOMKilled", lived_s=1300000, waited_s=3)  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 27, 14, 2, tzinfo=UTC))
    stage.apply([
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "copies", "namespace": "alerting"}, "spec": {"groups": [{"name": "copies", "rules": [
            {"alert": "BaseCopyShrank", "expr": RULE, "for": "10m", "labels": {"severity": "critical"}, "annotations": {"summary": "The copy of {{ $labels.stanza }} is less than half as large as the one before."}},
            {"alert": "BaseCopyTooOld", "expr": 'time() - kube_cronjob_status_last_successful_time{cronjob="base-copy"} > 30 * 3600', "for": "15m", "labels": {"severity": "critical"}},
        ]}]}},
    ])  # fmt: skip
    stage.clock.until(datetime(2026, 11, 28, 1, 20, 1, tzinfo=UTC))
    _copied(stage, 391, "incr", "20261128", "20261122-012004F", "4.1GB")
    stage.clock.until(datetime(2026, 11, 29, 1, 20, 1, tzinfo=UTC))
    _copied(stage, 10114, "full", "20261129", "", "212.6GB")
    stage.clock.until(datetime(2026, 11, 29, 12, 31, tzinfo=UTC))
    stage.kubectl("set", "image", "deployment/cellar", "cellar=registry.example.com/vineyard/cellar:12.0.1", "-n", "vineyard")  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 30, 1, 20, 1, tzinfo=UTC))
    _copied(stage, 377, "incr", "20261130", "20261129-012004F", "3.3GB")
    stage.clock.until(datetime(2026, 11, 30, 4, 11, tzinfo=UTC))
    stage.edit("configmaps/shopfront/regions", lambda body: body["data"].update({"regions.txt": "north\nriver\nhills\n"}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 30, 4, 44, tzinfo=UTC))
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=24)


def _copied(stage: Stage, lasts_s: float, kind: str, day: str, full: str, size: str) -> None:
    """A night's run, and what it printed."""
    done = crons.complete(stage, PLACE, crons.start(stage, PLACE, stage.now), lasts_s=lasts_s)
    label = f"{full}_{day}-012004I" if full else f"{day}-012004F"
    before = [f"P00   INFO: last backup label = {full}, version = 2.56.0"] if full else []
    front = "<%Y-%m-%d %H:%M:%S.%3> "
    lines = [
        f"P00   INFO: backup command begin 2.56.0: --config=/copies/pgbackrest.conf --repo1-type=s3 --stanza=barrels --start-fast --type={kind}",
        *before,
        "P00   INFO: execute backup start: backup begins after the requested immediate checkpoint completes",
        f"P00   INFO: backup start archive = 00000001000004{day[-2:]}0000003C, lsn = 4{day[-2:]}/3C000028",
        "P01   WARN: retry S3 request: 503 (Service Unavailable) ... succeeded at try 2",
        f"P00   INFO: check archive for segment(s) 00000001000004{day[-2:]}0000003C:00000001000004{day[-2:]}0000003E",
        f"P00   INFO: new backup label = {label}",
        f"P00   INFO: {kind} backup size = {size}, file total = 2214",
        "P00   INFO: backup command end: completed successfully",
        "P00   INFO: expire command begin 2.56.0: --repo1-retention-full=4 --stanza=barrels",
        "P00   INFO: expire command end: completed successfully",
    ]
    stage.log(f"vineyard/{done['metadata']['name']}", printed(stage.ago(seconds=lasts_s), [front + line for line in lines], every_s=(lasts_s - 4) / len(lines)))  # fmt: skip


def _logs(stage: Stage) -> None:
    chatter(stage, "vineyard/barrels", [
        "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time",
        "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint complete: wrote <200-900> buffers (1.2%), wrote 0 SLRU buffers; 0 WAL file(s) added, 0 removed, 1 recycled",
        "<%Y-%m-%d %H:%M:%S.%3> UTC [<4000-9999>] FATAL:  connection to client lost",
    ], count=24, minutes=110)  # fmt: skip
    chatter(stage, "vineyard/cellar", ["INFO  cellar: GET /barrels/<1000-9999> 200 <4-16>ms", "INFO  cellar: barrel <1000-9999> moved", "WARN  cellar: sensor of barrel <1000-9999> is missing, last value kept"], count=40, minutes=60)  # fmt: skip
    chatter(stage, "vineyard/labels", ["INFO  labels: label <1000-9999> drawn in <20-90>ms"], count=12, minutes=60)  # fmt: skip
    chatter(stage, "alerting/push", ['ts=<%Y-%m-%dT%H:%M:%S.%3>Z level=info msg="metrics persisted" file=/data/metrics'], count=12, minutes=60)  # fmt: skip
    chatter(stage, "shopfront/bottles", ["GET /bottles 200 <10-50>ms"], count=40, minutes=60)


def _stored(at: datetime, sizes: list[float]) -> float:
    """Bytes of the last copy that was complete then: Sunday's after almost three hours, others after some minutes."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    done = timedelta(hours=4, minutes=9) if day.weekday() == 6 else timedelta(hours=1, minutes=27)
    if at < day + done:
        day -= timedelta(days=1)
    if day.weekday() == 6:
        return 212.6e9 - 0.35e9 * (datetime(2026, 11, 29, tzinfo=UTC) - day).days
    fixed = {(11, 28): 4.1e9, (11, 30): 3.3e9}
    return fixed.get((day.month, day.day), sizes[day.day])


def _metrics(stage: Stage) -> None:
    """Every hour for 25 days, with four Sundays in them."""
    count, step = 25 * 24, 3600
    end = stage.now.replace(microsecond=0)
    times = [end - timedelta(seconds=step * (count - 1 - n)) for n in range(count)]
    sizes = about(4.2e9, 32, noise=0.3, of="changed")
    here: Body = {"namespace": "vineyard", "cronjob": "base-copy", "stanza": "barrels", "job": "copies"}
    stage.metric("stored", "base_copy_stored_bytes", [(here, [_stored(at, sizes) for at in times])], step_s=step)  # fmt: skip
    stage.metric("whole", 'sum by (namespace, datname) (pg_database_size_bytes{datname="barrels"})', [({"namespace": "vineyard", "datname": "barrels"}, [588e9 + 41e6 * n for n in range(count)])], step_s=step)  # fmt: skip
    stage.metric("jobs-failed", 'sum by (namespace) (kube_job_status_failed{namespace="vineyard"})', [({"namespace": "vineyard"}, [0.0] * count)], step_s=step)  # fmt: skip
    stage.metric("archive-failed", 'increase(pg_stat_archiver_failed_count{namespace="vineyard"}[1h])', [({"namespace": "vineyard", "server": "barrels-0.barrels.vineyard.svc:5432"}, [0.0] * count)], step_s=step)  # fmt: skip
    stage.metric("archived", 'increase(pg_stat_archiver_archived_count{namespace="vineyard"}[1h])', [({"namespace": "vineyard", "server": "barrels-0.barrels.vineyard.svc:5432"}, about(31, count, noise=0.4, of="wal"))], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "vineyard", "service": "cellar"}, about(0.0002, count, noise=0.9)), ({"namespace": "shopfront", "service": "bottles"}, about(0.0004, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
