"""Pods of the evening's batch found no room, the autoscaler fetched a node, and they run; the alert is held on for a while."""

from __future__ import annotations

from tests.incidents.curves import whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="Three of the evening's workers waited eight minutes for a fourth node, which is there; the rule keeps its alert for ten minutes more",
    half=Half.tuned,
    story=(
        "Each evening the queue's workers are scaled from four to twelve. Three found no CPU, the cluster autoscaler asked the cloud for a node, which took"
        " longer than usual, and eight minutes later all of them ran. The rule has for: 5m and keep_firing_for: 10m. The FailedScheduling events are"
        " still listed. A release of the gallery in the afternoon has nothing to do with it."
    ),
    sources=[
        "https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md#how-does-scale-up-work",
        "https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/#defining-alerting-rules",
        "https://kubernetes.io/docs/concepts/cluster-administration/node-autoscaling/",
    ],
    labels={
        "alertname": "PodsUnschedulable",
        "severity": "warning",
        "namespace": "film",
        "job": "kube-state-metrics",
    },
    annotations={"summary": "3 pods of film find no node."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["cluster-autoscaler"],
)

GROUP = "MachineDeployment/kube-system/workers"


def play(stage: Stage) -> None:
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    stage.apply([
        *system(),
        deployment("kube-system/cluster-autoscaler", container("cluster-autoscaler", "k8s/cluster-autoscaler:v1.36.0", port=8085, alive="/health-check", memory=("256Mi", "512Mi"),
                                                               args=["--cloud-provider=clusterapi", "--nodes=3:6:workers", "--expander=least-waste"]), replicas=1, pod={"priorityClassName": "system-cluster-critical"}),
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "pods", "namespace": "monitoring"},
         "spec": {"groups": [{"name": "pods", "rules": [
             {"alert": "PodsUnschedulable", "expr": "sum by (namespace, job) (kube_pod_status_unschedulable) > 0", "for": "5m", "keep_firing_for": "10m", "labels": {"severity": "warning"},
              "annotations": {"summary": "{{ $value }} pods of {{ $labels.namespace }} find no node."}}]}]}},
        deployment("film/workers", container("worker", "film/worker:9.1.0", cpu="1", memory=("1Gi", "2Gi"), env={"QUEUE": "amqp://queue.film.svc.cluster.local"}), replicas=4),
        stateful_set("film/queue", container("rabbitmq", "rabbitmq:4.1.4", port=5672, cpu="250m", memory=("512Mi", "1Gi"))),
        service("film/queue", 5672, headless=True),
        deployment("film/gallery", container("gallery", "film/gallery:5.0.2", port=8080, ready="/up", env={"QUEUE": "amqp://queue.film.svc.cluster.local"})),
        service("film/gallery", 80, 8080),
        deployment("shop/tickets", container("tickets", "shop/tickets:12.7.3", port=8080, ready="/up", cpu="250m"), replicas=3),
        service("shop/tickets", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=16, hours=7, minutes=30)
    stage.kubectl(
        "set", "image", "deployment/gallery", "gallery=registry.example.com/film/gallery:5.0.3", "-n", "film"
    )
    stage.calm()
    stage.wait(hours=3, minutes=18)
    _status(stage, 3, 3)
    scaled = stage.now
    stage.kubectl("scale", "deployment/workers", "-n", "film", "--replicas=12")
    stage.calm(unfinished=["film/workers"])
    waiting = [p for p in stage.pods("film/workers") if not p["spec"].get("nodeName")]
    asked = stage.ago(seconds=-11)
    stage.wait(seconds=11)
    for pod in waiting:
        words = f"pod triggered scale-up: [{{{GROUP} 3->4 (max: 6)}}]"
        about = stage.get(f"pods/film/{pod['metadata']['name']}")
        stage.event(about, "TriggeredScaleUp", words, kind="Normal", component="cluster-autoscaler")
    stage.wait(minutes=8)
    stage.add_node("node-d")
    stage.calm()
    arrived = stage.now
    _status(stage, 4, 4)
    stage.wait(minutes=7)
    stage.heartbeat()
    stage.log("kube-system/cluster-autoscaler", "\n".join([
        printed(asked, [
            f"I<%m%d %H:%M:%S.%3>104       1 orchestrator.go:185] Best option to resize: {GROUP}",
            f"I<%m%d %H:%M:%S.%3>212       1 orchestrator.go:189] Estimated 1 nodes needed in {GROUP}",
            f"I<%m%d %H:%M:%S.%3>298       1 executor.go:166] Scale-up: setting group {GROUP} size to 4",
        ], every_s=0.2),
        printed(arrived, [
            'I<%m%d %H:%M:%S.%3>310       1 static_autoscaler.go:570] No unschedulable pods',
        ] * 6, every_s=62),
    ]))  # fmt: skip
    _logs(stage)
    _metrics(stage, (stage.now - scaled).total_seconds() / 60, (stage.now - arrived).total_seconds() / 60, len(waiting))  # fmt: skip
    stage.fire(minutes_ago=10)


def _status(stage: Stage, ready: int, target: int) -> None:
    stage.apply([config_map("kube-system/cluster-autoscaler-status", {"status": (
        f"time: {stage.now:%Y-%m-%d %H:%M:%S} +0000 UTC\nautoscalerStatus: Running\nclusterWide:\n  health:\n    status: Healthy\n"
        f"    nodeCounts:\n      registered:\n        total: {ready}\n        ready: {ready}\n  scaleUp:\n    status: NoActivity\n"
        f"nodeGroups:\n- name: {GROUP}\n  health:\n    status: Healthy\n    cloudProviderTarget: {target}\n    minSize: 3\n    maxSize: 6\n")})],
        manager="cluster-autoscaler")  # fmt: skip


def _logs(stage: Stage) -> None:
    for pod in stage.pods("film/workers"):
        _working(stage, pod)
    chatter(stage, "film/gallery", ["INFO gallery: GET /films/<1-400> 200 <8-25>ms"])
    chatter(stage, "film/queue", ["<%Y-%m-%d %H:%M:%S.%3>000+00:00 [info] <0.<1000-9999>.0> accepting AMQP connection"], count=8)  # fmt: skip
    chatter(stage, "shop/tickets", ["INFO tickets: POST /sales 201 <20-60>ms"])


def _working(stage: Stage, pod: Body) -> None:
    stage.log(f"film/{pod['metadata']['name']}", printed(stage.ago(minutes=6), [
        "<%Y-%m-%d %H:%M:%S> INFO worker: frames <1000-9999>-<10000-19999> rendered in <30-50>s",
    ] * 9, every_s=38))  # fmt: skip


def _metrics(stage: Stage, scaled: float, arrived: float, waited: int) -> None:
    """Once a minute for an hour."""
    count = 60
    since, well = round(scaled), round(arrived)
    here = {"namespace": "film", "job": "kube-state-metrics"}
    stage.metric("unschedulable", "sum by (namespace, job) (kube_pod_status_unschedulable)", [
        (here, [*[0.0] * (count - since), *[float(waited)] * (since - well), *[0.0] * well]),
    ])  # fmt: skip
    stage.metric("nodes", "sum(kube_node_info)", [({}, [*[3.0] * (count - well), *[4.0] * well])])
    stage.metric("queue", 'sum by (namespace, queue) (rabbitmq_queue_messages_ready{namespace="film"})', [
        ({"namespace": "film", "queue": "frames"}, whole([*[40.0] * (count - since), *(40 + 55.0 * n for n in range(since - well)), *(480 - 60.0 * n for n in range(well))])),
    ])  # fmt: skip
