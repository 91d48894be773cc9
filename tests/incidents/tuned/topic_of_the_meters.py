"""A topic was asked to have fewer partitions, which its operator refuses, and so its new retention is not set either."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="The topic readings was edited from 24 to 12 partitions together with its retention, and its operator takes neither",
    half=Half.tuned,
    story=(
        "To save disk, the retention of the topic readings was shortened, and in the same edit its partitions were halved. Strimzi's topic operator cannot"
        " take partitions away, says so in the status and leaves the topic as it is. Other topics are well; a release of the collector is unrelated."
    ),
    sources=[
        "https://strimzi.io/docs/operators/latest/deploying#proc-changing-topic-str",
        "https://github.com/strimzi/strimzi-kafka-operator/blob/main/topic-operator/src/main/java/io/strimzi/operator/topic/BatchingTopicController.java",
    ],
    labels={"alertname": "StrimziResourceNotReady", "severity": "warning", "namespace": "meters", "kind": "KafkaTopic", "name": "readings"},
    annotations={"description": "KafkaTopic readings in meters is not ready."},
    causes=["KafkaTopic/meters/readings"],
    says=[["partitions"], ["`24`", "from 24"], ["`12`", "to 12"], ["Decreasing partitions", "NotSupported"]],
    innocent=["KafkaTopic/meters/tariffs", "Deployment/meters/collector", "StatefulSet/meters/log-kafka"],
    authored=["strimzi status"],
)  # fmt: skip

GROUP = "kafka.strimzi.io"


def _topic(name: str, partitions: int, retention: int) -> Body:
    return {
        "apiVersion": f"{GROUP}/v1beta2", "kind": "KafkaTopic", "metadata": {"name": name, "namespace": "meters", "labels": {"strimzi.io/cluster": "log"}},
        "spec": {"partitions": partitions, "replicas": 3, "config": {"retention.ms": retention}},
    }  # fmt: skip


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1beta2", "KafkaTopic", "kafkatopics")
    stage.apply([
        *system(),
        stateful_set("meters/log-kafka", container("kafka", "strimzi/kafka:0.48.0-kafka-4.1.0", port=9092, memory=("1Gi", "2Gi")), replicas=3),
        service("meters/log-kafka", 9092, headless=True),
        deployment("meters/log-entity-operator", container("topic-operator", "strimzi/operator:0.48.0", port=8080, ready="/ready"), replicas=1),
        deployment("meters/collector", container("collector", "meters/collector:5.2.0", port=8080, ready="/ready", env={"BROKER": "log-kafka.meters.svc:9092"})),
        service("meters/collector", 8080),
        _topic("readings", 24, 604800000), _topic("tariffs", 3, 2592000000),
    ])  # fmt: skip
    stage.calm()
    for name in ("readings", "tariffs"):
        stage.status(f"kafkatopics/meters/{name}", {
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": stage.stamp()}], "observedGeneration": 1, "topicName": name,
        }, manager="strimzi-topic-operator")  # fmt: skip
    stage.wait(days=44, hours=2)
    stage.kubectl(
        "set", "image", "deployment/collector", "collector=registry.example.com/meters/collector:5.2.1", "-n", "meters"
    )  # fmt: skip
    stage.calm()
    stage.wait(minutes=50)
    stage.edit(
        "kafkatopics/meters/readings", lambda body: body.update(spec=_topic("readings", 12, 86400000)["spec"])
    )
    stage.wait(seconds=20)
    stage.status("kafkatopics/meters/readings", {
        "conditions": [{"type": "Ready", "status": "False", "reason": "NotSupported", "message": "Decreasing partitions not supported", "lastTransitionTime": stage.stamp()}],
        "observedGeneration": 2, "topicName": "readings",
    }, manager="strimzi-topic-operator")  # fmt: skip
    stage.wait(minutes=22)
    stage.heartbeat()
    stage.log("meters/log-entity-operator", printed(stage.ago(minutes=22), [
        "<%Y-%m-%d %H:%M:%S> WARN  BatchingTopicController:<800-899> - Reconciliation #<400-499>(watch) KafkaTopic(meters/readings): Decreasing partitions not supported",
        "<%Y-%m-%d %H:%M:%S> INFO  BatchingTopicController:<300-399> - Reconciled batch of 2 KafkaTopics",
    ] * 6, every_s=110))  # fmt: skip
    chatter(stage, "meters/collector", ["INFO collector: stored <90-400> readings in <3-20>ms"])
    stage.fire(minutes_ago=12)
