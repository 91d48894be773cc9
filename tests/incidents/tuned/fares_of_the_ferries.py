"""At night no ferry sails; of each partition the mark that ends the last transaction lies behind what anybody can read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.incidents.curves import about, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="ConsumerGroupStands of boarding at night: one offset of each partition is the mark of a committed transaction, and no fare is sold before five",
    half=Half.tuned,
    story=(
        "fares writes to the topic in transactions since release 5.0.0 of nine days ago. The mark that commits one takes an offset, which no consumer is given and which boarding's committed offset does not count,"
        " so kafka-exporter says 1 for each of six partitions whenever nothing comes. The rule fires when a group lags and its offsets do not move for an hour, which is so between the last ferry and the first one."
        " boarding has all there is: it has written as many tickets as were sold, and its client says 0. lounge was released in the evening; a broker was restarted on Saturday."
    ),
    sources=[
        "https://github.com/spring-projects/spring-kafka/issues/1587",
        "https://github.com/confluentinc/librdkafka/issues/3917",
        "https://kafka.apache.org/documentation/#basic_ops_consumer_lag",
        "https://github.com/danielqsj/kafka_exporter",
    ],
    labels={
        "alertname": "ConsumerGroupStands", "severity": "critical", "namespace": "ferries", "job": "kafka-exporter", "consumergroup": "boarding", "topic": "fares.sold",
    },
    annotations={
        "summary": "Group boarding lags behind fares.sold and has not moved for an hour.",
        "description": "6 messages of fares.sold wait for boarding, whose committed offsets are the same as an hour ago. See whether its pods are stuck.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip

RULES = """\
groups:
- name: kafka-groups
  rules:
  - alert: ConsumerGroupStands
    expr: |
      sum by (namespace, job, consumergroup, topic) (kafka_consumergroup_lag) > 0
      and sum by (namespace, job, consumergroup, topic) (delta(kafka_consumergroup_current_offset[1h])) == 0
    for: 15m
    labels: {severity: critical}
"""
LAST, FIRST = (0, 38), (5, 2)
"""When the last fare of a day is sold, and the first one."""
PARTITIONS = 6


def play(stage: Stage) -> None:
    kafka = {"KAFKA": "pier.ferries.svc:9092"}
    stage.apply([
        *system(),
        config_map("ferries/pier-settings", {"server.properties": "process.roles=broker,controller\nnum.partitions=6\ndefault.replication.factor=3\nmin.insync.replicas=2\ntransaction.state.log.replication.factor=3\ntransaction.state.log.min.isr=2\n"}),
        stateful_set("ferries/pier", container("kafka", "kafka:4.1.0", port=9092, cpu="300m", memory=("1Gi", "2Gi"), mounts={"settings": "/mnt/shared/config"}, readinessProbe={"tcpSocket": {"port": 9092}, "periodSeconds": 10}), replicas=3, podManagementPolicy="Parallel", pod={"volumes": [{"name": "settings", "configMap": {"name": "pier-settings"}}]}), service("ferries/pier", 9092, headless=True),
        deployment("ferries/fares", container("fares", "ferries/fares:4.9.3", port=8080, ready="/ready", alive="/alive", env={**kafka, "TOPIC": "fares.sold"}), replicas=3), service("ferries/fares", 80, 8080),
        deployment("ferries/boarding", container("boarding", "ferries/boarding:7.2.0", port=8080, ready="/ready", alive="/alive", env={**kafka, "TOPIC": "fares.sold", "GROUP": "boarding", "ISOLATION_LEVEL": "read_committed", "DB_HOST": "tickets.ferries.svc"})), service("ferries/boarding", 80, 8080),
        stateful_set("ferries/tickets", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("ferries/tickets", 5432, headless=True),
        deployment("ferries/kafka-exporter", container("exporter", "danielqsj/kafka-exporter:v1.9.0", port=9308, ready="/healthz", args=["--kafka.server=pier.ferries.svc:9092"]), replicas=1), service("ferries/kafka-exporter", 9308),
        deployment("harbour/lounge", container("lounge", "harbour/lounge:3.1.0", port=3000, ready="/up", env={"BOARDING_URL": "http://boarding.ferries.svc"})), service("harbour/lounge", 80, 3000),
        config_map("harbour/menus", {"menu.txt": "soup\nfish\n"}),
        config_map("alerts/kafka-groups", {"kafka-groups.yaml": RULES}),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 16, 9, 5, tzinfo=UTC))

    def transactional(body: Body) -> None:
        (one,) = body["spec"]["template"]["spec"]["containers"]
        one["image"] = "registry.example.com/ferries/fares:5.0.0"
        one["env"].append({"name": "TRANSACTIONAL_ID", "value": "fares"})

    stage.edit("deployments/ferries/fares", transactional)
    stage.calm()
    stage.clock.until(datetime(2026, 11, 21, 14, 33, tzinfo=UTC))
    stage.recovered("ferries/pier-1", restarts=1, code=143, lived_s=1500000, waited_s=6)
    stage.calm()
    stage.clock.until(datetime(2026, 11, 24, 18, 12, tzinfo=UTC))
    stage.kubectl("set", "image", "deployment/lounge", "lounge=registry.example.com/harbour/lounge:3.2.0", "-n", "harbour")  # fmt: skip
    stage.calm()
    stage.wait(minutes=41)
    stage.edit("configmaps/harbour/menus", lambda body: body["data"].update({"menu.txt": "soup\nfish\nwaffles\n"}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 25, 2, 20, tzinfo=UTC))
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=27)


def _logs(stage: Stage) -> None:
    ended = stage.now.replace(hour=LAST[0], minute=LAST[1], second=0)
    for n, pod in enumerate(stage.pods("ferries/boarding")):
        mine = ("0, 1, 2", "3, 4, 5")[n % 2]
        stage.log(f"ferries/{pod['metadata']['name']}", "\n".join([
            printed(ended - timedelta(minutes=40), ["<%Y-%m-%d %H:%M:%S.%3>  INFO boarding: ticket <100000-999999> written"] * 24, every_s=98),
            printed(ended + timedelta(minutes=4), [
                f"<%Y-%m-%d %H:%M:%S.%3>  INFO boarding: nothing to read, position is the end of partitions {mine}",
                "<%Y-%m-%d %H:%M:%S.%3> DEBUG o.a.k.c.c.internals.ConsumerCoordinator: Sending Heartbeat request with generation 88 to coordinator pier-2.pier.ferries.svc:9092",
            ] * 16, every_s=180),
        ]))  # fmt: skip
    for pod in stage.pods("ferries/fares"):
        stage.log(f"ferries/{pod['metadata']['name']}", "\n".join([
            printed(ended - timedelta(minutes=44), ["<%Y-%m-%d %H:%M:%S.%3>  INFO fares: fare <100000-999999> sold, transaction committed"] * 20, every_s=120),
            printed(ended + timedelta(minutes=9), ["<%Y-%m-%d %H:%M:%S.%3>  WARN o.a.k.c.NetworkClient: [Producer clientId=producer-fares, transactionalId=fares] Node -1 disconnected."] * 3, every_s=1500),
        ]))  # fmt: skip
    for n in range(3):
        stage.log(f"ferries/pier-{n}", printed(stage.ago(minutes=100), [
            "[<%Y-%m-%d %H:%M:%S,%3>] INFO [GroupCoordinator id=2] Group boarding with generation 88 is stable, 2 members" if n == 2 else "[<%Y-%m-%d %H:%M:%S,%3>] INFO [LocalLog partition=__consumer_offsets-<0-49>] Rolled new log segment",
            "[<%Y-%m-%d %H:%M:%S,%3>] WARN [SocketServer listenerType=BROKER, nodeId=1] Unexpected error from /10.20.0.<11-13> (channelId=<1000-9999>); closing connection (java.io.EOFException)" if n == 1 else "[<%Y-%m-%d %H:%M:%S,%3>] INFO [MetadataLoader id=0] ok",
        ] * 4, every_s=700))  # fmt: skip
    chatter(stage, "ferries/tickets", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=2, minutes=90)  # fmt: skip
    chatter(stage, "ferries/kafka-exporter", ["I<%m%d %H:%M:%S.%3>102       1 kafka_exporter.go:690] Fetching consumer group metrics", "E<%m%d %H:%M:%S.%3>530       1 kafka_exporter.go:611] Cannot get oldest offset of topic trial partition 0: the topic is gone"], count=20, minutes=60)  # fmt: skip
    chatter(stage, "harbour/lounge", ["GET /board 200 <8-30>ms"], count=10, minutes=60)


def _sails(at: datetime) -> bool:
    return not LAST <= (at.hour, at.minute) < FIRST


def _metrics(stage: Stage) -> None:
    """Every twenty minutes for eleven days; transactions since nine days ago."""
    count, step = 11 * 72, 1200
    end = stage.now.replace(microsecond=0)
    times = [end - timedelta(seconds=step * (count - 1 - n)) for n in range(count)]
    released = datetime(2026, 11, 16, 9, 5, tzinfo=UTC)
    sold = [rate if _sails(at) else 0.0 for at, rate in zip(times, about(0.21, count, noise=0.4), strict=True)]  # fmt: skip
    group: Body = {"namespace": "ferries", "job": "kafka-exporter", "consumergroup": "boarding", "topic": "fares.sold"}  # fmt: skip
    lags = [
        whole([(1.0 if at > released else 0.0) + (extra if _sails(at) else 0.0) for at, extra in zip(times, about(1, count, noise=1, of=f"lag {n}"), strict=True)])
        for n in range(PARTITIONS)
    ]  # fmt: skip
    stage.metric("lag", 'kafka_consumergroup_lag{consumergroup="boarding"}', [({**group, "partition": str(n)}, one) for n, one in enumerate(lags)], step_s=step)  # fmt: skip
    stage.metric("lag-sum", "sum by (namespace, job, consumergroup, topic) (kafka_consumergroup_lag)", [(group, [sum(one) for one in zip(*lags, strict=True)])], step_s=step)  # fmt: skip
    stage.metric("moved", "sum by (namespace, job, consumergroup, topic) (delta(kafka_consumergroup_current_offset[1h]))", [
        (group, whole([(7200 if at > released else 3600) * (sum(sold[max(0, n - 2) : n + 1]) / 3) for n, at in enumerate(times)])),
    ], step_s=step)  # fmt: skip
    stage.metric("client-lag", 'max by (namespace, client_id, topic) (kafka_consumer_fetch_manager_records_lag_max{topic="fares.sold"})', [
        ({"namespace": "ferries", "client_id": f"boarding-{n}", "topic": "fares.sold"}, whole([extra if _sails(at) else 0.0 for at, extra in zip(times, about(1, count, noise=1, of=f"client {n}"), strict=True)])) for n in range(2)
    ], step_s=step)  # fmt: skip
    stage.metric("sold", 'sum by (namespace, service) (rate(fares_sold_total[20m]))', [({"namespace": "ferries", "service": "fares"}, sold)], step_s=step)  # fmt: skip
    stage.metric("written", 'sum by (namespace, service) (rate(boarding_tickets_written_total[20m]))', [({"namespace": "ferries", "service": "boarding"}, sold)], step_s=step)  # fmt: skip
    stage.metric("members", 'kafka_consumergroup_members{consumergroup="boarding"}', [({"namespace": "ferries", "job": "kafka-exporter", "consumergroup": "boarding"}, [2.0] * count)], step_s=step)  # fmt: skip
    stage.metric("under-replicated", "sum by (namespace, job, topic) (kafka_topic_partition_under_replicated_partition)", [({"namespace": "ferries", "job": "kafka-exporter", "topic": "fares.sold"}, [0.0] * count)], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m]))', [
        ({"namespace": "ferries", "service": "fares"}, [0.0] * count), ({"namespace": "ferries", "service": "boarding"}, [0.0] * count),
    ], step_s=step)  # fmt: skip
