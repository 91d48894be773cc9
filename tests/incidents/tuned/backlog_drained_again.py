"""A queue grew while a relay was moved off a node, and has drained since; the alert looks back half an hour."""

from __future__ import annotations

from typing import Any

from tests.incidents.curves import about, slope, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="Letters queued up while the mail relay was moved off a drained node, and have all been sent since",
    half=Half.tuned,
    story="node-b was drained for a kernel update. The relay's only pod took six minutes to come back on another node; meanwhile the mailer could not send and the queue grew to nine thousand. It was empty again ten minutes later. The rule takes the maximum of half an hour, so it still fires.",
    sources=[
        "https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/",
        "https://www.rabbitmq.com/docs/prometheus",
        "https://www.rabbitmq.com/kubernetes/operator/using-operator#status",
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#aggregation_over_time",
    ],
    labels={
        "alertname": "RabbitMQQueueBacklog",
        "severity": "warning",
        "namespace": "broker",
        "rabbitmq_cluster": "bus",
        "vhost": "/",
        "queue": "letters",
        "job": "broker/bus",
    },
    annotations={
        "summary": "Queue letters holds more than 5000 messages.",
        "expr": "max by (namespace, vhost, queue) (max_over_time(rabbitmq_queue_messages_ready[30m])) > 5000",
    },
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["rabbitmq operator status"],
)

GROUP = "rabbitmq.com"
BEFORE, GROWING, DRAINING, SINCE = 60, 7, 10, 13
"""Minutes of each part of the story."""


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1beta1", "RabbitmqCluster", "rabbitmqclusters")
    stage.kubectl("label", "node", "node-b", "zone=outer")
    stage.apply([
        *system(),
        {"apiVersion": f"{GROUP}/v1beta1", "kind": "RabbitmqCluster", "metadata": {"name": "bus", "namespace": "broker"},
         "spec": {"replicas": 3, "image": "registry.example.com/rabbitmq:4.2.0-management", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}}},
        deployment("letters/mailer", container("mailer", "letters/mailer:3.9.1", port=8080, ready="/ready", alive="/alive",
                                               env={"AMQP_URL": "amqp://bus.broker.svc:5672", "SMTP_HOST": "relay.outbound.svc"}), replicas=3, pod=_INNER),
        deployment("letters/composer", container("composer", "letters/composer:6.0.0", port=8080, ready="/ready"), pod=_INNER),
        service("letters/composer", 8080),
        deployment("outbound/relay", container("relay", "outbound/relay:1.28.0", port=25), replicas=1, pod={
            "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["outer"]}]}}]}},
        }),
        service("outbound/relay", 25),
    ])  # fmt: skip
    owner = stage.get("rabbitmqclusters/broker/bus")
    stage.apply(_owned(owner), manager="manager")
    stage.calm()
    now = stage.stamp()
    stage.status("rabbitmqclusters/broker/bus", {
        "observedGeneration": 1, "binding": {"name": "bus-default-user"},
        "conditions": [
            {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now}
            for kind, reason, message in (
                ("AllReplicasReady", "AllPodsAreReady", ""), ("ClusterAvailable", "AtLeastOneEndpointAvailable", ""),
                ("NoWarnings", "NoWarnings", ""), ("ReconcileSuccess", "Success", "Finish reconciling"),
            )
        ],
    }, manager="manager")  # fmt: skip
    stage.wait(days=20, hours=11)

    stage.kubectl("cordon", "node-b")
    stage.hold("outbound/relay")
    (old,) = stage.pods("outbound/relay")
    stage.evict("outbound/relay")
    stage.cluster.until("the next relay", lambda: len(_others(stage, old)) == 1)
    stage.calm()
    stage.wait(minutes=GROWING - 1)
    stage.release("outbound/relay")
    stage.calm()
    up = stage.now
    stage.wait(minutes=DRAINING - 4)
    stage.kubectl("uncordon", "node-b")
    stage.wait(minutes=SINCE + 4)
    for pod in stage.pods("letters/mailer-"):
        name = f"letters/{pod['metadata']['name']}"
        sent = 'level=info msg="letter sent" template=<1-60> took=<40-140>ms'
        refused = 'level=error msg="letter not sent, put back" err="dial tcp 10.96.140.7:25: connect: connection refused" attempt=<1-9>'
        before = printed(stage.ago(minutes=SINCE + DRAINING + GROWING), [refused] * 12, every_s=31)
        after = printed(up, ['level=info msg="relay answers again"', *[sent] * 20], every_s=64)
        stage.log(name, f"{before}\n{after}")
    chatter(stage, "letters/composer", ['level=info msg="letter queued" template=<1-60>'])
    chatter(
        stage,
        "outbound/relay",
        [
            "postfix/smtp[<100-999>]: A1B2C<1000-9999>: to=<reader@example.net>, relay=mx.example.net[192.0.2.9]:25, delay=0.<10-90>, dsn=2.0.0, status=sent (250 2.0.0 Ok)"
        ],
    )
    chatter(
        stage,
        "broker/bus-server",
        [
            "<%Y-%m-%d %H:%M:%S.%3>000+00:00 [info] <0.<500-900>.0> closing AMQP connection <0.<500-900>.0> (10.244.0.<2-20>:<40000-60000> -> 10.244.1.3:5672)"
        ],
        count=3,
    )
    _metrics(stage)
    stage.fire(minutes_ago=SINCE + DRAINING - 2)


_INNER: Body = {
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]},
    ]}}},
}  # fmt: skip
"""Away from the outer node, which only the relay prefers."""


def _owned(owner: Body) -> list[Body]:
    """What the cluster operator makes of the resource."""
    server = stateful_set(
        "broker/bus-server", container("rabbitmq", "rabbitmq:4.2.0-management", port=5672, cpu="500m", memory=("1Gi", "1Gi")),
        replicas=3, labels={"app.kubernetes.io/name": "bus"}, podManagementPolicy="Parallel", pod=_INNER,
    )  # fmt: skip
    objects = [server, service("broker/bus", 5672, selector={"app.kubernetes.io/name": "bus"}),
               service("broker/bus-nodes", 4369, headless=True, selector={"app.kubernetes.io/name": "bus"})]  # fmt: skip
    for each in objects:
        each["metadata"]["ownerReferences"] = [{
            "apiVersion": owner["apiVersion"], "kind": "RabbitmqCluster", "name": "bus", "uid": owner["metadata"]["uid"],
            "controller": True, "blockOwnerDeletion": True,
        }]  # fmt: skip
    return objects


def _others(stage: Stage, old: Body) -> list[Body]:
    return [
        pod
        for pod in stage.pods("outbound/relay")
        if pod["metadata"]["uid"] != old["metadata"]["uid"] and pod["spec"].get("nodeName")
    ]


def _metrics(stage: Stage) -> None:
    here = {"namespace": "broker", "rabbitmq_cluster": "bus", "vhost": "/"}
    count = BEFORE + GROWING + DRAINING + SINCE
    ready = whole([
        *about(14, BEFORE, noise=0.6), *slope(40, 9180, GROWING), *slope(8300, 60, DRAINING), *about(15, SINCE, noise=0.6),
    ])  # fmt: skip
    stage.metric("ready", "max by (namespace, rabbitmq_cluster, vhost, queue) (rabbitmq_queue_messages_ready)", [
        ({**here, "queue": "letters"}, ready), ({**here, "queue": "receipts"}, whole(about(6, count, noise=0.9))),
    ])  # fmt: skip
    stage.metric("consumers", "max by (namespace, rabbitmq_cluster, vhost, queue) (rabbitmq_queue_consumers)", [
        ({**here, "queue": "letters"}, [3.0] * count), ({**here, "queue": "receipts"}, [2.0] * count),
    ])  # fmt: skip
    stage.metric("acknowledged", "sum by (namespace, rabbitmq_cluster, vhost, queue) (rate(rabbitmq_queue_messages_acked_total[1m]))", [
        ({**here, "queue": "letters"}, [*about(21, BEFORE), *about(0, GROWING), *about(36, DRAINING), *about(21, SINCE)]),
    ])  # fmt: skip
    stage.metric("relay-available", 'kube_deployment_status_replicas_available{namespace="outbound",deployment="relay"}', [
        ({"namespace": "outbound", "deployment": "relay"}, [*[1.0] * BEFORE, *[0.0] * GROWING, *[1.0] * (DRAINING + SINCE)]),
    ])  # fmt: skip
