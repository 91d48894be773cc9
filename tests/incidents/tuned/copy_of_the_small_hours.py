"""A dump stops the applier of the replica that exists for dumps, each night for an hour; a rule calls that broken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.incidents import crons
from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.runs import cron_job
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="MySQLReplicationNotRunning of stays-copy, whose applier is stopped by mysqldump --dump-replica from ten past two to three, as each night",
    half=Half.tuned,
    story=(
        "stays-copy is the replica that is dumped; nobody reads from it. mysqldump --dump-replica stops its SQL thread before and starts it after, so the thread stands for 50 minutes a night while the"
        " receiver goes on; a quarter of an hour later all is applied. search reads from stays-read, which follows as ever. The mixin's rules were loaded yesterday noon, so it is the first night that"
        " somebody is called. Tonight's dump is at three fifths and as fast as the last ones."
    ),
    sources=[
        "https://dev.mysql.com/doc/refman/8.0/en/mysqldump.html#option_mysqldump_dump-replica",
        "https://dev.mysql.com/doc/refman/8.0/en/replication-administration-pausing.html",
        "https://github.com/prometheus/mysqld_exporter/blob/main/mysqld-mixin/alerts/general.yaml",
    ],
    labels={
        "alertname": "MySQLReplicationNotRunning",
        "severity": "critical",
        "namespace": "hostel",
        "job": "mysqld-exporter",
        "instance": "stays-copy.hostel.svc:3306",
        "master_host": "stays.hostel.svc",
    },
    annotations={
        "summary": "Replication is not running.",
        "description": "Replication on stays-copy.hostel.svc:3306 (IO thread or SQL thread) has been down for more than 2 minutes.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["cronjob-controller"],
)

RULES = """\
groups:
- name: GaleraAlerts
  rules:
  - alert: MySQLGaleraNotReady
    expr: mysql_global_status_wsrep_ready != 1
    for: 5m
"""

MORE = """\
- name: MySQLReplicationAlerts
  rules:
  - alert: MySQLReplicationNotRunning
    expr: mysql_slave_status_slave_io_running == 0 or mysql_slave_status_slave_sql_running == 0
    for: 2m
    labels:
      severity: critical
"""

TABLES = (
    "beds",
    "bookings",
    "bookings_history",
    "guests",
    "houses",
    "invoices",
    "invoice_lines",
    "keys",
    "meals",
)


def play(stage: Stage) -> None:
    dump = container("dump", "hostel/mysqldump:8.0.44", cpu="500m", memory=("256Mi", "512Mi"), command=["/bin/sh", "-c"], args=[
        "mysqldump --verbose --host=stays-copy.hostel.svc --single-transaction --dump-replica=2 --databases stays | zstd | rclone rcat cold:hostel-dumps/stays-$(date +%F).sql.zst",
    ])  # fmt: skip
    # One exporter answers for all three servers, as its multi-target mode does.
    stage.apply([
        *system(),
        stateful_set("hostel/stays", container("mysql", "mysql:8.0.44", port=3306, cpu="500m", memory=("1Gi", "2Gi"))), service("hostel/stays", 3306, headless=True),
        stateful_set("hostel/stays-read", container("mysql", "mysql:8.0.44", port=3306, cpu="500m", memory=("1Gi", "2Gi"), args=["--read-only=ON", "--server-id=2"])), service("hostel/stays-read", 3306, headless=True),
        stateful_set("hostel/stays-copy", container("mysql", "mysql:8.0.44", port=3306, cpu="300m", memory=("1Gi", "2Gi"), args=["--read-only=ON", "--server-id=3", "--log-error-verbosity=3"])), service("hostel/stays-copy", 3306, headless=True),
        deployment("hostel/mysqld-exporter", container("exporter", "prom/mysqld-exporter:v0.17.2", port=9104, ready="/", memory=("32Mi", "64Mi")), replicas=1), service("hostel/mysqld-exporter", 9104),
        cron_job("hostel/dump", "10 2 * * *", dump, successfulJobsHistoryLimit=1),
        deployment("hostel/reserve", container("reserve", "hostel/reserve:12.2.0", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "stays.hostel.svc"})), service("hostel/reserve", 80, 8080),
        deployment("hostel/search", container("search", "hostel/search:9.4.1", port=8080, ready="/ready", env={"DB_HOST": "stays-read.hostel.svc"}), replicas=3), service("hostel/search", 80, 8080),
        config_map("hostel/seasons", {"seasons.yaml": "high: [06-15, 09-15]\nwinter: [12-18, 01-06]\n"}),
        config_map("alerting/mysql-rules", {"mysql.yaml": RULES}),
        deployment("web/beds", container("beds", "web/beds:27.0.3", port=3000, ready="/up", env={"RESERVE_URL": "http://reserve.hostel.svc", "SEARCH_URL": "http://search.hostel.svc"}), replicas=3), service("web/beds", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 18, 2, 10, 1, tzinfo=UTC))
    crons.complete(stage, "hostel/dump", crons.start(stage, "hostel/dump", stage.now), lasts_s=3010)
    stage.wait(hours=9, minutes=12)
    stage.edit("configmaps/alerting/mysql-rules", lambda body: body["data"].update({"mysql.yaml": RULES + MORE}))  # fmt: skip
    stage.wait(hours=3)
    stage.kubectl("set", "image", "deployment/reserve", "reserve=registry.example.com/hostel/reserve:12.2.1", "-n", "hostel")  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 19, 1, 26, tzinfo=UTC))
    stage.edit("configmaps/hostel/seasons", lambda body: body["data"].update({"seasons.yaml": "high: [06-15, 09-15]\nwinter: [12-17, 01-06]\n"}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 19, 2, 10, 1, tzinfo=UTC))
    job = crons.start(stage, "hostel/dump", stage.now)
    stage.calm()
    began = stage.now
    stage.wait(minutes=31)
    stage.heartbeat()
    _logs(stage, job, began)
    _metrics(stage)
    stage.fire(minutes_ago=28)


def _logs(stage: Stage, job: str, began: datetime) -> None:
    stage.log(f"hostel/{job}", printed(began, [
        "-- Connecting to stays-copy.hostel.svc...",
        *(f"{words} {table}..." if words.endswith("table") else words for table in TABLES[:5] for words in (
            "-- Retrieving table structure for table", "-- Sending SELECT query...", "-- Retrieving rows...")),
    ], every_s=108))  # fmt: skip
    stage.log("hostel/stays-copy", printed(began + timedelta(seconds=1), [
        "<%Y-%m-%dT%H:%M:%S.%3>412Z 18 [Note] [MY-010596] [Repl] Error reading relay log event for channel '': replica SQL thread was killed",
        "<%Y-%m-%dT%H:%M:%S.%3>590Z 18 [Note] [MY-010587] [Repl] Replica SQL thread for channel '' exiting, replication stopped in log 'binlog.004187' at position 71820931",
    ]) + "\n" + printed(stage.ago(minutes=22), [
        "<%Y-%m-%dT%H:%M:%S.%3>108Z <100-900> [Note] [MY-010914] [Server] Aborted connection <100-900> to db: 'unconnected' user: 'probe' host: '10.244.0.1' (Got an error reading communication packets).",
    ] * 3, every_s=400))  # fmt: skip
    for name in ("stays-read-0", "stays-0"):
        stage.log(f"hostel/{name}", printed(stage.ago(minutes=41), [
            "<%Y-%m-%dT%H:%M:%S.%3>331Z <100-900> [Note] [MY-010914] [Server] Aborted connection <100-900> to db: 'stays' user: 'search' host: '10.244.1.9' (Got timeout reading communication packets).",
        ] * 4, every_s=580))  # fmt: skip
    chatter(stage, "hostel/mysqld-exporter", ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=WARN source=exporter.go:171 msg="Failed to query version, some collectors may be skipped" target=stays.hostel.svc:3306'], count=1, minutes=50)  # fmt: skip
    chatter(stage, "hostel/reserve", ["INFO  reserve: POST /stays 201 <20-60>ms", "INFO  reserve: GET /stays/<10000-99999> 200 <5-15>ms"], minutes=60)  # fmt: skip
    chatter(stage, "hostel/search", ["INFO  search: GET /free?house=<1-40> 200 <15-40>ms", "WARN  search: house <1-40> has no picture"], minutes=60)  # fmt: skip
    chatter(stage, "web/beds", ["GET /houses/<1-40> 200 <30-80>ms", "POST /stay 201 <50-120>ms"], minutes=60)


def _metrics(stage: Stage) -> None:
    """Every ten minutes for nine days; the last value is at twenty to three in the night."""
    count, step = 9 * 144, 600
    end = stage.now.replace(microsecond=0)
    minutes = [at.hour * 60 + at.minute for at in (end - timedelta(seconds=step * (count - 1 - n)) for n in range(count))]  # fmt: skip
    dumped = [130 <= minute < 180 for minute in minutes]
    here: Body = {"namespace": "hostel", "job": "mysqld-exporter", "master_host": "stays.hostel.svc"}
    copy, read = {**here, "instance": "stays-copy.hostel.svc:3306"}, {**here, "instance": "stays-read.hostel.svc:3306"}  # fmt: skip
    stage.metric("sql-running", "min by (namespace, job, instance, master_host) (mysql_slave_status_slave_sql_running)", [
        (copy, [0.0 if one else 1.0 for one in dumped]), (read, [1.0] * count),
    ], step_s=step)  # fmt: skip
    stage.metric("io-running", "min by (namespace, job, instance, master_host) (mysql_slave_status_slave_io_running)", [
        (copy, [1.0] * count), (read, [1.0] * count),
    ], step_s=step)  # fmt: skip
    # What the receiver has fetched and the applier has still to apply: 12 MB a minute in the night.
    waiting = [12e6 * (m - 130) if 130 <= m < 180 else 6e8 * (195 - m) / 15 if 180 <= m < 195 else 0 for m in minutes]  # fmt: skip
    stage.metric("relay-log", "max by (namespace, job, instance, master_host) (mysql_slave_status_relay_log_space)", [
        (copy, [rest + w for rest, w in zip(about(4.1e6, count, noise=0.4), waiting, strict=True)]),
        (read, about(4.4e6, count, noise=0.4)),
    ], step_s=step)  # fmt: skip
    stage.metric("behind", 'max by (namespace, job, instance, master_host) (mysql_slave_status_seconds_behind_master{instance="stays-read.hostel.svc:3306"})', [
        (read, [float(n % 7 == 3) for n in range(count)]),
    ], step_s=step)  # fmt: skip
    stage.metric("queries", "sum by (namespace, instance) (rate(mysql_global_status_commands_total{command=\"select\"}[5m]))", [
        ({"namespace": "hostel", "instance": "stays-copy.hostel.svc:3306"}, about(0.7, count, noise=0.1)),
        ({"namespace": "hostel", "instance": "stays-read.hostel.svc:3306"}, about(148, count, noise=0.3)),
    ], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "hostel", "service": "search"}, about(0.0002, count, noise=0.9)),
        ({"namespace": "hostel", "service": "reserve"}, about(0.0002, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
