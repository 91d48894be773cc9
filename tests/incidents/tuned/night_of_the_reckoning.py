"""A node works hard while the nightly reckoning runs, as in every night; it ends in time and nobody waits."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.incidents import crons
from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.runs import cron_job
from tests.incidents.stage import Stage
from tests.incidents.workloads import (
    container,
    daemon_set,
    deployment,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="NodeCPUHighUsage while the nightly reckoning runs on node-b from one to three, as in each of the last fourteen nights",
    half=Half.tuned,
    story=(
        "The reckoning of the day's trips takes all CPU it can get, between one and three in the night, and always did. What runs beside it has its requests and answers as fast"
        " as by day. node-exporter's rule of level info fires after fifteen minutes of more than 90 %, each night. Yesterday's release of fares is unrelated."
    ),
    sources=[
        "https://runbooks.prometheus-operator.dev/runbooks/node/nodecpuhighusage/",
        "https://github.com/prometheus/node_exporter/blob/master/docs/node-mixin/alerts/alerts.libsonnet",
        "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/",
    ],
    labels={
        "alertname": "NodeCPUHighUsage",
        "severity": "info",
        "instance": "node-b",
        "job": "node-exporter",
        "namespace": "monitoring",
        "container": "node-exporter",
        "endpoint": "http-metrics",
        "service": "node-exporter",
    },
    annotations={
        "summary": "High CPU usage.",
        "description": "CPU usage at node-b has been above 90% for the last 15 minutes, is currently at 96.20%.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["cronjob-controller"],
)


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        daemon_set("monitoring/node-exporter", container("node-exporter", "prom/node-exporter:v1.9.1", port=9100), pod={"tolerations": [{"operator": "Exists"}]}),
        service("monitoring/node-exporter", 9100, headless=True),
        cron_job("trips/reckoning", "0 1 * * *", container("reckoning", "trips/reckoning:5.9.0", cpu="1", memory=("2Gi", "4Gi"), env={"DB_HOST": "ledger.trips.svc"}),
                 pod={"nodeSelector": {"kubernetes.io/hostname": "node-b"}}, successfulJobsHistoryLimit=2),
        stateful_set("trips/ledger", container("postgres", "postgres:17.6", port=5432, cpu="500m", memory=("1Gi", "2Gi"))), service("trips/ledger", 5432, headless=True),
        deployment("trips/fares", container("fares", "trips/fares:3.1.4", port=8080, ready="/ready", cpu="200m", env={"DB_HOST": "ledger.trips.svc"}), replicas=3), service("trips/fares", 80, 8080),
        deployment("trips/routes", container("routes", "trips/routes:8.0.0", port=8080, ready="/ready", cpu="200m"), replicas=3), service("trips/routes", 80, 8080),
        deployment("web/app", container("app", "web/app:51.2.0", port=3000, ready="/up", env={"FARES_URL": "http://fares.trips.svc", "ROUTES_URL": "http://routes.trips.svc"}), replicas=3), service("web/app", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 24, 1, 0, 1, tzinfo=UTC))
    crons.complete(stage, "trips/reckoning", crons.start(stage, "trips/reckoning", stage.now), lasts_s=6890)
    stage.wait(hours=10)
    stage.kubectl("set", "image", "deployment/fares", "fares=registry.example.com/trips/fares:3.1.5", "-n", "trips")  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 25, 1, 0, 1, tzinfo=UTC))
    crons.start(stage, "trips/reckoning", stage.now)
    stage.calm()
    began = stage.now
    stage.wait(minutes=48)
    stage.heartbeat()
    running = next(p for p in stage.pods("trips/reckoning") if p["status"]["phase"] == "Running")
    stage.log(f"trips/{running['metadata']['name']}", printed(began, [
        "reckoning 5.9.0: 412908 trips of 2026-11-24", *["reckoning: <1000-9999> trips reckoned in the last minute"] * 46,
    ], every_s=61))  # fmt: skip
    chatter(
        stage, "trips/ledger", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: wal"], count=9
    )
    chatter(stage, "trips/fares", ["INFO fares: GET /fares 200 <5-18>ms"])
    chatter(stage, "trips/routes", ["INFO routes: GET /routes 200 <20-70>ms"])
    chatter(stage, "web/app", ['{"level":30,"req":{"method":"GET","url":"/journey"},"res":{"statusCode":200},"responseTime":<40-120>,"msg":"request completed"}'])  # fmt: skip
    _metrics(stage)
    stage.fire(minutes_ago=27)


def _metrics(stage: Stage) -> None:
    """Every half an hour for fourteen days; the last value is at a quarter to two in the night."""
    count, step = 14 * 48, 1800
    night = [(n - (count - 1)) % 48 in (47, 0, 1, 2) for n in range(count)]
    hard, easy = about(0.962, count, noise=0.01), about(0.31, count, noise=0.2)
    stage.metric("cpu", 'sum without (mode) (avg without (cpu) (rate(node_cpu_seconds_total{job="node-exporter",mode!~"idle|iowait"}[2m])))', [
        ({"instance": "node-b", "job": "node-exporter"}, [h if busy else e for busy, h, e in zip(night, hard, easy, strict=True)]),
        ({"instance": "node-a", "job": "node-exporter"}, about(0.28, count, noise=0.2)),
        ({"instance": "node-c", "job": "node-exporter"}, about(0.33, count, noise=0.2)),
    ], step_s=step)  # fmt: skip
    stage.metric("p99", 'histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket[5m])))', [
        ({"namespace": "trips", "service": "fares"}, about(0.019, count, noise=0.1)),
        ({"namespace": "trips", "service": "routes"}, about(0.073, count, noise=0.1)),
    ], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "trips", "service": "fares"}, about(0.0002, count, noise=0.9)),
        ({"namespace": "web", "service": "app"}, about(0.0003, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
