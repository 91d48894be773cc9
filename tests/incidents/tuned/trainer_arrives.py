"""A batch workload of a new, high PriorityClass arrives: the scheduler ends a shop's pods to make room for it."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="A training workload with a high priority preempts half of the basket's pods",
    half=Half.tuned,
    story=(
        "Somebody applies a PriorityClass of value 1000000 and a trainer that uses it, 3 CPUs each. The scheduler ends"
        " four pods of basket on two nodes; their successors fit nowhere."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/",
        "https://grafana.com/blog/2019/07/24/how-a-production-outage-was-caused-using-kubernetes-pod-priorities/",
    ],
    labels={
        "alertname": "KubeDeploymentReplicasMismatch",
        "namespace": "store",
        "deployment": "basket",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    causes=["Deployment/research/trainer", "PriorityClass/_cluster/deadline-driven"],
    says=[["preempt"], ["deadline-driven", "1000000"]],
    innocent=["Deployment/store/basket"],
    traits=frozenset({Trait.innocent}),
)


def play(stage: Stage) -> None:
    stage.apply(system())
    stage.apply([
        deployment(
            "store/basket",
            container("basket", "store/basket:9.2.4", port=8080, ready="/readyz", alive="/livez", cpu="1", memory=("512Mi", "768Mi"), env={"REDIS": "cart-cache:6379"}),
            replicas=6, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            pod={"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": "basket"}}}]},
        ),
        service("store/basket", 80, 8080),
        stateful_set("store/cart-cache", container("redis", "redis:7.4.1", port=6379, cpu="300m")),
        service("store/cart-cache", 6379, headless=True),
        deployment("store/shelf", container("shelf", "store/shelf:4.0.0", port=8080, ready="/readyz", cpu="300m")),
        service("store/shelf", 80, 8080),
        deployment("research/notebooks", container("notebooks", "research/notebooks:4.2.5", port=8888, ready="/api", memory=("1Gi", "2Gi")), replicas=1),
        service("research/notebooks", 80, 8888),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=27, hours=4)
    stage.heartbeat()
    stage.apply([
        {
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "deadline-driven"},
            "value": 1000000, "globalDefault": False, "preemptionPolicy": "PreemptLowerPriority",
            "description": "For runs that have to be done before a paper's deadline.",
        },
        deployment(
            "research/trainer",
            container("trainer", "research/trainer:0.9.0", cpu="3", memory=("4Gi", "6Gi"), args=["--epochs=400", "--shards=2"]),
            replicas=2, pod={"priorityClassName": "deadline-driven"},
        ),
    ])  # fmt: skip
    stage.cluster.until(
        "victims were chosen",
        lambda: sum(bool(p["metadata"].get("deletionTimestamp")) for p in stage.pods("store/basket-")) >= 2,
    )
    stage.calm(unfinished=["store/basket"])
    stage.placed("research/trainer", 2)
    stage.calm(unfinished=["store/basket"])
    stage.wait(minutes=24)
    pods = [p["metadata"]["name"] for p in stage.pods("store/basket-") if p["spec"].get("nodeName")]  # fmt: skip
    for name in pods:
        chatter(stage, f"store/{name}", [
            'time="<%Y-%m-%dT%H:%M:%SZ>" level=info msg="item added" basket=<100000-999999> ms=<90-400>',
            'time="<%Y-%m-%dT%H:%M:%SZ>" level=warning msg="request shed" inflight=64 limit=64',
            'time="<%Y-%m-%dT%H:%M:%SZ>" level=info msg="checkout begun" basket=<100000-999999> ms=<120-600>',
        ])  # fmt: skip
    for n, _ in enumerate(stage.pods("research/trainer")):
        name = stage.pods("research/trainer")[n]["metadata"]["name"]
        chatter(stage, f"research/{name}", [
            "<%Y-%m-%d %H:%M:%S> INFO trainer loss=2.<100-900> tokens/s=<3100-3400>",
        ], minutes=22)  # fmt: skip
    chatter(
        stage,
        "store/shelf",
        ['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"shelf listed","items":<10-60>,"ms":<4-18>}'],
    )
    chatter(
        stage,
        "store/cart-cache",
        ["1:M <%d %b %Y %H:%M:%S.%3> * Background saving terminated with success"],
        count=6,
    )
    stage.fire(minutes_ago=7)
