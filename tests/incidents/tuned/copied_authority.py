"""Consumers trust a copy of the brokers' authority that was made by hand ten months ago; the authority has a new key."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.incidents.certificates import tls_secret
from tests.incidents.curves import about, slope, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, daemon_set, deployment, service, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="The brokers' authority was renewed, and a team's hand-made copy of the old one keeps its consumers out",
    half=Half.tuned,
    story=(
        "Strimzi renews the cluster CA of hub with a new key and rolls the brokers in the maintenance window. Consumers"
        " in parcels mount hub-ca, which somebody copied from hub-cluster-ca-cert ten months ago; their handshakes fail"
        " ever since the brokers present certificates of the new authority. Their pods are ready all the time. The alert"
        " is the exporter's, beside the brokers."
    ),
    sources=[
        "https://strimzi.io/docs/operators/latest/deploying#con-certificate-renewal-str",
        "https://strimzi.io/docs/operators/latest/deploying#configuring-internal-clients-to-trust-cluster-ca-str",
        "https://github.com/strimzi/strimzi-kafka-operator/pull/2310",
        "https://github.com/danielqsj/kafka_exporter",
    ],
    labels={
        "alertname": "KafkaConsumerGroupLagGrowing",
        "namespace": "streams",
        "service": "hub-kafka-exporter",
        "consumergroup": "tracker",
        "topic": "scans",
        "severity": "warning",
    },
    annotations={"summary": "Group tracker falls behind on topic scans."},
    causes=["Secret/parcels/hub-ca", "Deployment/parcels/tracker"],
    says=[["handshake", "PKIX", "certificate"], ["hub-ca"]],
    innocent=["Kafka/streams/hub", "Service/streams/hub-kafka-exporter", "Deployment/streams/hub-kafka-exporter"],
    traits=frozenset({Trait.innocent, Trait.metrics_only}),
    authored=["strimzi resources", "strimzi status"],
)  # fmt: skip

GROUP = "kafka.strimzi.io"


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1", "Kafka", "kafkas")
    stage.crd("core.strimzi.io", "v1", "StrimziPodSet", "strimzipodsets")
    first = stage.now
    old = first - timedelta(days=1), first + timedelta(days=364)
    consumer = {"volumes": [{"name": "trust", "secret": {"secretName": "hub-ca"}}]}
    stage.apply([
        *system(),
        {"apiVersion": f"{GROUP}/v1", "kind": "Kafka", "metadata": {"name": "hub", "namespace": "streams"}, "spec": {
            "kafka": {"version": "4.1.0", "listeners": [{"name": "tls", "port": 9093, "type": "internal", "tls": True}]},
            "clusterCa": {"validityDays": 365, "renewalDays": 60, "certificateExpirationPolicy": "replace-key"},
            "maintenanceTimeWindows": ["* * 9-11 ? * * *"]}},
        deployment("strimzi/strimzi-cluster-operator", container("strimzi-cluster-operator", "strimzi/operator:0.48.0", memory=("384Mi", "512Mi")), replicas=1),
        _authority("streams/hub-cluster-ca-cert", *old),
        _authority("parcels/hub-ca", *old),
        _authority("returns/hub-ca", *old, reflected=True),
        deployment("streams/hub-kafka-exporter", container("hub-kafka-exporter", "strimzi/kafka-exporter:1.9.0", port=9404, ready="/healthz"), replicas=1),
        service("streams/hub-kafka-exporter", 9404),
        deployment("parcels/tracker", container("tracker", "parcels/tracker:12.1.4", port=8080, ready="/q/health/ready", mounts={"trust": "/etc/kafka-trust"},
                   env={"KAFKA_BOOTSTRAP": "hub-kafka-bootstrap.streams:9093", "KAFKA_GROUP": "tracker", "KAFKA_TRUST": "/etc/kafka-trust/ca.crt"}), replicas=3, pod=consumer),
        service("parcels/tracker", 80, 8080),
        deployment("parcels/labels", container("labels", "parcels/labels:4.4.0", port=8080, ready="/ready")),
        deployment("returns/intake", container("intake", "returns/intake:2.8.3", port=8080, ready="/ready", mounts={"trust": "/etc/kafka-trust"},
                   env={"KAFKA_BOOTSTRAP": "hub-kafka-bootstrap.streams:9093", "KAFKA_GROUP": "intake"}), pod=consumer),
        deployment("tooling/reflector", container("reflector", "tooling/reflector:9.1.22"), replicas=1),
        daemon_set("tooling/log-shipper", container("log-shipper", "tooling/fluent-bit:4.1.0")),
    ])  # fmt: skip
    stage.apply(_brokers(stage.get(f"kafkas.{GROUP}/streams/hub")), manager="strimzi-cluster-operator")
    stage.apply(_broker_pods(stage), manager="strimzi-cluster-operator")
    stage.calm()
    _ready(stage)
    stage.wait(days=303, hours=23)
    fresh = stage.now, stage.now + timedelta(days=365)
    stage.apply([_authority("streams/hub-cluster-ca-cert", *fresh, generation=1)], manager="strimzi-cluster-operator")  # fmt: skip
    stage.wait(seconds=20)
    stage.apply([_authority("returns/hub-ca", *fresh, reflected=True, generation=1)], manager="reflector")
    stage.wait(minutes=12)
    for number in (0, 1, 2):
        stage.delete(f"pods/streams/hub-brokers-{number}")
    stage.calm()
    stage.cluster.until("brokers gone", lambda: not stage.pods("streams/hub-brokers"))
    stage.apply(_broker_pods(stage, generation=1), manager="strimzi-cluster-operator")
    stage.calm()
    rolled = stage.now
    _ready(stage)
    stage.wait(minutes=47)
    stage.heartbeat()
    read = "<%Y-%m-%d %H:%M:%S,%3> INFO  [par.tra.Scans] (vert.x-kafka-consumer-thread-<0-2>) <40-90> scans stored, offset <700000-799999>"
    failing = (
        "<%Y-%m-%d %H:%M:%S,%3> ERROR [org.apa.kaf.cli.NetworkClient] (vert.x-kafka-consumer-thread-<0-2>) [Consumer clientId=consumer-tracker-<1-3>, groupId=tracker] Connection to node -1 (hub-kafka-bootstrap.streams/10.96.31.8:9093) failed authentication due to: SSL handshake failed\n"
        "javax.net.ssl.SSLHandshakeException: (certificate_unknown) PKIX path validation failed: java.security.cert.CertPathValidatorException: Path does not chain with any of the trust anchors\n"
        "\tat java.base/sun.security.ssl.Alert.createSSLException(Alert.java:130)\n"
        "\tat java.base/sun.security.ssl.CertificateMessage$T13CertificateConsumer.checkServerCerts(CertificateMessage.java:1287)"
    )
    for n, pod in enumerate(stage.pods("parcels/tracker")):
        stage.log(
            f"parcels/{pod['metadata']['name']}",
            printed(rolled - timedelta(minutes=10, seconds=7 * n), [read] * 20, every_s=28)
            + "\n" + printed(rolled + timedelta(seconds=9 + n), [failing] * 24, every_s=112),
        )  # fmt: skip
    callers = [pod["status"]["podIP"] for pod in stage.pods("parcels/tracker")]
    for number in (0, 1, 2):
        stage.log(f"streams/hub-brokers-{number}", printed(rolled + timedelta(seconds=30), [
            f"<%Y-%m-%d %H:%M:%S> INFO  [data-plane-kafka-network-thread-{number}-ListenerName(TLS-9093)-SSL-<3-5>] Selector:629 - [SocketServer listenerType=BROKER, nodeId={number}] Failed authentication with /{callers[number]} (channelId=10.244.0.9:9093-10.244.0.7:<40000-59999>-<100-999>) (SSL handshake failed)",
            f"<%Y-%m-%d %H:%M:%S> INFO  [group-coordinator-event-processor-<0-3>] GroupMetadataManager:1 - [GroupCoordinator id={number}] Dynamic member with unknown member id joins group intake in Stable state",
        ] * 14, every_s=95))  # fmt: skip
    chatter(stage, "returns/intake", ["<%Y-%m-%d %H:%M:%S,%3> INFO  [ret.int.Parcels] (consumer-0) <4-30> returns booked"])  # fmt: skip
    chatter(stage, "parcels/labels", ['level=info msg="label printed" size=A6 ms=<14-40>'])
    chatter(stage, "strimzi/strimzi-cluster-operator", [
        "<%Y-%m-%d %H:%M:%S> INFO  AbstractOperator:512 - Reconciliation #<8000-8999>(timer) Kafka(streams/hub): reconciled",
    ], count=10)  # fmt: skip
    chatter(stage, "streams/hub-kafka-exporter", ["I<%m%d %H:%M:%S.%3>000       1 kafka_exporter.go:678] Fetching consumer group metrics"], count=6)  # fmt: skip
    stage.metric("kafka_group_lag", 'sum by (consumergroup, topic) (kafka_consumergroup_lag{namespace="streams"})', [
        ({"consumergroup": "tracker", "topic": "scans"}, whole([*about(40, 25, noise=0.6, of="t"), *slope(60, 412000, 47, of="t")])),
        ({"consumergroup": "intake", "topic": "returns"}, whole(about(9, 72, noise=0.9, of="i"))),
    ])  # fmt: skip
    stage.metric("kafka_group_members", 'kafka_consumergroup_members{namespace="streams"}', [
        ({"consumergroup": "tracker"}, [3.0] * 25 + [0.0] * 47), ({"consumergroup": "intake"}, [2.0] * 72),
    ])  # fmt: skip
    stage.fire(minutes_ago=31)


def _authority(place: str, begins: Any, ends: Any, *, reflected: bool = False, generation: int = 0) -> Body:
    """A Secret with the authority's certificate, as Strimzi publishes it or as somebody copied it."""
    made = tls_secret(place, "cluster-ca v0", begins, ends)
    made["type"] = "Opaque"
    made["data"] = {"ca.crt": made["data"]["tls.crt"]}
    if place.endswith("cluster-ca-cert"):
        made["metadata"] |= {
            "labels": {"strimzi.io/cluster": "hub", "strimzi.io/kind": "Kafka", "app.kubernetes.io/managed-by": "strimzi-cluster-operator"},
            "annotations": {"strimzi.io/ca-cert-generation": str(generation), "reflector.v1.k8s.emberstack.com/reflection-allowed": "true"},
        }  # fmt: skip
    elif reflected:
        made["metadata"]["annotations"] = {"reflector.v1.k8s.emberstack.com/reflects": "streams/hub-cluster-ca-cert"}  # fmt: skip
    return made


def _brokers(owner: Body) -> list[Body]:
    labels = {"strimzi.io/cluster": "hub", "strimzi.io/name": "hub-kafka"}
    mine = [{"apiVersion": owner["apiVersion"], "kind": "Kafka", "name": "hub", "uid": owner["metadata"]["uid"], "controller": False}]  # fmt: skip
    made: list[Body] = [
        {"apiVersion": "core.strimzi.io/v1", "kind": "StrimziPodSet", "metadata": {"name": "hub-brokers", "namespace": "streams", "labels": labels}, "spec": {
            "selector": {"matchLabels": {**labels, "strimzi.io/pool-name": "brokers"}}, "pods": []}},
        service("streams/hub-kafka-bootstrap", 9093, selector=labels),
        service("streams/hub-kafka-brokers", 9093, selector=labels, headless=True),
    ]  # fmt: skip
    for each in made:
        each["metadata"]["ownerReferences"] = mine
    return made


def _broker_pods(stage: Stage, generation: int = 0) -> list[Body]:
    owner = stage.get("strimzipodsets.core.strimzi.io/streams/hub-brokers")
    labels = {"strimzi.io/cluster": "hub", "strimzi.io/name": "hub-kafka", "strimzi.io/pool-name": "brokers"}
    mine = [{"apiVersion": owner["apiVersion"], "kind": "StrimziPodSet", "name": "hub-brokers", "uid": owner["metadata"]["uid"], "controller": True}]  # fmt: skip
    return [
        {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": f"hub-brokers-{n}", "namespace": "streams", "labels": labels, "ownerReferences": mine,
                         "annotations": {"strimzi.io/cluster-ca-cert-generation": str(generation)}},
            "spec": {
                "containers": [container("kafka", "strimzi/kafka:4.1.0", port=9093, memory=("1Gi", "2Gi"), mounts={"cluster-ca": "/opt/kafka/cluster-ca-certs"})],
                "volumes": [{"name": "cluster-ca", "secret": {"secretName": "hub-cluster-ca-cert"}}],
            },
        }
        for n in (0, 1, 2)
    ]  # fmt: skip


def _ready(stage: Stage) -> None:
    stage.status(f"kafkas.{GROUP}/streams/hub", {
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": stage.stamp()}], "observedGeneration": 1,
        "kafkaVersion": "4.1.0", "operatorLastSuccessfulVersion": "0.48.0",
    }, manager="strimzi-cluster-operator")  # fmt: skip
    stage.status("strimzipodsets.core.strimzi.io/streams/hub-brokers", {"pods": 3, "readyPods": 3, "currentPods": 3, "observedGeneration": 1}, manager="strimzi-cluster-operator")  # fmt: skip
