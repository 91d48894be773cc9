"""A broker of three members does not get past its first one; a worker in another namespace alerts."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment, kube_prometheus, stateful_set
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, service

INCIDENT = Incident(
    title="A broker stays at its first member because a mounted ConfigMap was cleaned away",
    half=Half.tuned,
    story="The broker is scaled down for a week-end; meanwhile a clean-up deletes a ConfigMap without visible users. Scaled "
    "up again, ordinal 0 cannot mount it, so 1 and 2 are never made, and workers elsewhere crash.",
    sources=[
        "https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#deployment-and-scaling-guarantees",
    ],
    labels=kube_prometheus(
        "KubePodCrashLooping", namespace="orders", pod="{pod:orders/worker}", container="worker", reason="CrashLoopBackOff",
        uid="6b2f1c34-1f0b-4f0a-8a55-6b6f0f0c1e77",
    ),
    causes=["StatefulSet/queue/broker"],
    says=[["broker-plugins"], ["not found", "does not exist", "missing"]],
    innocent=["Deployment/orders/worker", "Service/queue/broker"],
    traits=frozenset({Trait.innocent}),
)  # fmt: skip

MANIFESTS = [
    config_map("queue/broker-plugins", {"enabled_plugins": "[rabbitmq_management,rabbitmq_peer_discovery_k8s]."}),
    stateful_set(
        "queue/broker", "queue/broker:3.13.7", replicas=3, ports=[{"containerPort": 5672}], volumeMounts=[{"name": "plugins", "mountPath": "/etc/broker"}],
        pod={"volumes": [{"name": "plugins", "configMap": {"name": "broker-plugins"}}]},
    ),
    service("queue/broker", 5672),
    deployment("orders/worker", "orders/worker:5.5.0", env={"AMQP_URL": "amqp://broker.queue.svc.cluster.local:5672/orders"}),
    deployment("orders/api", "orders/api:5.5.0", port=8080),
    service("orders/api", 8080),
]  # fmt: skip

LOG = """
Traceback (most recent call last):
  File "/app/worker/main.py", line 61, in <module>
    channel = connect(settings.AMQP_URL)
  File "/usr/lib/python3.12/site-packages/pika/adapters/blocking_connection.py", line 360, in __init__
    self._impl = self._create_connection(parameters, _impl_class)
pika.exceptions.AMQPConnectionError: [Errno 111] Connection refused broker.queue.svc.cluster.local:5672
"""


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=10, hours=10)
    stage.kubectl("scale", "statefulset/broker", "--replicas=0", "-n", "queue")
    stage.kubectl("scale", "deployment/worker", "--replicas=0", "-n", "orders")
    stage.calm()
    stage.wait(days=1)
    stage.delete("configmaps/queue/broker-plugins")
    stage.wait(days=1, hours=12)
    stage.hold("queue/broker")
    stage.kubectl("scale", "statefulset/broker", "--replicas=3", "-n", "queue")
    stage.placed("queue/broker")
    stage.wait(minutes=1)
    stage.stuck(
        "queue/broker-0", "ContainerCreating", "",
        event=("FailedMount", 'MountVolume.SetUp failed for volume "plugins" : configmap "broker-plugins" not found'),
    )  # fmt: skip
    stage.kubectl("scale", "deployment/worker", "--replicas=2", "-n", "orders")
    stage.crash("orders/worker", log=LOG, count=2, restarts=5, lives_s=4)
    stage.wait(minutes=12)
    stage.fire(minutes_ago=6)
