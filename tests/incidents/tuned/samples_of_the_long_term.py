"""The store of old samples was restarted for a new version; Prometheus kept what it could not send and has sent it since."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import (
    config_map,
    container,
    daemon_set,
    deployment,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="RemoteWriteRetried over an hour: the long-term store was away for eleven minutes at its upgrade, and Prometheus has caught up and lost nothing",
    half=Half.tuned,
    story=(
        "The store of the year's samples got version 1.128.0 and needed eleven minutes to open its index. Its gate answered 503 meanwhile, and Prometheus tried again and again, as it keeps two hours of what it has to send."
        " Six minutes after the store was back nothing waited any more, and no sample was dropped. The rule adds up the retries of a whole hour. A dashboard's ConfigMap was edited this morning."
    ),
    sources=[
        "https://prometheus.io/docs/practices/remote_write/",
        "https://runbooks.prometheus-operator.dev/runbooks/prometheus/prometheusremotewritebehind/",
        "https://docs.victoriametrics.com/victoriametrics/cluster-victoriametrics/",
    ],
    labels={
        "alertname": "RemoteWriteRetried", "severity": "critical", "namespace": "observing", "job": "prometheus", "instance": "prometheus-0", "remote_name": "year",
        "url": "http://gate.yearbook.svc:8480/insert/0/prometheus/api/v1/write",
    },
    annotations={"summary": "Prometheus had to send more than 10000 samples again to year within an hour."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["prometheus-operator objects"],
)  # fmt: skip

SETTINGS = """\
global: {scrape_interval: 30s, external_labels: {cluster: delta}}
remote_write:
- name: year
  url: http://gate.yearbook.svc:8480/insert/0/prometheus/api/v1/write
  queue_config: {max_shards: 20}
"""
EXPR = 'increase(prometheus_remote_storage_samples_retried_total{job="prometheus"}[1h]) > 10000'


def play(stage: Stage) -> None:
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    stage.apply([
        *system(),
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "sending", "namespace": "observing"}, "spec": {"groups": [{"name": "sending", "rules": [
            {"alert": "RemoteWriteRetried", "expr": EXPR, "for": "5m", "labels": {"severity": "critical"}, "annotations": {"summary": "Prometheus had to send more than 10000 samples again to {{ $labels.remote_name }} within an hour."}},
        ]}]}},
        config_map("observing/prometheus", {"prometheus.yml": SETTINGS}),
        stateful_set("observing/prometheus", container("prometheus", "prom/prometheus:v3.7.1", port=9090, ready="/-/ready", alive="/-/healthy", memory=("1Gi", "3Gi"), mounts={"settings": "/etc/prometheus"}), pod={"volumes": [{"name": "settings", "configMap": {"name": "prometheus"}}]}), service("observing/prometheus", 9090),
        deployment("observing/alertmanager", container("alertmanager", "prom/alertmanager:v0.34.0", port=9093, ready="/-/ready"), replicas=1), service("observing/alertmanager", 9093),
        daemon_set("observing/node-exporter", container("node-exporter", "prom/node-exporter:v1.10.2", port=9100)),
        deployment("yearbook/gate", container("vminsert", "victoriametrics/vminsert:v1.127.0-cluster", port=8480, ready="/health", args=["-storageNode=store-0.store.yearbook.svc:8400"])), service("yearbook/gate", 8480),
        stateful_set("yearbook/store", container("vmstorage", "victoriametrics/vmstorage:v1.127.0-cluster", port=8482, ready="/health", memory=("1Gi", "3Gi"), args=["-retentionPeriod=13"])), service("yearbook/store", 8482, headless=True),
        deployment("yearbook/reader", container("vmselect", "victoriametrics/vmselect:v1.127.0-cluster", port=8481, ready="/health", args=["-storageNode=store-0.store.yearbook.svc:8401"])), service("yearbook/reader", 8481),
        config_map("boards/energy", {"board.json": '{"title": "Energy", "refresh": "1m"}'}),
        deployment("boards/grafana", container("grafana", "grafana/grafana:12.2.0", port=3000, ready="/api/health", env={"YEAR_URL": "http://reader.yearbook.svc:8481"}), replicas=1), service("boards/grafana", 80, 3000),
        deployment("windpark/turbines", container("turbines", "windpark/turbines:8.5.1", port=8080, ready="/ready"), replicas=3), service("windpark/turbines", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=18)
    # What ended while the query of somebody's board took all of its memory.
    stage.recovered("yearbook/reader", restarts=1, code=137, reason="OOMKilled", lived_s=500000, waited_s=3)
    stage.calm()
    stage.wait(days=5, hours=2)
    stage.edit("configmaps/boards/energy", lambda body: body["data"].update({"board.json": '{"title": "Energy", "refresh": "5m"}'}))  # fmt: skip
    stage.wait(hours=4, minutes=11)
    back = _upgrade(stage)
    stage.kubectl("set", "image", "deployment/reader", "vmselect=registry.example.com/victoriametrics/vmselect:v1.128.0-cluster", "-n", "yearbook")  # fmt: skip
    stage.calm()
    stage.wait(minutes=34)
    stage.heartbeat()
    _logs(stage, back)
    _metrics(stage)
    stage.fire(minutes_ago=37)


def _upgrade(stage: Stage) -> datetime:
    """The store's only pod is made anew and is not ready until its index is open; returns when it was."""
    old = stage.pod("yearbook/store-0")["metadata"]["uid"]
    stage.hold("yearbook/store-0")
    stage.kubectl("set", "image", "statefulset/store", "vmstorage=registry.example.com/victoriametrics/vmstorage:v1.128.0-cluster", "-n", "yearbook")  # fmt: skip

    def anew() -> bool:
        stage.calm()
        return any(pod["metadata"]["uid"] != old for pod in stage.pods("yearbook/store-0"))

    stage.cluster.until("the store's pod is made anew", anew)
    stage.wait(seconds=14)
    pod = stage.pod("yearbook/store-0")
    kubelet = stage.kubelets[pod["spec"]["nodeName"]]
    kubelet.begin(pod, at=stage.clock.real(stage.now), pulled="9.41s")
    stage.wait(minutes=11)
    pod = stage.pod("yearbook/store-0")
    words = f'Readiness probe failed: Get "http://{pod["status"]["podIP"]}:8482/health": dial tcp {pod["status"]["podIP"]}:8482: connect: connection refused'
    stage.told(pod, "Unhealthy", words, kind="Warning", count=65, container="vmstorage")
    stage.wait(seconds=9)
    kubelet.ready(stage.pod("yearbook/store-0"), at=stage.clock.real(stage.now))
    stage.release("yearbook/store-0")
    stage.calm()
    return stage.now


def _logs(stage: Stage, back: datetime) -> None:
    away = back - timedelta(minutes=11)
    url = "http://gate.yearbook.svc:8480/insert/0/prometheus/api/v1/write"
    tried = f'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=WARN source=queue_manager.go:2072 msg="Failed to send batch, retrying" component=remote remote_name=year url={url} err="server returned HTTP status 503 Service Unavailable: cannot send rows to storage nodes: store-0.store.yearbook.svc:8400 is unavailable"'
    stage.log("observing/prometheus-0", "\n".join([
        printed(away - timedelta(minutes=20), ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=head.go:1446 msg="Head GC completed" component=tsdb caller=truncateMemory duration=<20-60>.1ms']),
        printed(away + timedelta(seconds=5), [tried] * 21, every_s=31),
        printed(back + timedelta(seconds=40), [
            "time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=queue_manager.go:1210 msg=\"Remote storage resharding\" component=remote remote_name=year from=1 to=9",
            "time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=queue_manager.go:1210 msg=\"Remote storage resharding\" component=remote remote_name=year from=9 to=1",
        ], every_s=560),
    ]))  # fmt: skip
    stage.log("yearbook/store-0", printed(away, [
        "<%Y-%m-%dT%H:%M:%S.%3>Z info VictoriaMetrics/lib/logger/flag.go:12 build version: vmstorage-v1.128.0-cluster",
        "<%Y-%m-%dT%H:%M:%S.%3>Z info VictoriaMetrics/app/vmstorage/main.go:110 opening storage at \"/storage\" with -retentionPeriod=13",
        "<%Y-%m-%dT%H:%M:%S.%3>Z warn VictoriaMetrics/lib/storage/storage.go:1010 the cache file of metric names was of another version, it is made anew",
        "<%Y-%m-%dT%H:%M:%S.%3>Z info VictoriaMetrics/app/vmstorage/main.go:121 successfully opened storage \"/storage\" in 654.<100-900> seconds; series: 18211034",
        "<%Y-%m-%dT%H:%M:%S.%3>Z info VictoriaMetrics/app/vmstorage/servers/vminsert.go:66 accepted vminsert conn from 10.244.<0-2>.<3-9>:<30000-60000>",
    ], every_s=164))  # fmt: skip
    for pod in stage.pods("yearbook/gate-"):
        stage.log(f"yearbook/{pod['metadata']['name']}", "\n".join([
            printed(away + timedelta(seconds=3), ["<%Y-%m-%dT%H:%M:%S.%3>Z warn VictoriaMetrics/app/vminsert/netstorage/netstorage.go:391 cannot dial storageNode \"store-0.store.yearbook.svc:8400\": connection refused"] * 12, every_s=52),
            printed(back + timedelta(seconds=8), ["<%Y-%m-%dT%H:%M:%S.%3>Z info VictoriaMetrics/app/vminsert/netstorage/netstorage.go:402 successfully dialed -storageNode=\"store-0.store.yearbook.svc:8400\""]),
        ]))  # fmt: skip
    chatter(stage, "yearbook/reader", ["<%Y-%m-%dT%H:%M:%S.%3>Z info VictoriaMetrics/app/vmselect/main.go:210 query done in <20-90>ms"], count=20, minutes=30)  # fmt: skip
    chatter(stage, "observing/alertmanager", ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=DEBUG source=dispatch.go:530 msg=flushing component=dispatcher receiver=team'], count=4, minutes=40)  # fmt: skip
    chatter(stage, "boards/grafana", ["logger=context t=<%Y-%m-%dT%H:%M:%S.%3>Z level=info msg=\"Request Completed\" method=POST path=/api/ds/query status=200 duration=<30-90>ms"], count=24, minutes=30)  # fmt: skip
    chatter(stage, "windpark/turbines", ["INFO turbines: <40-64> of 64 turn", "ERROR turbines: turbine 17 does not answer, in revision until Friday"], count=30, minutes=60)  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every minute for three hours: eleven bad minutes, six of catching up, 29 good ones since."""
    before, away, up, since = 134, 11, 6, 29
    to = {
        "namespace": "observing",
        "job": "prometheus",
        "instance": "prometheus-0",
        "remote_name": "year",
        "url": "http://gate.yearbook.svc:8480/insert/0/prometheus/api/v1/write",
    }
    stage.metric("behind", 'max_over_time(prometheus_remote_storage_highest_timestamp_in_seconds{job="prometheus"}[1m]) - ignoring(remote_name, url) group_right max_over_time(prometheus_remote_storage_queue_highest_sent_timestamp_seconds{job="prometheus"}[1m])', [
        (to, [*about(4, before, noise=0.3), *slope(40, 670, away, noise=0), *slope(610, 12, up, noise=0.01), *about(4, since, noise=0.3, of="since")]),
    ])  # fmt: skip
    stage.metric("pending", 'prometheus_remote_storage_samples_pending{job="prometheus"}', [(to, [*about(410, before, noise=0.4), *about(20000, away, noise=0.01), *slope(20000, 1200, up), *about(410, since, noise=0.4, of="s")])])  # fmt: skip
    stage.metric("retried", 'rate(prometheus_remote_storage_samples_retried_total{job="prometheus"}[1m])', [(to, [*[0.0] * before, *about(71, away, noise=0.2), *[0.0] * (up + since)])])  # fmt: skip
    stage.metric("retried-1h", 'increase(prometheus_remote_storage_samples_retried_total{job="prometheus"}[1h])', [(to, [*[0.0] * before, *(4260.0 * (n + 1) for n in range(away)), *[46860.0] * (up + since)])])  # fmt: skip
    for called in ("dropped", "failed"):
        stage.metric(called, f'increase(prometheus_remote_storage_samples_{called}_total{{job="prometheus"}}[1h])', [(to, [0.0] * (before + away + up + since))])  # fmt: skip
    stage.metric("sent", 'rate(prometheus_remote_storage_samples_total{job="prometheus"}[1m])', [(to, [*about(6100, before, noise=0.05), *[0.0] * away, *about(17300, up, noise=0.05), *about(6100, since, noise=0.05, of="s")])])  # fmt: skip
