"""A consumer reads under a new group since a release; what is left of the old group lags, as nobody reads with it."""

from __future__ import annotations

from tests.incidents.curves import about, slope, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="The ledger feed reads as group ledger-feed-b since two days; the old group's offsets stay and seem to lag",
    half=Half.tuned,
    story=(
        "To read the topic again from its beginning, the ledger feed was given another consumer group two days ago, and has long caught up. Kafka keeps"
        " the old group's offsets for a week after its last member left, so the exporter reports a lag that grows with the topic. Nobody reads with that group, and"
        " nothing is late. One broker restarted an hour ago for a new certificate, and mailing had a release."
    ),
    sources=[
        "https://kafka.apache.org/documentation/#brokerconfigs_offsets.retention.minutes",
        "https://github.com/danielqsj/kafka_exporter#metrics",
        "https://github.com/danielqsj/kafka_exporter/issues/100",
        "https://kafka.apache.org/documentation/#basic_ops_consumer_group",
    ],
    labels={
        "alertname": "KafkaConsumerGroupLagHigh",
        "severity": "warning",
        "namespace": "bus",
        "consumergroup": "ledger-feed",
        "topic": "payments.booked",
        "job": "kafka-exporter",
        "pod": "{pod:bus/kafka-exporter-}",
        "container": "exporter",
    },
    annotations={"summary": "Group ledger-feed lags behind payments.booked by more than a million messages."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip


def play(stage: Stage) -> None:
    brokers = "kafka.bus.svc:9092"
    stage.apply(system())
    stage.apply([
        stateful_set("bus/kafka", container("kafka", "kafka:4.1.0", port=9092, cpu="500m", memory=("2Gi", "3Gi")), replicas=3),
        service("bus/kafka", 9092, headless=True),
        deployment("bus/kafka-exporter", container("exporter", "danielqsj/kafka-exporter:v1.9.0", port=9308, ready="/healthz", args=[f"--kafka.server={brokers}"]), replicas=1),
        service("bus/kafka-exporter", 9308),
        deployment("ledger/feed", container("feed", "ledger/feed:3.9.0", port=8080, ready="/ready", alive="/alive", memory=("512Mi", "1Gi"),
                                            env={"BROKERS": brokers, "TOPIC": "payments.booked", "GROUP": "ledger-feed", "OFFSET_RESET": "latest"}), replicas=3),
        deployment("ledger/book", container("book", "ledger/book:14.0.1", port=8080, ready="/ready")),
        service("ledger/book", 80, 8080),
        deployment("payments/booking", container("booking", "payments/booking:8.5.0", port=8080, ready="/ready", env={"BROKERS": brokers, "TOPIC": "payments.booked"}), replicas=3),
        service("payments/booking", 80, 8080),
        deployment("mail/mailing", container("mailing", "mail/mailing:2.7.7", port=8080, ready="/ready", env={"BROKERS": brokers, "TOPIC": "payments.booked", "GROUP": "mailing"}), replicas=2),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=19, hours=7)

    def other_group(body: Body) -> None:
        for one in body["spec"]["template"]["spec"]["containers"][0]["env"]:
            one["value"] = {"GROUP": "ledger-feed-b", "OFFSET_RESET": "earliest"}.get(
                one["name"], one["value"]
            )

    stage.edit("deployments/ledger/feed", other_group)
    stage.calm()
    stage.wait(days=2, hours=1)
    stage.delete("pods/bus/kafka-2")
    stage.calm()
    stage.wait(minutes=31)
    stage.kubectl(
        "set", "image", "deployment/mailing", "mailing=registry.example.com/mail/mailing:2.8.0", "-n", "mail"
    )
    stage.calm()
    stage.wait(minutes=33)
    stage.heartbeat()
    chatter(
        stage,
        "ledger/feed",
        [
            '{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"batch booked","group":"ledger-feed-b","records":<20-90>,"behind":<0-60>}'
        ],
        count=30,
    )
    chatter(stage, "ledger/book", ["INFO  book.http POST /entries 201 <4-14>ms"])
    chatter(stage, "payments/booking", ["INFO  booking: sent payments.booked partition=<0-5> acks=all"])
    chatter(stage, "mail/mailing", ["INFO  mailing: letter queued for payment <1000000-1999999>"])
    chatter(stage, "bus/kafka-", [
        "[<%Y-%m-%d %H:%M:%S,%3>] INFO [GroupMetadataManager brokerId=0] Removed 0 expired offsets in 0 milliseconds. (kafka.coordinator.group.GroupMetadataManager)",
    ], count=5, minutes=50)  # fmt: skip
    for pod in stage.pods("bus/kafka-exporter"):
        # `chatter` gave it the brokers' lines, as its name begins alike.
        stage.log(
            f"bus/{pod['metadata']['name']}",
            "I1125 16:20:03.104418       1 kafka_exporter.go:664] Refreshing client metadata",
        )
    _metrics(stage)
    stage.fire(minutes_ago=34)


def _metrics(stage: Stage) -> None:
    """Every half an hour for three days; the group was left 50.1 hours ago."""
    count, since = 144, 100
    here = {"namespace": "bus", "job": "kafka-exporter", "topic": "payments.booked"}
    step = {"step_s": 1800}
    stage.metric("lag", "sum by (namespace, job, consumergroup, topic) (kafka_consumergroup_lag)", [
        ({**here, "consumergroup": "ledger-feed"}, whole([*about(40, count - since, noise=0.6), *slope(60, 1012000, since, noise=0.001)])),
        ({**here, "consumergroup": "ledger-feed-b"}, whole([*slope(3900000, 60, 6), *about(41, since - 6, noise=0.6)])),
        ({**here, "consumergroup": "mailing"}, whole(about(22, count, noise=0.7))),
    ], **step)  # fmt: skip
    stage.metric("members", "kafka_consumergroup_members", [
        ({"namespace": "bus", "job": "kafka-exporter", "consumergroup": "ledger-feed"}, [*[3.0] * (count - since), *[0.0] * since]),
        ({"namespace": "bus", "job": "kafka-exporter", "consumergroup": "ledger-feed-b"}, [3.0] * since),
        ({"namespace": "bus", "job": "kafka-exporter", "consumergroup": "mailing"}, [2.0] * count),
    ], **step)  # fmt: skip
    stage.metric(
        "produced",
        "sum by (namespace, job, topic) (rate(kafka_topic_partition_current_offset[5m]))",
        [(here, about(5.6, count, noise=0.2))],
        **step,
    )
    stage.metric("consumed", "sum by (namespace, job, consumergroup, topic) (rate(kafka_consumergroup_current_offset[5m]))", [
        ({**here, "consumergroup": "ledger-feed"}, [*about(5.6, count - since, noise=0.2), *[0.0] * since]),
        ({**here, "consumergroup": "ledger-feed-b"}, [*about(370, 6, noise=0.1), *about(5.6, since - 6, noise=0.2)]),
        ({**here, "consumergroup": "mailing"}, about(5.6, count, noise=0.2)),
    ], **step)  # fmt: skip
