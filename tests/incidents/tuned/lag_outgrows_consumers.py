"""More is produced than two consumers of a Kafka group can take; brokers and pods are well."""

from __future__ import annotations

from tests.incidents.curves import about, slope, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, system

INCIDENT = Incident(
    title="Two consumers share twelve partitions of usage events and fall behind a doubled stream",
    half=Half.tuned,
    story="A new region sends its usage events too. Each invoicer pod handles some 50 events a second and is busy all the time; the group lags further behind every minute. Brokers, topic and pods are well; the group has 2 members for 12 partitions.",
    sources=[
        "https://strimzi.io/docs/operators/latest/deploying#assembly-metrics-kafka-exporter-str",
        "https://kafka.apache.org/documentation/#intro_consumers",
        "https://github.com/danielqsj/kafka_exporter#metrics",
    ],
    labels={
        "alertname": "KafkaConsumerGroupLagGrowing",
        "severity": "warning",
        "namespace": "streaming",
        "pod": "{pod:streaming/events-kafka-exporter-}",
        "container": "events-kafka-exporter",
        "consumergroup": "invoicer",
        "topic": "usage-events",
        "job": "kafka-exporter",
    },
    annotations={"summary": "Group invoicer lags behind usage-events by more than 100000 messages and the lag grows."},
    causes=["Deployment/billing/invoicer"],
    says=[["lag"], ["2 members", "two members", "2 consumers", "two consumers", "2 replicas", "2 pods", "12 partitions", "too few"]],
    innocent=["Deployment/streaming/events-kafka-exporter", "Kafka/streaming/events", "KafkaTopic/streaming/usage-events"],
    traits=frozenset({Trait.innocent, Trait.metrics_only}),
    authored=["strimzi pods and status"],
)  # fmt: skip

GROUP, VERSION = "kafka.strimzi.io", "v1beta2"
PAST, SINCE = 60, 55
PARTITIONS = 12


def play(stage: Stage) -> None:
    stage.crd(GROUP, VERSION, "Kafka", "kafkas")
    stage.crd(GROUP, VERSION, "KafkaTopic", "kafkatopics")
    stage.crd("core.strimzi.io", VERSION, "StrimziPodSet", "strimzipodsets")
    stage.apply([
        *system(),
        {
            "apiVersion": f"{GROUP}/{VERSION}", "kind": "Kafka", "metadata": {"name": "events", "namespace": "streaming"},
            "spec": {
                "kafka": {"version": "4.1.0", "listeners": [{"name": "plain", "port": 9092, "type": "internal", "tls": False}],
                          "config": {"default.replication.factor": 3, "min.insync.replicas": 2}},
                "kafkaExporter": {"groupRegex": ".*", "topicRegex": ".*"},
            },
        },
        *(_topic(name, partitions) for name, partitions in (("usage-events", PARTITIONS), ("account-changes", 3))),
        {
            "apiVersion": f"core.strimzi.io/{VERSION}", "kind": "StrimziPodSet",
            "metadata": {"name": "events-broker", "namespace": "streaming", "labels": {"strimzi.io/cluster": "events"}},
            "spec": {"selector": {"matchLabels": {"strimzi.io/name": "events-kafka"}}, "pods": []},
        },
        service("streaming/events-kafka-bootstrap", 9092, selector={"strimzi.io/name": "events-kafka"}),
        deployment("streaming/events-kafka-exporter", container("events-kafka-exporter", "strimzi/kafka:0.49.0-kafka-4.1.0", port=9404, ready="/healthz"), replicas=1),
        deployment("billing/invoicer", container("invoicer", "billing/invoicer:3.4.0", port=8081, ready="/ready", cpu="500m", memory=("512Mi", "1Gi"),
                                                 env={"KAFKA_BOOTSTRAP": "events-kafka-bootstrap.streaming.svc:9092", "TOPIC": "usage-events", "GROUP_ID": "invoicer"})),
        deployment("billing/accounts", container("accounts", "billing/accounts:2.2.5", port=8081, ready="/ready",
                                                 env={"KAFKA_BOOTSTRAP": "events-kafka-bootstrap.streaming.svc:9092", "TOPIC": "account-changes", "GROUP_ID": "accounts"})),
        deployment("metering/meter", container("meter", "metering/meter:1.17.1", port=8080, ready="/ready",
                                               env={"KAFKA_BOOTSTRAP": "events-kafka-bootstrap.streaming.svc:9092"}), replicas=3),
        service("metering/meter", 8080),
    ])  # fmt: skip
    owner = stage.get("strimzipodsets/streaming/events-broker")
    stage.apply([_broker(number, owner) for number in range(3)])
    stage.calm()
    stage.wait(days=26, hours=5)
    _statuses(stage)
    chatter(stage, "billing/invoicer", [
        "INFO  UsageHandler - batch handled records=500 took=<9600-10400>ms",
        "INFO  UsageHandler - batch handled records=500 took=<9600-10400>ms",
    ])  # fmt: skip
    chatter(stage, "billing/accounts", ["INFO  AccountHandler - batch handled records=<4-20> took=<30-90>ms"])
    chatter(stage, "metering/meter", ["INFO  sent usage-events records=<300-900> acks=all"])
    chatter(stage, "streaming/events-broker", [
        "<%Y-%m-%d %H:%M:%S> INFO  [GroupMetadataManager brokerId=0] Removed 0 expired offsets in 0 milliseconds.",
        "<%Y-%m-%d %H:%M:%S> INFO  [ProducerStateManager partition=usage-events-7] Wrote producer snapshot at offset <4000000-4999999> with 3 producer ids in 2 ms.",
    ], count=12)  # fmt: skip
    _metrics(stage)
    stage.fire(minutes_ago=21)


def _topic(name: str, partitions: int) -> dict[str, object]:
    return {
        "apiVersion": f"{GROUP}/{VERSION}", "kind": "KafkaTopic",
        "metadata": {"name": name, "namespace": "streaming", "labels": {"strimzi.io/cluster": "events"}},
        "spec": {"partitions": partitions, "replicas": 3, "config": {"retention.ms": 604800000}},
    }  # fmt: skip


def _broker(number: int, owner: dict[str, object]) -> dict[str, object]:
    meta = owner["metadata"]
    assert isinstance(meta, dict)
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": f"events-broker-{number}", "namespace": "streaming",
            "labels": {"strimzi.io/cluster": "events", "strimzi.io/name": "events-kafka", "strimzi.io/kind": "Kafka"},
            "ownerReferences": [{"apiVersion": owner["apiVersion"], "kind": "StrimziPodSet", "name": meta["name"],
                                 "uid": meta["uid"], "controller": True, "blockOwnerDeletion": False}],
        },
        "spec": {"containers": [container("kafka", "strimzi/kafka:0.49.0-kafka-4.1.0", port=9092, cpu="500m", memory=("2Gi", "2Gi"))]},
    }  # fmt: skip


def _statuses(stage: Stage) -> None:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": stage.stamp(minutes_ago=37000)}
    stage.status("kafkas/streaming/events", {
        "conditions": [ready], "observedGeneration": 1, "kafkaVersion": "4.1.0", "operatorLastSuccessfulVersion": "0.49.0",
        "listeners": [{"name": "plain", "bootstrapServers": "events-kafka-bootstrap.streaming.svc:9092"}],
    }, manager="strimzi-cluster-operator")  # fmt: skip
    stage.status("strimzipodsets/streaming/events-broker", {"pods": 3, "readyPods": 3, "currentPods": 3, "observedGeneration": 1},
                 manager="strimzi-cluster-operator")  # fmt: skip
    for topic in ("usage-events", "account-changes"):
        stage.status(f"kafkatopics/streaming/{topic}", {"conditions": [ready], "observedGeneration": 1, "topicName": topic},
                     manager="strimzi-topic-operator")  # fmt: skip


def _metrics(stage: Stage) -> None:
    count = PAST + SINCE
    here = {"namespace": "streaming", "job": "kafka-exporter"}
    usage = {**here, "consumergroup": "invoicer", "topic": "usage-events"}
    accounts = {**here, "consumergroup": "accounts", "topic": "account-changes"}
    behind = whole([*about(320, PAST, noise=0.5), *slope(400, 400 + 60 * SINCE * 71, SINCE, noise=0.003)])
    stage.metric("lag", "sum by (namespace, job, consumergroup, topic) (kafka_consumergroup_lag)", [
        (usage, behind), (accounts, whole(about(6, count, noise=0.9))),
    ])  # fmt: skip
    stage.metric("members", "kafka_consumergroup_members", [
        ({**here, "consumergroup": "invoicer"}, [2.0] * count), ({**here, "consumergroup": "accounts"}, [2.0] * count),
    ])  # fmt: skip
    stage.metric("partitions", "kafka_topic_partitions", [
        ({**here, "topic": "usage-events"}, [float(PARTITIONS)] * count), ({**here, "topic": "account-changes"}, [3.0] * count),
    ])  # fmt: skip
    stage.metric("produced", "sum by (namespace, job, topic) (rate(kafka_topic_partition_current_offset[5m]))", [
        ({**here, "topic": "usage-events"}, [*about(82, PAST), *about(171, SINCE)]),
        ({**here, "topic": "account-changes"}, about(3.1, count, noise=0.3)),
    ])  # fmt: skip
    stage.metric("consumed", "sum by (namespace, job, consumergroup, topic) (rate(kafka_consumergroup_current_offset[5m]))", [
        (usage, [*about(82, PAST), *about(100, SINCE, noise=0.01)]), (accounts, about(3.1, count, noise=0.3)),
    ])  # fmt: skip
    stage.metric("under-replicated", "kafka_topic_partition_under_replicated_partition", [
        ({**here, "topic": topic, "partition": "0"}, [0.0] * count) for topic in ("usage-events", "account-changes")
    ])  # fmt: skip
    stage.metric("cpu", 'sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total{namespace="billing"}[5m]))', [
        ({"namespace": "billing", "pod": pod["metadata"]["name"], "container": "invoicer"}, [*about(0.41, PAST), *about(0.5, SINCE, noise=0.02)])
        for pod in stage.pods("billing/invoicer-")
    ])  # fmt: skip
