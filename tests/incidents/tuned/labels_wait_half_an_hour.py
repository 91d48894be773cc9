"""A queue is meant to have no consumer: messages expire from it into the one that is worked on."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

from tests.incidents.curves import about, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="RabbitmqNoQueueConsumer of labels.again, where labels wait for half an hour until they expire into the queue that is worked on",
    half=Half.tuned,
    story=(
        "The carrier allows so many labels a minute; what it answers with 429 the printer puts into labels.again, which has a time to live of half an hour and dead-letters into labels. Nobody is to consume"
        " it. By day some messages are always in it, none for longer than half an hour, and all of them are printed at the second or third try; labels.given-up is empty. The rule was told yesterday to watch"
        " all queues. printer was released in the morning; a broker restarted in the night of Sunday."
    ),
    sources=[
        "https://samber.github.io/awesome-prometheus-alerts/rules#rabbitmq",
        "https://www.rabbitmq.com/docs/ttl",
        "https://www.rabbitmq.com/docs/dlx",
        "https://github.com/rabbitmq/rabbitmq-server/blob/main/deps/rabbitmq_prometheus/metrics.md",
    ],
    labels={
        "alertname": "RabbitmqNoQueueConsumer",
        "severity": "critical",
        "namespace": "florist",
        "service": "hare",
        "vhost": "/",
        "queue": "labels.again",
    },
    annotations={
        "summary": "Queue labels.again has messages and no consumer.",
        "description": "34 messages are ready in labels.again and nobody has consumed it for 15 minutes. Check that the consumers of florist are running.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)

RULE = """\
groups:
- name: rabbitmq
  rules:
  - alert: RabbitmqNoQueueConsumer
    expr: rabbitmq_detailed_queue_consumers{%s} == 0 and rabbitmq_detailed_queue_messages_ready > 0
    for: 15m
    labels:
      severity: critical
"""


def _queue(name: str, **arguments: object) -> Body:
    return {"name": name, "vhost": "/", "durable": True, "auto_delete": False, "arguments": {"x-queue-type": "classic", **arguments}}  # fmt: skip


def _back(to: str) -> Body:
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": to}


DEFINITIONS = json.dumps({
    "queues": [
        _queue("orders", **_back("orders.given-up")), _queue("orders.given-up"),
        _queue("labels"), _queue("labels.again", **_back("labels"), **{"x-message-ttl": 1800000}), _queue("labels.given-up"),
    ],
    "exchanges": [], "bindings": [],
}, indent=1)  # fmt: skip


def play(stage: Stage) -> None:
    amqp = {"AMQP": "amqp://hare.florist.svc:5672"}
    stage.apply([
        *system(),
        config_map("florist/hare-definitions", {"definitions.json": DEFINITIONS, "rabbitmq.conf": "load_definitions = /etc/rabbitmq/definitions.json\n"}),
        stateful_set("florist/hare", container("rabbitmq", "rabbitmq:4.1.4", port=5672, cpu="200m", memory=("512Mi", "1Gi"), mounts={"definitions": "/etc/rabbitmq"}, ports=[{"name": "amqp", "containerPort": 5672}, {"name": "prometheus", "containerPort": 15692}], readinessProbe={"exec": {"command": ["rabbitmq-diagnostics", "check_port_connectivity"]}, "periodSeconds": 30, "timeoutSeconds": 10}), replicas=3, pod={"volumes": [{"name": "definitions", "configMap": {"name": "hare-definitions"}}]}), service("florist/hare", 5672, headless=True),
        deployment("florist/printer", container("printer", "florist/printer:3.8.0", port=8080, ready="/ready", alive="/alive", env={**amqp, "CONSUME": "labels", "TRY_AGAIN": "labels.again", "GIVE_UP": "labels.given-up", "TRIES": "8", "CARRIER_URL": "https://labels.carrier.example.net"})), service("florist/printer", 80, 8080),
        deployment("florist/bouquets", container("bouquets", "florist/bouquets:11.2.3", port=8080, ready="/ready", env={**amqp, "CONSUME": "orders", "PUBLISH": "labels"}), replicas=3), service("florist/bouquets", 80, 8080),
        config_map("florist/ribbons", {"ribbons.csv": "red\nwhite\n"}),
        deployment("florist/vases", container("vases", "florist/vases:1.0.9", port=8080, ready="/ready"), replicas=1), service("florist/vases", 80, 8080),
        config_map("alerting/rabbitmq-rules", {"rabbitmq.yaml": RULE % 'queue=~"orders|labels"'}),
        deployment("web/flowers", container("flowers", "web/flowers:33.1.0", port=3000, ready="/up", env={"AMQP": "amqp://hare.florist.svc:5672", "VASES_URL": "http://vases.florist.svc"})), service("web/flowers", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 22, 3, 11, tzinfo=UTC))
    stage.recovered("florist/hare-1", restarts=1, code=143, lived_s=1600000)
    stage.clock.until(datetime(2026, 11, 24, 15, 33, tzinfo=UTC))
    stage.edit("configmaps/alerting/rabbitmq-rules", lambda body: body["data"].update({"rabbitmq.yaml": RULE % 'queue!=""'}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 25, 9, 26, tzinfo=UTC))
    stage.kubectl("set", "image", "deployment/printer", "printer=registry.example.com/florist/printer:3.8.1", "-n", "florist")  # fmt: skip
    stage.calm()
    stage.wait(minutes=34)
    stage.edit("configmaps/florist/ribbons", lambda body: body["data"].update({"ribbons.csv": "red\nwhite\ngreen\n"}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 25, 10, 52, tzinfo=UTC))
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=157)


def _logs(stage: Stage) -> None:
    front = '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"'
    done = front + 'info","msg":"label printed","order":<400000-499999>,"try":1}'
    later = front + 'info","msg":"label printed","order":<400000-499999>,"try":<2-3>}'
    refused = (
        front
        + 'warn","msg":"carrier answered 429 Too Many Requests","order":<400000-499999>,"try":1,"again_in":"30m","queue":"labels.again"}'
    )
    for n, pod in enumerate(stage.pods("florist/printer")):
        lines = [done, done, refused, done, later, done, done, done, refused, later]
        stage.log(f"florist/{pod['metadata']['name']}", printed(stage.ago(minutes=60, seconds=-3 * n), lines * 12, every_s=29))  # fmt: skip
    chatter(stage, "florist/bouquets", ["INFO  bouquets: order <400000-499999> bound, label wanted", "WARN  bouquets: no tulips in house <1-9>, roses taken", "INFO  bouquets: order <400000-499999> bound, label wanted"], count=40, minutes=60)  # fmt: skip
    chatter(stage, "florist/hare", [
        "<%Y-%m-%d %H:%M:%S.%3>+00:00 [info] <0.2911.0> accepting AMQP connection <0.2911.0> (10.244.1.7:<30000-60000> -> 10.244.2.5:5672)",
        "<%Y-%m-%d %H:%M:%S.%3>+00:00 [warning] <0.2911.0> closing AMQP connection <0.2911.0> (10.244.1.7:<30000-60000> -> 10.244.2.5:5672, vhost: '/', user: 'flowers'): client unexpectedly closed TCP connection",
    ], count=8, minutes=60)  # fmt: skip
    chatter(stage, "florist/vases", ["INFO  vases: GET /vases 200 <2-9>ms"], minutes=60)
    chatter(stage, "web/flowers", ["POST /orders 201 <30-90>ms", "GET /bunches/<10-99> 200 <10-40>ms"], count=40, minutes=60)  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every ten minutes for eight days."""
    count, step = 8 * 144, 600
    end = stage.now.replace(microsecond=0)
    hours = [at.hour + at.minute / 60 for at in (end - timedelta(seconds=step * (count - 1 - n)) for n in range(count))]  # fmt: skip
    busy = [max(0.0, math.exp(-((hour - 12) ** 2) / 14) - 0.3) / 0.7 for hour in hours]
    # Labels are printed from eight to four.
    again = whole([36 * b * n for b, n in zip(busy, about(1, count, noise=0.2, of="again"), strict=True)])
    here: Body = {"namespace": "florist", "service": "hare", "vhost": "/"}
    names = ("orders", "labels", "labels.again", "labels.given-up", "orders.given-up")
    consumers = {"orders": 3.0, "labels": 2.0}
    stage.metric("consumers", 'max by (namespace, service, vhost, queue) (rabbitmq_detailed_queue_consumers{namespace="florist"})', [
        ({**here, "queue": name}, [consumers.get(name, 0.0)] * count) for name in names
    ], step_s=step)  # fmt: skip
    ready = {
        "orders": whole(about(1.0, count, noise=1.0, of="orders")),
        "labels": whole(about(1.2, count, noise=1.0, of="labels")),
        "labels.again": again,
    }
    stage.metric("ready", 'max by (namespace, service, vhost, queue) (rabbitmq_detailed_queue_messages_ready{namespace="florist"})', [
        ({**here, "queue": name}, ready.get(name, [0.0] * count)) for name in names
    ], step_s=step)  # fmt: skip
    stage.metric("oldest", 'max by (namespace, service, vhost, queue) (time() - rabbitmq_detailed_queue_head_message_timestamp{queue="labels.again"})', [
        ({**here, "queue": "labels.again"}, [min(1799.0, 900 + 45.0 * much + n % 7) if much else 0.0 for n, much in enumerate(again)]),
    ], step_s=step)  # fmt: skip
    stage.metric("printed", "sum by (namespace, service, result) (rate(labels_total[30m]))", [
        ({"namespace": "florist", "service": "printer", "result": "printed"}, [0.063 * b * n for b, n in zip(busy, about(1, count, noise=0.08, of="printed"), strict=True)]),
        ({"namespace": "florist", "service": "printer", "result": "again"}, [much / 1800 for much in again]),
        ({"namespace": "florist", "service": "printer", "result": "given-up"}, [0.0] * count),
    ], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "web", "service": "flowers"}, about(0.0004, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
