"""A producer's settings were changed to another serializer; a consumer of another team cannot read past the first such record."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.incidents.curves import about, slope, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="The order writer sends JSON since its settings were changed, and shipments cannot read past the first such record",
    half=Half.tuned,
    story=(
        "The settings of the order writer name JsonSerializer for values instead of Avro with a schema's id since fifty minutes ago, when it"
        " was also restarted. Shipments, a consumer of another team, fails at the first such record of each partition and tries again for ever;"
        " the lake's writer copies bytes and notices nothing. Shipments had a release two hours ago. The alert's text blames the brokers."
    ),
    sources=[
        "https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html",
        "https://docs.spring.io/spring-kafka/reference/kafka/serdes.html",
        "https://github.com/apache/kafka/blob/trunk/clients/src/main/java/org/apache/kafka/common/errors/RecordDeserializationException.java",
        "https://github.com/danielqsj/kafka_exporter#metrics",
    ],
    labels={
        "alertname": "KafkaConsumerGroupLagHigh",
        "severity": "critical",
        "namespace": "streams",
        "consumergroup": "shipments",
        "topic": "orders.placed",
        "job": "kafka-exporter",
        "pod": "{pod:streams/kafka-exporter-}",
        "container": "exporter",
    },
    annotations={
        "summary": "Group shipments lags behind orders.placed.",
        "description": "Third time this month. The brokers are too slow again: restart kafka-0 to kafka-2 one after the other.",
    },
    causes=["ConfigMap/orders/order-writer-settings", "Deployment/orders/order-writer"],
    says=[["serializer"], ["JsonSerializer"], ["deserializ", "magic byte"]],
    innocent=["StatefulSet/streams/kafka", "Deployment/streams/kafka-exporter", "Deployment/dispatch/shipments"],
    traits=frozenset({Trait.innocent, Trait.false_narrative}),
)  # fmt: skip

AVRO, JSON = (
    "io.confluent.kafka.serializers.KafkaAvroSerializer",
    "org.springframework.kafka.support.serializer.JsonSerializer",
)
SETTINGS = f"""\
spring.kafka.producer.acks=all
spring.kafka.producer.key-serializer=org.apache.kafka.common.serialization.StringSerializer
spring.kafka.producer.value-serializer={AVRO}
spring.kafka.producer.properties.schema.registry.url=http://schemas.streams:8081
orders.topic=orders.placed
orders.audit=false
"""


def play(stage: Stage) -> None:
    brokers = "kafka.streams.svc:9092"
    stage.apply(system())
    stage.apply([
        stateful_set("streams/kafka", container("kafka", "kafka:4.1.0", port=9092, cpu="500m", memory=("2Gi", "3Gi")), replicas=3),
        service("streams/kafka", 9092, headless=True),
        deployment("streams/schemas", container("schemas", "cp-schema-registry:8.0.1", port=8081, ready="/subjects", env={"SCHEMA_REGISTRY_KAFKASTORE_BOOTSTRAP_SERVERS": brokers}), replicas=1),
        service("streams/schemas", 8081),
        deployment("streams/kafka-exporter", container("exporter", "danielqsj/kafka-exporter:v1.9.0", port=9308, ready="/healthz", args=[f"--kafka.server={brokers}"]), replicas=1),
        service("streams/kafka-exporter", 9308),
        config_map("orders/order-writer-settings", {"application.properties": SETTINGS}),
        deployment("orders/order-writer", container("order-writer", "orders/order-writer:6.3.1", port=8080, ready="/actuator/health/readiness", memory=("512Mi", "1Gi"),
                                                    env={"SPRING_KAFKA_BOOTSTRAP_SERVERS": brokers}, mounts={"settings": "/app/config"}), replicas=3,
                   pod={"volumes": [{"name": "settings", "configMap": {"name": "order-writer-settings"}}]}),
        service("orders/order-writer", 80, 8080),
        deployment("orders/history", container("history", "orders/history:2.2.0", port=8080, ready="/ready")),
        service("orders/history", 80, 8080),
        deployment("dispatch/shipments", container("shipments", "dispatch/shipments:11.0.4", port=8080, ready="/actuator/health/readiness", memory=("512Mi", "1Gi"), env={
            "SPRING_KAFKA_BOOTSTRAP_SERVERS": brokers, "SPRING_KAFKA_CONSUMER_GROUP_ID": "shipments", "SHIPMENTS_TOPIC": "orders.placed",
            "SPRING_KAFKA_CONSUMER_VALUE_DESERIALIZER": "io.confluent.kafka.serializers.KafkaAvroDeserializer", "SPRING_KAFKA_PROPERTIES_SCHEMA_REGISTRY_URL": "http://schemas.streams:8081",
        }), replicas=3),
        deployment("dispatch/labels", container("labels", "dispatch/labels:1.4.0", port=8000, ready="/up")),
        service("dispatch/labels", 80, 8000),
        deployment("lake/raw-writer", container("raw-writer", "lake/raw-writer:0.40.2", env={"BROKERS": brokers, "GROUP": "raw-writer", "TOPICS": "orders.placed,stock.moved", "OUT": "s3://lake/raw"}), replicas=2),
        deployment("stock/mover", container("mover", "stock/mover:8.8.0", port=8080, ready="/ready", env={"BROKERS": brokers, "TOPIC": "stock.moved"})),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=17, hours=5)
    stage.kubectl(
        "set",
        "image",
        "deployment/shipments",
        "shipments=registry.example.com/dispatch/shipments:11.0.5",
        "-n",
        "dispatch",
    )
    stage.calm()
    stage.wait(hours=1, minutes=11)

    def as_json(body: Body) -> None:
        body["data"]["application.properties"] = SETTINGS.replace(AVRO, JSON).replace(
            "orders.audit=false", "orders.audit=true"
        )

    stage.edit("configmaps/orders/order-writer-settings", as_json)
    stage.wait(minutes=2)
    stage.restart("deployments/orders/order-writer")
    stage.calm()
    since = stage.now
    stage.wait(minutes=48)
    stage.kubectl("scale", "deployment/labels", "--replicas=3", "-n", "dispatch")
    stage.calm()
    stage.wait(minutes=3)
    stage.heartbeat()
    _logs(stage, since)
    _metrics(stage)
    stage.fire(minutes_ago=37)


def _logs(stage: Stage, since: datetime) -> None:
    well = "<%Y-%m-%dT%H:%M:%S.%3>Z  INFO 1 --- [ntainer#0-<0-2>-C-1] c.e.dispatch.ShipmentListener : shipment planned order=<7000000-7999999>"
    for n, pod in enumerate(stage.pods("dispatch/shipments")):
        offset = 88120000 + 1931 * n
        failed = "\n".join([
            "<%Y-%m-%dT%H:%M:%S.%3>Z ERROR 1 --- [ntainer#0-<0-2>-C-1] o.s.k.l.KafkaMessageListenerContainer : Consumer exception",
            "java.lang.IllegalStateException: This error handler cannot process 'SerializationException's directly; please consider configuring an 'ErrorHandlingDeserializer' in the value and/or key deserializer",
            "\tat org.springframework.kafka.listener.DefaultErrorHandler.handleOtherException(DefaultErrorHandler.java:198)",
            f"Caused by: org.apache.kafka.common.errors.RecordDeserializationException: Error deserializing VALUE for partition orders.placed-{n} at offset {offset}. If needed, please seek past the record to continue consumption.",
            "\tat org.apache.kafka.clients.consumer.internals.CompletedFetch.newRecordDeserializationException(CompletedFetch.java:346)",
            "Caused by: org.apache.kafka.common.errors.SerializationException: Unknown magic byte!",
            "\tat io.confluent.kafka.serializers.AbstractKafkaSchemaSerDe.getByteBuffer(AbstractKafkaSchemaSerDe.java:643)",
        ])  # fmt: skip
        stage.log(f"dispatch/{pod['metadata']['name']}", "\n".join([
            printed(since - timedelta(minutes=30) + timedelta(seconds=3 * n), [well] * 30, every_s=59),
            printed(since + timedelta(seconds=8 + n), [failed] * 24, every_s=118),
        ]))  # fmt: skip
    for n, pod in enumerate(stage.pods("orders/order-writer")):
        stage.log(f"orders/{pod['metadata']['name']}", printed(since + timedelta(seconds=n), [
            "<%Y-%m-%dT%H:%M:%S.%3>Z  INFO 1 --- [main] c.e.orders.OrderWriterApplication : Started OrderWriterApplication in 6.<100-999> seconds",
            f"<%Y-%m-%dT%H:%M:%S.%3>Z  INFO 1 --- [main] o.a.k.clients.producer.ProducerConfig : ProducerConfig values: acks = -1 value.serializer = class {JSON}",
            *["<%Y-%m-%dT%H:%M:%S.%3>Z  INFO 1 --- [nio-8080-exec-<1-9>] c.e.orders.PlaceOrder : order placed <7000000-7999999>"] * 40,
        ], every_s=70))  # fmt: skip
    chatter(stage, "streams/kafka-", [
        "[<%Y-%m-%d %H:%M:%S,%3>] INFO [GroupMetadataManager brokerId=0] Removed 0 expired offsets in 0 milliseconds. (kafka.coordinator.group.GroupMetadataManager)",
        "[<%Y-%m-%d %H:%M:%S,%3>] INFO [UnifiedLog partition=orders.placed-1, dir=/var/lib/kafka/data] Rolled new log segment at offset <88000000-88999999> in 3 ms. (org.apache.kafka.storage.internals.log.UnifiedLog)",
    ], count=8, minutes=45)  # fmt: skip
    for pod in stage.pods("streams/kafka-exporter"):
        stage.log(
            f"streams/{pod['metadata']['name']}",
            printed(
                stage.ago(minutes=50),
                ["I<%m%d %H:%M:%S>.<100000-999999>       1 kafka_exporter.go:664] Refreshing client metadata"]
                * 40,
                every_s=60,
            ),
        )
    chatter(
        stage,
        "streams/schemas",
        [
            '[<%Y-%m-%d %H:%M:%S,%3>] INFO 10.244.1.<3-9> - - "GET /schemas/ids/41?fetchMaxId=false HTTP/1.1" 200 1432 "-" "Java/21" <1-4> (io.confluent.rest-utils.requests)'
        ],
    )
    chatter(
        stage,
        "lake/raw-writer",
        ["INFO wrote object=s3://lake/raw/orders.placed/<1000-9999>.bin records=<300-900>"],
    )
    chatter(stage, "stock/mover", ["INFO moved sku=<1000-9999> topic=stock.moved"])


def _metrics(stage: Stage) -> None:
    before, since = 39, 51
    count = before + since
    here = {"namespace": "streams", "job": "kafka-exporter"}
    groups = (("shipments", "orders.placed"), ("raw-writer", "orders.placed"), ("raw-writer", "stock.moved"))
    stage.metric("lag", "sum by (namespace, job, consumergroup, topic) (kafka_consumergroup_lag)", [
        ({**here, "consumergroup": group, "topic": topic},
         whole([*about(9, before, noise=0.9), *slope(60, 41 * 60 * since, since)]) if group == "shipments" else whole(about(30, count, noise=0.9, of=topic)))
        for group, topic in groups
    ])  # fmt: skip
    stage.metric("consumed", "sum by (namespace, job, consumergroup, topic) (rate(kafka_consumergroup_current_offset[5m]))", [
        ({**here, "consumergroup": group, "topic": topic},
         [*about(41, before), *slope(33, 0, 5), *[0.0] * (since - 5)] if group == "shipments" else about(41 if topic.startswith("orders") else 12, count))
        for group, topic in groups
    ])  # fmt: skip
    stage.metric("produced", "sum by (namespace, job, topic) (rate(kafka_topic_partition_current_offset[5m]))", [
        ({**here, "topic": "orders.placed"}, about(41, count)), ({**here, "topic": "stock.moved"}, about(12, count)),
    ])  # fmt: skip
    stage.metric("members", "kafka_consumergroup_members", [
        ({**here, "consumergroup": "shipments"}, [3.0] * count), ({**here, "consumergroup": "raw-writer"}, [2.0] * count),
    ])  # fmt: skip
