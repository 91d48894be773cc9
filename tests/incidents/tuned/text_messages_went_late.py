"""A provider outside refused text messages for nine minutes; the retries have been delivered, the alert's window is long."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="Text messages were refused by the provider for nine minutes and have gone out since",
    half=Half.tuned,
    story=(
        "The provider answers 503 from minute 34 to minute 25 before now. The sender retries; everything queued has been"
        " delivered for twenty minutes. The rule looks at 30 minutes, so it still fires."
    ),
    sources=[
        "https://sre.google/workbook/alerting-on-slos/",
        "https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/",
    ],
    labels={
        "alertname": "TextMessagesFailing",
        "namespace": "outreach",
        "service": "sender",
        "channel": "sms",
        "severity": "warning",
    },
    annotations={"summary": "More than 10 % of text messages failed within 30 minutes."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
)


def play(stage: Stage) -> None:
    stage.apply(system())
    stage.apply([
        deployment("outreach/sender", container("sender", "outreach/sender:6.8.0", port=8080, ready="/ready", alive="/live", env={"SMS_URL": "https://sms.partner.example/v1/messages"}), replicas=3),
        service("outreach/sender", 80, 8080),
        deployment("outreach/campaigns", container("campaigns", "outreach/campaigns:2.5.3", port=3000, ready="/up")),
        service("outreach/campaigns", 80, 3000),
        stateful_set("outreach/queue", container("rabbitmq", "rabbitmq:4.1.4", port=5672, memory=("512Mi", "1Gi"))),
        service("outreach/queue", 5672, headless=True),
        deployment("outreach/templates", container("templates", "outreach/templates:1.1.8", port=8000, ready="/healthz"), replicas=1),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=14, hours=5)
    stage.heartbeat()
    began, ended = stage.ago(minutes=34), stage.ago(minutes=25)
    sent = '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"message delivered","channel":"sms","provider_status":202,"attempt":1,"ms":<90-240>}'
    refused = '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"provider refused, will retry","channel":"sms","url":"https://sms.partner.example/v1/messages","provider_status":503,"attempt":<1-4>,"retry_in":"<20-90>s"}'
    again = '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"message delivered","channel":"sms","provider_status":202,"attempt":<2-6>,"ms":<90-240>}'
    for n, pod in enumerate(stage.pods("outreach/sender")):
        shift = timedelta(seconds=4 * n)
        stage.log(f"outreach/{pod['metadata']['name']}", "\n".join([
            printed(began - timedelta(minutes=15) + shift, [sent] * 25, every_s=35),
            printed(began + shift, [refused] * 27, every_s=19),
            printed(ended + shift, ['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"provider answers again, draining retries","queued":<600-900>}', *[again] * 30], every_s=9),
            printed(ended + timedelta(minutes=5) + shift, [sent] * 34, every_s=35),
        ]))  # fmt: skip
    chatter(stage, "outreach/campaigns", [
        'Started GET "/campaigns/<100-999>" for 10.244.0.1 at <%Y-%m-%d %H:%M:%S> +0000',
        "Completed 200 OK in <12-60>ms (Views: 8.1ms | ActiveRecord: 3.<1-9>ms | GC: 0.0ms)",
    ])  # fmt: skip
    sender, broker = (stage.pod(f"outreach/{name}")["status"]["podIP"] for name in ("sender", "queue"))
    chatter(
        stage,
        "outreach/queue",
        [
            f"<%Y-%m-%d %H:%M:%S.%3>000+00:00 [info] <0.<900-999>.0> connection {sender}:<40000-59999> -> {broker}:5672: user 'sender' authenticated and granted access to vhost '/'"
        ],
        count=5,
        minutes=50,
    )
    chatter(
        stage,
        "outreach/templates",
        ["<%Y-%m-%d %H:%M:%S,%3> INFO templates.render rendered reminder_<1-9> in <3-12> ms"],
    )
    stage.metric("sms_failed_ratio", 'sum(rate(messages_total{channel="sms",outcome="failed"}[2m])) / sum(rate(messages_total{channel="sms"}[2m]))', [
        ({"namespace": "outreach", "channel": "sms"}, [0.001] * 16 + [0.3, 0.8, 1, 1, 1, 1, 1, 1, 0.9, 0.4, 0.05] + [0.001, 0.0, 0.002, 0.001] * 6),
    ])  # fmt: skip
    stage.metric("sms_retry_queue", 'max(rabbitmq_queue_messages_ready{queue="sms.retry"})', [
        ({"queue": "sms.retry"}, [0] * 16 + [180, 420, 690, 960, 1240, 1520, 1790, 2080, 2310, 2260, 1500, 820, 260, 30, 0] + [0] * 20),
    ])  # fmt: skip
    stage.fire(minutes_ago=28)
