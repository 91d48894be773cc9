"""A standby's lag is reckoned from its last transaction; at night nobody writes, so it grows with the clock."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from tests.incidents.curves import about, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="PostgreSQLReplicationLag of a standby that has all there is: its lag is told from its last transaction, and the counters closed six hours ago",
    half=Half.tuned,
    story=(
        "The exporter's query takes the time since the last transaction that the standby replayed. Entries are made from seven to six on weekdays, so each night and each weekend the value"
        " grows by a second a second, and is nought again with the first entry. The primary sees the standby stream without a byte left. The rule came with a chart two days ago and fires for"
        " the third night. extracts, which reads from the standby, was released in the afternoon; a fee was edited before."
    ),
    sources=[
        "https://github.com/prometheus-community/postgres_exporter/issues/385",
        "https://github.com/prometheus-community/postgres_exporter/pull/534",
        "https://www.postgresql.org/docs/17/functions-admin.html#FUNCTIONS-RECOVERY-CONTROL",
        "https://www.postgresql.org/docs/17/monitoring-stats.html#MONITORING-PG-STAT-REPLICATION-VIEW",
    ],
    labels={
        "alertname": "PostgreSQLReplicationLag",
        "severity": "critical",
        "namespace": "cadastre",
        "job": "exporter-standby",
        "service": "exporter-standby",
        "server": "deeds-standby.cadastre.svc:5432",
    },
    annotations={
        "summary": "Standby deeds-standby.cadastre.svc:5432 lags by more than six hours.",
        "description": "pg_replication_lag is 21914 seconds.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["prometheus-operator objects"],
)

QUERIES = """\
pg_replication:
  query: "SELECT CASE WHEN NOT pg_is_in_recovery() THEN 0 ELSE GREATEST(0, EXTRACT(EPOCH FROM (now() - pg_last_xact_replay_timestamp()))) END AS lag"
  master: true
  metrics:
    - lag:
        usage: "GAUGE"
        description: "Seconds since the last replayed transaction"
"""

HOURS = "Mon-Fri 07:00-18:00"


def play(stage: Stage) -> None:
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    queries = {"volumes": [{"name": "queries", "configMap": {"name": "exporter-queries"}}]}
    stage.apply([
        *system(),
        stateful_set("cadastre/deeds-primary", container("postgres", "postgres:17.6", port=5432, cpu="500m", memory=("1Gi", "2Gi"), args=["-c", "wal_level=replica", "-c", "max_wal_senders=5"])), service("cadastre/deeds-primary", 5432, headless=True),
        stateful_set("cadastre/deeds-standby", container("postgres", "postgres:17.6", port=5432, cpu="500m", memory=("1Gi", "2Gi"), args=["-c", "hot_standby=on", "-c", "primary_conninfo=host=deeds-primary.cadastre.svc user=replicator application_name=deeds-standby"])), service("cadastre/deeds-standby", 5432, headless=True),
        config_map("cadastre/exporter-queries", {"queries.yaml": QUERIES}),
        *(item for role in ("primary", "standby") for item in (
            deployment(f"cadastre/exporter-{role}", container("exporter", "prom/postgres-exporter:v0.15.0", port=9187, ready="/", memory=("32Mi", "64Mi"), mounts={"queries": "/etc/exporter"},
                                                              args=["--extend.query-path=/etc/exporter/queries.yaml"], env={"DATA_SOURCE_URI": f"deeds-{role}.cadastre.svc:5432/deeds?sslmode=disable"}), replicas=1, pod=queries),
            service(f"cadastre/exporter-{role}", 9187))),
        config_map("cadastre/fees", {"fees.csv": "extract,18.00\nentry,64.00\n"}),
        deployment("cadastre/entries", container("entries", "cadastre/entries:7.3.0", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "deeds-primary.cadastre.svc", "COUNTER_HOURS": HOURS}, mounts={"fees": "/fees"}), pod={"volumes": [{"name": "fees", "configMap": {"name": "fees"}}]}), service("cadastre/entries", 80, 8080),
        deployment("cadastre/extracts", container("extracts", "cadastre/extracts:5.0.2", port=8080, ready="/ready", env={"DB_HOST": "deeds-standby.cadastre.svc"})), service("cadastre/extracts", 80, 8080),
        deployment("town/townhall", container("townhall", "town/townhall:31.4.0", port=3000, ready="/up", env={"EXTRACTS_URL": "http://extracts.cadastre.svc", "ENTRIES_URL": "http://entries.cadastre.svc"})), service("town/townhall", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 17, 9, 31, tzinfo=UTC))
    stage.recovered(f"cadastre/{stage.pods('cadastre/entries')[0]['metadata']['name']}", restarts=1, code=137, reason="OOMKilled", lived_s=1200000)  # fmt: skip
    stage.clock.until(datetime(2026, 11, 23, 13, 5, tzinfo=UTC))
    stage.apply([{
        "apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "postgres-alerts", "namespace": "monitoring"},
        "spec": {"groups": [{"name": "postgres", "rules": [
            {"alert": "PostgreSQLReplicationLag", "expr": "pg_replication_lag > 21600", "for": "5m", "labels": {"severity": "critical"}, "annotations": {"summary": "Standby {{ $labels.server }} lags by more than six hours."}},
            {"alert": "PostgreSQLMaxConnectionsReached", "expr": "sum by (server) (pg_stat_activity_count) > min by (server) (pg_settings_max_connections) * 0.9", "for": "5m", "labels": {"severity": "warning"}},
        ]}]},
    }], manager="helm")  # fmt: skip
    stage.clock.until(datetime(2026, 11, 25, 10, 48, tzinfo=UTC))
    stage.edit("configmaps/cadastre/fees", lambda body: body["data"].update({"fees.csv": "extract,19.50\nentry,64.00\n"}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 25, 15, 22, tzinfo=UTC))
    stage.kubectl("set", "image", "deployment/extracts", "extracts=registry.example.com/cadastre/extracts:5.1.0", "-n", "cadastre")  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 26, 0, 36, tzinfo=UTC))
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=19)


def _logs(stage: Stage) -> None:
    front = "<%Y-%m-%d %H:%M:%S.%3> UTC "
    closing = datetime(2026, 11, 25, 18, 14, 2, tzinfo=UTC)
    reset = front + "[<2000-9000>] LOG:  could not receive data from client: Connection reset by peer"
    stage.log("cadastre/deeds-primary", printed(closing, [
        front + "[27] LOG:  checkpoint starting: time",
        front + "[27] LOG:  checkpoint complete: wrote 61 buffers (0.4%); 0 WAL file(s) added, 0 removed, 0 recycled; write=6.121 s, sync=0.011 s, total=6.144 s",
    ], every_s=7) + "\n" + printed(stage.ago(minutes=190), [reset] * 4, every_s=2700))  # fmt: skip
    stage.log("cadastre/deeds-standby", printed(closing + timedelta(seconds=41), [
        front + "[29] LOG:  restartpoint starting: time",
        front + "[29] LOG:  restartpoint complete: wrote 58 buffers (0.4%); 0 WAL file(s) added, 0 removed, 0 recycled; write=5.803 s, sync=0.009 s, total=5.822 s",
        front + "[29] LOG:  recovery restart point at 5C/3E029AE8\n" + front + "[29] DETAIL:  Last completed transaction was at log time 2026-11-25 18:12:07.418+00.",
    ], every_s=6) + "\n" + printed(stage.ago(minutes=171), [reset] * 3, every_s=3000))  # fmt: skip
    chatter(stage, "cadastre/exporter-standby", ['ts=<%Y-%m-%dT%H:%M:%S.%3>Z caller=server.go:74 level=info msg="Established new database connection" fingerprint=deeds-standby.cadastre.svc:5432'], count=2, minutes=60)  # fmt: skip
    chatter(stage, "cadastre/exporter-primary", ['ts=<%Y-%m-%dT%H:%M:%S.%3>Z caller=server.go:74 level=info msg="Established new database connection" fingerprint=deeds-primary.cadastre.svc:5432'], count=2, minutes=60)  # fmt: skip
    for pod in stage.pods("cadastre/entries"):
        stage.log(f"cadastre/{pod['metadata']['name']}", printed(datetime(2026, 11, 25, 17, 58, tzinfo=UTC), [
            *["<%Y-%m-%d %H:%M:%S> INFO  entries: POST /entries 201 <30-80>ms"] * 6,
            f"<%Y-%m-%d %H:%M:%S> INFO  entries: counters are closed ({HOURS}), forms that are open may be finished",
            *["<%Y-%m-%d %H:%M:%S> INFO  entries: POST /entries 201 <30-80>ms"] * 4,
        ], every_s=79))  # fmt: skip
    chatter(stage, "cadastre/extracts", [
        "<%Y-%m-%d %H:%M:%S> INFO  extracts: GET /extracts/<10000-99999> 200 <20-60>ms",
        "<%Y-%m-%d %H:%M:%S> INFO  extracts: GET /parcels?street=<10-99> 200 <10-30>ms",
        "<%Y-%m-%d %H:%M:%S> WARN  extracts: parcel <10000-99999> has no drawing",
    ], count=12, minutes=60)  # fmt: skip
    chatter(stage, "town/townhall", ["GET /extracts 200 <30-90>ms"], count=12, minutes=60)


def _closed_for(at: datetime) -> float:
    """Seconds since the last entry; none while the counters are open."""
    if at.weekday() < 5 and time(7, 4) <= at.time() < time(18, 12):
        return 0
    last = at.replace(hour=18, minute=12, second=7)
    while last > at or last.weekday() > 4:
        last -= timedelta(days=1)
    return (at - last).total_seconds()


def _metrics(stage: Stage) -> None:
    """Every half an hour for nine days, with a weekend in them."""
    count, step = 9 * 48, 1800
    end = stage.now.replace(microsecond=0)
    closed = [_closed_for(end - timedelta(seconds=step * (count - 1 - n))) for n in range(count)]
    here: Body = {"namespace": "cadastre"}
    standby, primary = "deeds-standby.cadastre.svc:5432", "deeds-primary.cadastre.svc:5432"
    stage.metric("lag", 'max by (namespace, job, server) (pg_replication_lag{namespace="cadastre"})', [
        ({**here, "job": "exporter-standby", "server": standby}, [since or soon for since, soon in zip(closed, about(1.4, count, noise=0.9), strict=True)]),
        ({**here, "job": "exporter-primary", "server": primary}, [0.0] * count),
    ], step_s=step)  # fmt: skip
    stage.metric("bytes-behind", 'max by (namespace, server, application_name, state) (pg_stat_replication_pg_wal_lsn_diff{namespace="cadastre"})', [
        ({**here, "server": primary, "application_name": "deeds-standby", "state": "streaming"}, whole([0.0 if since else much for since, much in zip(closed, about(2100, count, noise=0.9), strict=True)])),
    ], step_s=step)  # fmt: skip
    stage.metric("inserted", 'sum by (namespace, server, datname) (rate(pg_stat_database_tup_inserted{namespace="cadastre",datname="deeds",server=~"deeds-primary.*"}[10m]))', [
        ({**here, "server": primary, "datname": "deeds"}, [0.0 if since else much for since, much in zip(closed, about(3.1, count, noise=0.3), strict=True)]),
    ], step_s=step)  # fmt: skip
    stage.metric("requests", 'sum by (namespace, service) (rate(http_requests_total{namespace="cadastre"}[5m]))', [
        ({**here, "service": "entries"}, [0.0 if since else much for since, much in zip(closed, about(0.9, count, noise=0.3), strict=True)]),
        ({**here, "service": "extracts"}, [0.3 * much if since else much for since, much in zip(closed, about(2.6, count, noise=0.2), strict=True)]),
    ], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{namespace="cadastre",code=~"5.."}[5m]))', [
        ({**here, "service": "entries"}, [0.0] * count),
        ({**here, "service": "extracts"}, [0.0] * count),
    ], step_s=step)  # fmt: skip
