"""A broker's volume breathes between two levels that its retention sets, as it has for weeks; a prediction takes the rise for a trend."""

from __future__ import annotations

from collections.abc import Sequence

from tests.incidents.curves import about, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
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
    title="KubePersistentVolumeFillingUp of a broker whose log is cut by size once a day: its volume has moved between 83 and 89 % for weeks",
    half=Half.tuned,
    story=(
        "The three brokers keep 165 GiB each of a topic and cut what is more. The volumes of 200 GiB rise slowly and drop when segments"
        " are deleted, day by day alike. During each rise the rule's prediction of four days reaches zero. A consumer had a"
        " release fifty minutes ago and one of its pods was restarted yesterday; nothing is wrong."
    ),
    sources=[
        "https://kafka.apache.org/documentation/#topicconfigs_retention.bytes",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepersistentvolumefillingup/",
        "https://github.com/kubernetes-monitoring/kubernetes-mixin/blob/master/alerts/storage_alerts.libsonnet",
    ],
    labels={
        "alertname": "KubePersistentVolumeFillingUp",
        "severity": "warning",
        "namespace": "stream",
        "persistentvolumeclaim": "data-broker-1",
        "job": "kubelet",
        "metrics_path": "/metrics",
        "service": "kubelet",
    },
    annotations={
        "summary": "PersistentVolume is filling up.",
        "description": "Based on recent sampling, the PersistentVolume claimed by data-broker-1 in Namespace stream is expected to fill up within four days. Currently 14.26% is available.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy, Trait.metrics_only}),
)  # fmt: skip

GIB = 2.0**30
HALF_HOURS, DAY = 14 * 48, 48


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "block"}, "provisioner": "nfs.example.com/shares", "allowVolumeExpansion": True},
        *({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"pvc-71b0{n}d5e-0a6c-4c0f-8a1e-92f1c0a7d00{n}"},
           "spec": {"capacity": {"storage": "200Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "block", "persistentVolumeReclaimPolicy": "Delete",
                    "claimRef": {"namespace": "stream", "name": f"data-broker-{n}"}, "nfs": {"server": "10.30.0.9", "path": f"/volumes/71b0{n}d5e"}}} for n in range(3)),
        daemon_set("monitoring/node-exporter", container("node-exporter", "prom/node-exporter:v1.9.1", port=9100, memory=("32Mi", "64Mi")), pod={"tolerations": [{"operator": "Exists"}]}),
        config_map("stream/broker-settings", {"server.properties": (
            "process.roles=broker,controller\nlisteners=PLAINTEXT://:9092,CONTROLLER://:9093\nlog.dirs=/var/lib/kafka/data\nnum.partitions=12\n"
            "default.replication.factor=3\nmin.insync.replicas=2\nlog.retention.hours=168\nlog.retention.bytes=14763950080\nlog.segment.bytes=1073741824\nlog.retention.check.interval.ms=300000\n")}),
        stateful_set("stream/broker", container("kafka", "kafka:4.1.0", port=9092, cpu="500m", memory=("2Gi", "4Gi"), mounts={"data": "/var/lib/kafka/data", "settings": "/mnt/shared/config"}), replicas=3,
                     podManagementPolicy="Parallel", claims={"data": ("block", "200Gi")}, pod={"volumes": [{"name": "settings", "configMap": {"name": "broker-settings"}}]}),
        service("stream/broker", 9092, headless=True),
        deployment("web/tracker", container("tracker", "web/tracker:10.0.4", port=8080, ready="/ready", env={"KAFKA": "broker.stream.svc.cluster.local:9092", "TOPIC": "clicks"}), replicas=3),
        service("web/tracker", 80, 8080),
        deployment("insight/sessions", container("sessions", "insight/sessions:3.7.1", port=8081, ready="/ready", env={"KAFKA": "broker.stream.svc.cluster.local:9092", "TOPIC": "clicks", "GROUP": "sessions"})),
        deployment("insight/heatmap", container("heatmap", "insight/heatmap:1.19.0", port=8081, ready="/ready", env={"KAFKA": "broker.stream.svc.cluster.local:9092", "TOPIC": "clicks", "GROUP": "heatmap"})),
        deployment("insight/report", container("report", "insight/report:2.2.2", port=3000, ready="/"), replicas=1),
        service("insight/report", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=20, hours=4)
    first = stage.pods("insight/sessions-")[0]["metadata"]["name"]
    stage.recovered(f"insight/{first}", restarts=1, code=143)
    stage.calm()
    stage.wait(hours=21)
    stage.kubectl(
        "set",
        "image",
        "deployment/heatmap",
        "heatmap=registry.example.com/insight/heatmap:1.20.0",
        "-n",
        "insight",
    )
    stage.calm()
    stage.wait(minutes=50)
    stage.heartbeat()
    for n in range(3):
        cut = "[<%Y-%m-%d %H:%M:%S,%3>] INFO [UnifiedLog partition=clicks-<0-11>, dir=/var/lib/kafka/data] Deleting segment LogSegment(baseOffset=<400000000-499999999>, size=107374<1000-1823>, lastModifiedTime=17640<10000-99999>000, largestRecordTimestamp=17640<10000-99999>000) due to log retention size 14763950080 breach. Log size after deletion will be 1476<1000-4999>080. (org.apache.kafka.storage.internals.log.UnifiedLog)"
        roll = "[<%Y-%m-%d %H:%M:%S,%3>] INFO [UnifiedLog partition=clicks-<0-11>, dir=/var/lib/kafka/data] Rolled new log segment at offset <500000000-599999999> in <1-4> ms. (org.apache.kafka.storage.internals.log.UnifiedLog)"
        stage.log(
            f"stream/broker-{n}", printed(stage.ago(minutes=900), [*[cut] * 8, *[roll] * 40], every_s=1080)
        )
    chatter(stage, "web/tracker-", ['{"level":"info","msg":"sent","topic":"clicks","records":<300-900>}'])
    chatter(stage, "insight/sessions-", ['level=info msg="batch" records=500 lag=<0-40>'])
    chatter(
        stage,
        "insight/heatmap-",
        ['level=info msg="batch" records=500 lag=<0-60>', 'level=info msg="tile written" z=<8-14>'],
    )
    _metrics(stage)
    stage.fire(minutes_ago=75)


def _level(broker: int) -> Sequence[float]:
    """GiB used, every half an hour: it rises for a day less an hour, and drops when the segments are cut."""
    phase = (30, 22, 9)[broker]
    noise = about(1, HALF_HOURS, noise=0.002, of=f"broker-{broker}")
    return [
        (166 + 12 * min(((n - HALF_HOURS + phase) % DAY) / (DAY - 2), 1)) * swing
        for n, swing in enumerate(noise)
    ]


def _metrics(stage: Stage) -> None:
    def claims(name: str, values: Sequence[Sequence[float]]) -> None:
        metric = f"kubelet_volume_stats_{name}_bytes"
        stage.metric(f"volume-{name}", metric, [
            ({"__name__": metric, "namespace": "stream", "persistentvolumeclaim": f"data-broker-{n}"}, [v * GIB for v in one]) for n, one in enumerate(values)
        ], step_s=1800)  # fmt: skip

    used = [_level(n) for n in range(3)]
    claims("used", used)
    claims("available", [[200 - u for u in one] for one in used])
    claims("capacity", [[200.0] * HALF_HOURS] * 3)
    lag: list[tuple[Body, list[float]]] = [
        ({"namespace": "stream", "consumergroup": group, "topic": "clicks"}, whole(about(30, 120, noise=0.8, of=group))) for group in ("sessions", "heatmap")
    ]  # fmt: skip
    stage.metric("lag", "sum by (namespace, consumergroup, topic) (kafka_consumergroup_lag)", lag)
    stage.metric(
        "under-replicated",
        "kafka_topic_partition_under_replicated_partition",
        [({"namespace": "stream", "topic": "clicks", "partition": "0"}, [0.0] * 120)],
    )
