"""A node is cordoned and drained for maintenance; a broker's volume is on that node and nowhere else."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import container, daemon_set, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="A broker cannot return to the node that holds its local volume, because the node is cordoned",
    half=Half.blind,
    story="node-b is drained for a kernel update and nobody uncordons it. Stateless pods move on; broker-1's local "
    "PersistentVolume ties it to node-b. In another namespace the monthly Job names a program that its image has not.",
    sources=[
        "https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/",
        "https://kubernetes.io/docs/concepts/storage/volumes/#local",
        "https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy",
    ],
    labels={
        "alertname": "KubeStatefulSetReplicasMismatch",
        "namespace": "streams",
        "statefulset": "broker",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    annotations={
        "summary": "StatefulSet has not matched the expected number of replicas.",
        "description": "StatefulSet streams/broker has not matched the expected number of replicas for longer than 15 minutes.",
    },
    causes=["Node/_cluster/node-b"],
    says=[
        ["node-b"],
        ["cordon", "unschedulable", "SchedulingDisabled"],
        ["node affinity", "node-affinity", "nodeAffinity", "volume", "data-broker-1"],
    ],
    innocent=["StatefulSet/streams/broker"],
    second=["Job/backoffice/month-close"],
    traits=frozenset({Trait.innocent, Trait.two_faults}),
)  # fmt: skip

CLASS: Body = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "local-nvme"},
    "provisioner": "kubernetes.io/no-provisioner",
    "volumeBindingMode": "WaitForFirstConsumer",
    "reclaimPolicy": "Retain",
}

JOB = """
apiVersion: batch/v1
kind: Job
metadata:
  name: month-close
  namespace: backoffice
  labels: {app: month-close}
spec:
  backoffLimit: 1
  template:
    metadata: {labels: {app: month-close}}
    spec:
      restartPolicy: Never
      containers:
      - name: close
        image: registry.example.com/backoffice/closing:4.4.0
        command: [/app/bin/close-month, --period, "2026-11"]
        resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 256Mi}}
"""


def volume(node: str) -> Body:
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"nvme-{node}", "labels": {"disk": "nvme0n1"}},
        "spec": {
            "capacity": {"storage": "500Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "local-nvme",
            "local": {"path": "/mnt/disks/nvme0n1"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


def play(stage: Stage) -> None:
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": {"matchLabels": {"app": "broker"}}, "topologyKey": "kubernetes.io/hostname"}]}}  # fmt: skip
    broker = container(
        "broker",
        "streams/kafka:4.1.0",
        port=9092,
        memory=("2Gi", "3Gi"),
        cpu="500m",
        mounts={"data": "/var/lib/kafka"},
    )
    stage.apply([CLASS, *(volume(node) for node in ("node-a", "node-b", "node-c"))])
    stage.apply([
        *system(),
        stateful_set("streams/broker", broker, replicas=3, claims={"data": ("local-nvme", "500Gi")}, pod={"affinity": apart}),
        service("streams/broker", 9092, headless=True),
        deployment("streams/schema-registry", container("registry", "streams/schema-registry:8.0.2", port=8081)),
        service("streams/schema-registry", 8081),
        deployment("orders/order-api", container("api", "orders/order-api:1.77.0", port=8080, ready="/readyz"), replicas=3),
        service("orders/order-api", 80, 8080),
        deployment("backoffice/closing-ui", container("ui", "backoffice/closing-ui:88", port=8080, ready="/"), replicas=1),
        daemon_set("observability/node-exporter", container("node-exporter", "prometheus/node-exporter:v1.10.2", port=9100, memory=("32Mi", "64Mi"))),
    ])  # fmt: skip
    stage.calm()
    (second,) = [p for p in stage.pods("streams/broker") if p["spec"]["nodeName"] == "node-b"]
    stage.wait(days=28, hours=20)
    stage.kubectl("cordon", "node-b")
    for pod in [
        *stage.pods("streams/"),
        *stage.pods("orders/"),
        *stage.pods("backoffice/"),
        *stage.pods("kube-system/coredns"),
    ]:
        if pod["spec"]["nodeName"] == "node-b":
            stage.evict(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}")
    stage.calm(unfinished=["streams/broker"])
    stage.wait(minutes=14)
    stage.hold("backoffice/month-close")
    stage.apply(JOB)
    missing = (
        'failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: '
        'unable to start container process: error during container init: exec: "/app/bin/close-month": '
        "stat /app/bin/close-month: no such file or directory"
    )  # fmt: skip
    for count in (1, 2):
        stage.placed("backoffice/month-close", count)
        stage.failed("backoffice/month-close", code=128, reason="StartError", message=missing, lives_s=1)
        stage.wait(seconds=25)
    stage.cluster.until("the Job's end", lambda: any(
        c["type"] == "Failed" for c in stage.get("job/backoffice/month-close")["status"].get("conditions", [])
    ))  # fmt: skip
    stage.wait(minutes=11)
    stage.calm(unfinished=["streams/broker"])
    name = second["metadata"]["name"]
    number = int(name[-1])
    others = [n for n in range(3) if n != number]
    for n in others:
        stage.log(f"streams/broker-{n}", printed(stage.ago(minutes=25), [
            f"[<%Y-%m-%d %H:%M:%S,%3>] INFO [NodeToControllerChannelManager id={n} name=heartbeat] Node {number} disconnected. (org.apache.kafka.clients.NetworkClient)",
            f"[<%Y-%m-%d %H:%M:%S,%3>] INFO [ReplicaFetcher replicaId={n}, leaderId={number}, fetcherId=0] Shutdown completed (kafka.server.ReplicaFetcherThread)",
            f"[<%Y-%m-%d %H:%M:%S,%3>] WARN [RequestSendThread controllerId={others[0]}] Connection to node {number} (broker-{number}.broker.streams.svc.cluster.local/<unresolved>:9092) could not be established. Node may not be available. (org.apache.kafka.clients.NetworkClient)",
            *["[<%Y-%m-%d %H:%M:%S,%3>] INFO [Partition orders.created-<0-11> broker=" + str(n) + "] Shrinking ISR, leader epoch <20-40>. (kafka.cluster.Partition)"] * 6,
            "[<%Y-%m-%d %H:%M:%S,%3>] INFO [GroupCoordinator " + str(n) + "]: Stabilized group billing generation <300-400> with 3 members (kafka.coordinator.group.GroupCoordinator)",
        ], every_s=120))  # fmt: skip
    chatter(stage, "orders/order-api", [
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3Z>","msg":"order accepted","order":"<100000-999999>","partition":<0-11>,"acks":"all","took_ms":<12-60>}',
        '{"level":"warn","ts":"<%Y-%m-%dT%H:%M:%S.%3Z>","msg":"produce retried","topic":"orders.created","err":"kafka: not enough in-sync replicas (NOT_ENOUGH_REPLICAS)","attempt":<1-3>}',
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3Z>","msg":"served","method":"POST","path":"/orders","status":201,"took_ms":<15-90>}',
    ], count=30)  # fmt: skip
    chatter(stage, "streams/schema-registry", [
        '[<%Y-%m-%d %H:%M:%S,%3>] INFO 10.244.<0-2>.<4-30> - - "GET /subjects/orders.created-value/versions/latest HTTP/1.1" 200 <300-400> (io.confluent.rest-utils.requests)',
    ])  # fmt: skip
    stage.heartbeat()
    stage.fire(minutes_ago=10)
