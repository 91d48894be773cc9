"""Two faults at once: a Kafka user lost the right to its group, and a node's accelerators are not offered any more."""

from __future__ import annotations

from tests.incidents.curves import about, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.kubelets import MERGE
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
    title="The Kafka user of the invoicer may read another group than its own, and the device plugin asks for a label that no node has",
    half=Half.tuned,
    story=(
        "In a review of rights the user invoicer was given the group invoices-, as a prefix, in the place of invoicer. Its consumer may not join its group since and the"
        " lag of the orders grows; its pods are ready. Three hours earlier the GPU device plugin's selector was edited to a label that is set on no node, so node-c"
        " offers no GPU, and a restarted trainer waits. Neither has to do with the other."
    ),
    sources=[
        "https://strimzi.io/docs/operators/latest/configuring#type-AclRule-reference",
        "https://kafka.apache.org/documentation/#security_authz",
        "https://github.com/NVIDIA/k8s-device-plugin",
        "https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/",
    ],
    labels={
        "alertname": "KafkaConsumerLag",
        "severity": "critical",
        "namespace": "streams",
        "job": "kafka-exporter",
        "consumergroup": "invoicer",
        "topic": "orders",
    },
    annotations={"summary": "Group invoicer is more than 10000 messages behind on orders."},
    causes=["KafkaUser/streams/invoicer"],
    says=[["invoicer"], ["not authorized", "authoriz", "may not", "ACL", "acls"], ["invoices-", "group"]],
    innocent=["Deployment/streams/kafka-exporter", "Deployment/billing/invoicer", "StatefulSet/streams/bus-kafka", "Deployment/shop/checkout"],
    second=["DaemonSet/kube-system/device-plugin", "Deployment/lab/trainer"],
    traits=frozenset({Trait.two_faults, Trait.innocent}),
    authored=["strimzi status", "device plugin"],
)  # fmt: skip

GROUP = "kafka.strimzi.io"
GPU = "nvidia.com/gpu"


def _acl(kind: str, name: str, pattern: str, *operations: str) -> Body:
    return {"resource": {"type": kind, "name": name, "patternType": pattern}, "operations": list(operations), "host": "*"}  # fmt: skip


def _user(name: str, *acls: Body) -> Body:
    return {
        "apiVersion": f"{GROUP}/v1beta2", "kind": "KafkaUser", "metadata": {"name": name, "namespace": "streams", "labels": {"strimzi.io/cluster": "bus"}},
        "spec": {"authentication": {"type": "scram-sha-512"}, "authorization": {"type": "simple", "acls": list(acls)}},
    }  # fmt: skip


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1beta2", "KafkaUser", "kafkausers")
    stage.crd(GROUP, "v1beta2", "KafkaTopic", "kafkatopics")
    consumer = {"BOOTSTRAP_SERVERS": "bus-kafka.streams.svc.cluster.local:9092", "KAFKA_TOPIC": "orders"}
    stage.apply([
        *system(),
        stateful_set("streams/bus-kafka", container("kafka", "strimzi/kafka:0.48.0-kafka-4.1.0", port=9092, memory=("1Gi", "2Gi")), replicas=3),
        service("streams/bus-kafka", 9092, headless=True),
        deployment("streams/bus-entity-operator", container("user-operator", "strimzi/operator:0.48.0", port=8081, ready="/ready"), replicas=1),
        deployment("streams/kafka-exporter", container("kafka-exporter", "strimzi/kafka-exporter:1.9.0", port=9404, ready="/healthz"), replicas=1),
        service("streams/kafka-exporter", 9404),
        {"apiVersion": f"{GROUP}/v1beta2", "kind": "KafkaTopic", "metadata": {"name": "orders", "namespace": "streams", "labels": {"strimzi.io/cluster": "bus"}}, "spec": {"partitions": 6, "replicas": 3}},
        _user("invoicer", _acl("topic", "orders", "literal", "Read", "Describe"), _acl("group", "invoicer", "literal", "Read")),
        _user("packing", _acl("topic", "orders", "literal", "Read", "Describe"), _acl("group", "packing", "literal", "Read")),
        deployment("billing/invoicer", container("invoicer", "billing/invoicer:6.1.0", port=8080, ready="/q/health/ready", env={**consumer, "KAFKA_GROUP_ID": "invoicer", "KAFKA_USERNAME": "invoicer"}), replicas=3),
        service("billing/invoicer", 8080),
        stateful_set("billing/books", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))), service("billing/books", 5432, headless=True),
        deployment("depot/packing", container("packing", "depot/packing:2.14.0", port=8080, ready="/q/health/ready", env={**consumer, "KAFKA_GROUP_ID": "packing", "KAFKA_USERNAME": "packing"})),
        deployment("shop/checkout", container("checkout", "shop/checkout:40.2.0", port=8080, ready="/ready", env=consumer), replicas=3), service("shop/checkout", 80, 8080),
        config_map("lab/trainer-runs", {"runs.yaml": "model: shelf-view\nepochs: 40\n"}),
    ])  # fmt: skip
    stage.kubectl("label", "node", "node-c", "nvidia.com/gpu.present=true")
    _offers(stage, 2)
    plugin = daemon_set("kube-system/device-plugin", container("device-plugin", "nvidia/k8s-device-plugin:v0.18.0", memory=("64Mi", "128Mi")),
                        pod={"priorityClassName": "system-node-critical", "nodeSelector": {"nvidia.com/gpu.present": "true"}})  # fmt: skip
    trainer = container("trainer", "lab/trainer:0.61.0", memory=("1Gi", "2Gi"), env={"RUNS": {"configMapKeyRef": {"name": "trainer-runs", "key": "runs.yaml"}}})  # fmt: skip
    trainer["resources"]["limits"][GPU] = "2"
    trainer["resources"]["requests"][GPU] = "2"
    stage.apply([plugin, deployment("lab/trainer", trainer, replicas=1, strategy={"type": "Recreate"}), deployment("lab/notebook", container("notebook", "lab/notebook:2026.10", port=8888, ready="/api"), replicas=1)])  # fmt: skip
    stage.calm()
    for what in ("kafkausers/streams/invoicer", "kafkausers/streams/packing", "kafkatopics/streams/orders"):
        stage.status(what, {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": stage.stamp()}], "observedGeneration": 1}, manager="strimzi-user-operator")  # fmt: skip
    stage.wait(days=18, hours=4)

    def elsewhere(body: Body) -> None:
        body["spec"]["template"]["spec"]["nodeSelector"] = {"nvidia.com/gpu.present": None, "example.com/accelerator": "nvidia"}  # fmt: skip

    stage.edit("daemonsets/kube-system/device-plugin", elsewhere)
    stage.calm()
    _offers(stage, 0)
    stage.wait(hours=1, minutes=40)
    stage.edit("configmaps/lab/trainer-runs", lambda body: body["data"].update({"runs.yaml": "model: shelf-view\nepochs: 60\n"}))  # fmt: skip
    stage.restart("deployments/lab/trainer")
    stage.calm(unfinished=["lab/trainer"])
    stage.wait(minutes=22)
    rights = _user("invoicer", _acl("topic", "orders", "literal", "Read", "Describe"), _acl("group", "invoices-", "prefix", "Read"))  # fmt: skip
    stage.edit("kafkausers/streams/invoicer", lambda body: body.update(spec=rights["spec"]))
    stage.status("kafkausers/streams/invoicer", {"observedGeneration": 2}, manager="strimzi-user-operator")
    stage.wait(minutes=18)
    stage.kubectl("set", "image", "deployment/checkout", "checkout=registry.example.com/shop/checkout:40.2.1", "-n", "shop")  # fmt: skip
    stage.calm(unfinished=["lab/trainer"])
    stage.wait(minutes=30)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=26)


def _offers(stage: Stage, count: int) -> None:
    """What the kubelet of node-c has to offer, as its device plugin says."""
    body = {"status": {"capacity": {GPU: "2"}, "allocatable": {GPU: str(count)}}}
    stage.cluster.ask("PATCH", "/api/v1/nodes/node-c/status?fieldManager=kubelet", body, kind=MERGE)


def _logs(stage: Stage) -> None:
    refused = [
        "<%Y-%m-%d %H:%M:%S,%3> ERROR [org.apa.kaf.cli.con.int.ConsumerCoordinator] (vert.x-kafka-consumer-thread-0) [Consumer clientId=invoicer-orders, groupId=invoicer] Offset commit failed on partition orders-<0-5> at offset <4000000-4999999>: Not authorized to access group: invoicer",
        "<%Y-%m-%d %H:%M:%S,%3> WARN  [io.sma.rea.mes.kafka] (vert.x-eventloop-thread-0) SRMSG18204: A message sent to channel `orders` has been nacked, the client will be started again\norg.apache.kafka.common.errors.GroupAuthorizationException: Not authorized to access group: invoicer",
        "<%Y-%m-%d %H:%M:%S,%3> INFO  [io.quarkus.http] (executor-thread-1) GET /q/health/ready 200",
    ]  # fmt: skip
    for n, pod in enumerate(stage.pods("billing/invoicer")):
        stage.log(f"billing/{pod['metadata']['name']}", printed(stage.ago(minutes=47, seconds=-5 * n), refused * 16, every_s=58))  # fmt: skip
    chatter(stage, "billing/books", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=4)  # fmt: skip
    chatter(stage, "depot/packing", ["<%Y-%m-%d %H:%M:%S,%3> INFO  [com.exa.dep.Packing] (vert.x-eventloop-thread-0) order <100000-999999> packed"])  # fmt: skip
    chatter(stage, "shop/checkout", ["INFO checkout: POST /orders 201 <30-90>ms", "INFO checkout: sent orders partition=<0-5> acks=all"])  # fmt: skip
    chatter(stage, "streams/bus-kafka", ["<%Y-%m-%d %H:%M:%S,%3> INFO Principal = User:invoicer is Denied operation = READ from host = 10.244.<0-2>.<2-19> on resource = Group:LITERAL:invoicer for request = JoinGroup with resourceRefCount = 1 based on rule DefaultDeny (kafka.authorizer.logger) [data-plane-kafka-request-handler-<0-7>]"], count=10)  # fmt: skip
    chatter(stage, "streams/bus-entity-operator", ["<%Y-%m-%d %H:%M:%S> INFO  UserOperator:<90-99> - Reconciliation #<400-499>(timer) KafkaUser(streams/packing): reconciled"], count=6)  # fmt: skip
    chatter(
        stage, "lab/notebook", ["[I <%Y-%m-%d %H:%M:%S.%3> ServerApp] Saving file at /shelf.ipynb"], count=5
    )


def _metrics(stage: Stage) -> None:
    """Once a minute for two hours; the rights were edited 49 minutes ago."""
    count, since = 120, 49
    here = {"namespace": "streams", "job": "kafka-exporter", "topic": "orders"}
    stage.metric("lag", "sum by (namespace, job, consumergroup, topic) (kafka_consumergroup_lag)", [
        ({**here, "consumergroup": "invoicer"}, whole([*about(60, count - since, noise=0.6), *(60 + 1080.0 * n for n in range(since))])),
        ({**here, "consumergroup": "packing"}, whole(about(44, count, noise=0.6))),
    ])  # fmt: skip
    stage.metric("members", "kafka_consumergroup_members", [
        ({"namespace": "streams", "job": "kafka-exporter", "consumergroup": "invoicer"}, [*[3.0] * (count - since), *[0.0] * since]),
        ({"namespace": "streams", "job": "kafka-exporter", "consumergroup": "packing"}, [2.0] * count),
    ])  # fmt: skip
    stage.metric("produced", "sum by (namespace, job, topic) (rate(kafka_topic_partition_current_offset[5m]))", [(here, about(18, count, noise=0.1))])  # fmt: skip
