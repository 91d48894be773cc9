"""A database's standby took over after a node lost its network; answers were slow for nine minutes, and an hour's quantile remembers."""

from __future__ import annotations

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="Readings were slow for nine minutes while their store compacted after a restart; the hour's quantile and the hour's share still fire",
    half=Half.tuned,
    story=(
        "The store was restarted for a certificate and compacted its files for nine minutes, in which readings took seconds and some timed out. Since half an"
        " hour they are as fast as ever; the rule looks at one hour. A release of labels half an hour before is unrelated."
    ),
    sources=[
        "https://prometheus.io/docs/practices/histograms/#quantiles",
        "https://sre.google/workbook/alerting-on-slos/",
    ],
    labels={"alertname": "ReadingsSlow", "namespace": "water", "service": "readings", "severity": "warning"},
    annotations={"summary": "The 95th percentile of readings over one hour is above 1 s."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip

BEFORE, SLOW, SINCE = 60, 9, 31


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        stateful_set("water/store", container("scylla", "scylladb/scylla:2025.3", port=9042, memory=("2Gi", "4Gi"), cpu="500m")),
        service("water/store", 9042, headless=True),
        deployment("water/readings", container("readings", "water/readings:10.2.0", port=8080, ready="/ready", env={"STORE": "store.water.svc:9042", "LABELS_URL": "http://labels"}), replicas=3),
        service("water/readings", 80, 8080),
        deployment("water/labels", container("labels", "water/labels:2.0.0", port=8080, ready="/ready")),
        service("water/labels", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=18, hours=3)
    stage.kubectl(
        "set", "image", "deployment/labels", "labels=registry.example.com/water/labels:2.0.1", "-n", "water"
    )
    stage.calm()
    stage.wait(minutes=31)
    stage.restart("statefulsets/water/store")
    stage.calm()
    began = stage.now
    stage.wait(minutes=SLOW + SINCE)
    stage.heartbeat()
    for pod in stage.pods("water/readings"):
        stage.log(f"water/{pod['metadata']['name']}", "\n".join([
            printed(began, [
                '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"WARN","msg":"slow query","store":"store.water.svc:9042","ms":<1900-4900>}',
                '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"ERROR","msg":"query","store":"store.water.svc:9042","err":"gocql: no response received from cassandra within timeout period"}',
            ] * 5, every_s=52),
            printed(stage.ago(minutes=SINCE - 1), ['{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"INFO","msg":"read","rows":<10-900>,"ms":<9-40>}'] * 30, every_s=58),
        ]))  # fmt: skip
    stage.log("water/store-0", printed(began, [
        "INFO  <%Y-%m-%d %H:%M:%S,%3> [shard 0:comp] compaction - [Compact water.points <%H%M%S>] Compacting of <4-9> sstables interactively",
        "INFO  <%Y-%m-%d %H:%M:%S,%3> [shard 0:comp] compaction - [Compact water.points <%H%M%S>] Compacted. <2-4>GB to <1-2>GB",
    ] * 4, every_s=66))  # fmt: skip
    chatter(stage, "water/labels", ["INFO labels: GET /labels 200 <1-6>ms"])
    of = {"namespace": "water", "service": "readings"}
    stage.metric("p95", 'histogram_quantile(0.95, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket[5m])))', [
        (of, [*about(0.05, BEFORE, noise=0.1), *about(3.4, SLOW, noise=0.1), *about(0.05, SINCE, noise=0.1)]),
    ])  # fmt: skip
    stage.metric("p95-of-the-hour", 'histogram_quantile(0.95, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket[1h])))', [
        (of, [*about(0.05, BEFORE, noise=0.05), *slope(0.4, 2.9, SLOW), *about(2.9, SINCE, noise=0.01)]),
    ])  # fmt: skip
    stage.metric("failed-of-the-hour", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[1h])) / sum by (namespace, service) (rate(http_requests_total[1h]))', [
        (of, [*about(0.0003, BEFORE, noise=0.5), *slope(0.004, 0.061, SLOW), *about(0.061, SINCE, noise=0.02)]),
    ])  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        (of, [*about(0.0003, BEFORE, noise=0.5), *about(0.35, SLOW, noise=0.1), *about(0.0003, SINCE, noise=0.5)]),
    ])  # fmt: skip
    stage.fire(minutes_ago=SINCE + 2)
