"""The node with accelerators is there while a model is trained and is given back then, and with it goes the driver's only pod."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.incidents import crons
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.runs import cron_job
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import (
    config_map,
    container,
    daemon_set,
    deployment,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="DaemonSetWithoutPods of accelerator-driver: the pool it is for has no node but for an hour each night, as the autoscaler takes the last one away when the training has ended",
    half=Half.tuned,
    story=(
        "The pool accelerators may have from zero to two nodes. At eleven in the evening the training of the bird songs starts and the autoscaler makes node-d for it; it ends within an hour or so, and the node"
        " goes when it has done nothing for ten minutes. The driver's DaemonSet asks for nodes of that pool and then has none to be on. The rule was rolled out yesterday in the afternoon. Nobody waits for such"
        " a node, tonight's model is served. songs was released at midnight; a pod of listener was restarted last week."
    ),
    sources=[
        "https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md#how-can-i-scale-a-node-group-to-0",
        "https://github.com/kubernetes/kube-state-metrics/blob/main/docs/metrics/workload/daemonset-metrics.md",
        "https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/",
    ],
    labels={
        "alertname": "DaemonSetWithoutPods", "severity": "critical", "namespace": "accelerators", "daemonset": "accelerator-driver", "job": "kube-state-metrics",
    },
    annotations={"summary": "DaemonSet accelerators/accelerator-driver has had no pod for 30 minutes."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["cluster-autoscaler", "cronjob-controller", "rules of Prometheus"],
)  # fmt: skip

POOL = {"example.com/pool": "accelerators"}
GROUP = "MachineDeployment/kube-system/accelerators"
TRAINED = "birds/training"


def play(stage: Stage) -> None:
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    stage.apply([
        *system(),
        deployment("kube-system/cluster-autoscaler", container("cluster-autoscaler", "k8s/cluster-autoscaler:v1.36.0", port=8085, alive="/health-check", memory=("256Mi", "512Mi"),
                                                               args=["--cloud-provider=clusterapi", "--nodes=3:6:workers", "--nodes=0:2:accelerators", "--scale-down-unneeded-time=10m"]), replicas=1, pod={"priorityClassName": "system-cluster-critical"}),
        daemon_set("accelerators/accelerator-driver", container("driver", "accelerators/driver:570.124", memory=("128Mi", "512Mi")), pod={"nodeSelector": POOL, "tolerations": [{"operator": "Exists"}]}),
        daemon_set("monitoring/node-exporter", container("node-exporter", "prom/node-exporter:v1.10.2", port=9100), pod={"tolerations": [{"operator": "Exists"}]}),
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "deployments", "namespace": "monitoring"}, "spec": {"groups": [{"name": "deployments", "rules": [
            {"alert": "DeploymentWithoutPods", "expr": "kube_deployment_status_replicas_available == 0 and kube_deployment_spec_replicas > 0", "for": "15m", "labels": {"severity": "critical"}}]}]}},
        cron_job(TRAINED, "0 23 * * *", container("training", "birds/training:3.3.0", cpu="1", memory=("2Gi", "4Gi"), env={"OUT": "s3://models/songs", "DB_HOST": "recordings.birds.svc"}),
                 pod={"nodeSelector": POOL, "tolerations": [{"key": "example.com/pool", "operator": "Equal", "value": "accelerators", "effect": "NoSchedule"}]}, successfulJobsHistoryLimit=1, failedJobsHistoryLimit=1),
        deployment("birds/songs", container("songs", "birds/songs:9.4.1", port=8080, ready="/ready", alive="/alive", memory=("512Mi", "1Gi"), env={"MODEL": "s3://models/songs/latest"}), replicas=3), service("birds/songs", 80, 8080),
        stateful_set("birds/recordings", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("birds/recordings", 5432, headless=True),
        deployment("birds/listener", container("listener", "birds/listener:1.22.0", port=8080, ready="/ready", env={"DB_HOST": "recordings.birds.svc"})), service("birds/listener", 80, 8080),
        config_map("birds/species", {"species.csv": "wren\nrobin\n"}),
        deployment("web/guidebook", container("guidebook", "web/guidebook:40.2.0", port=3000, ready="/up", env={"SONGS_URL": "http://songs.birds.svc"})), service("web/guidebook", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 19, 4, 44, tzinfo=UTC))
    stage.recovered(f"birds/{stage.pods('birds/listener')[0]['metadata']['name']}", restarts=1, code=1, lived_s=900000, waited_s=2)  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 25, 15, 20, tzinfo=UTC))
    stage.apply([
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "daemonsets", "namespace": "monitoring"}, "spec": {"groups": [{"name": "daemonsets", "rules": [
            {"alert": "DaemonSetWithoutPods", "expr": "kube_daemonset_status_desired_number_scheduled == 0", "for": "30m", "labels": {"severity": "critical"},
             "annotations": {"summary": "DaemonSet {{ $labels.namespace }}/{{ $labels.daemonset }} has had no pod for 30 minutes."}}]}]}},
    ])  # fmt: skip
    stage.clock.until(datetime(2026, 11, 25, 23, 0, 1, tzinfo=UTC))
    job = crons.start(stage, TRAINED, stage.now)
    stage.wait(minutes=3)
    stage.add_node("node-d", cpu="8", memory="32Gi", labels=POOL)
    stage.kubectl("taint", "node", "node-d", "example.com/pool=accelerators:NoSchedule")
    stage.hold(f"birds/{job}")
    stage.calm()
    crons.complete(stage, TRAINED, job, lasts_s=3500)
    stage.kubectl("set", "image", "deployment/songs", "songs=registry.example.com/birds/songs:9.4.2", "-n", "birds")  # fmt: skip
    stage.calm()
    stage.wait(minutes=8)
    _given_back(stage)
    gone = stage.now
    stage.wait(minutes=21)
    stage.edit("configmaps/birds/species", lambda body: body["data"].update({"species.csv": "wren\nrobin\nsiskin\n"}))  # fmt: skip
    stage.wait(minutes=27)
    _status(stage)
    stage.heartbeat()
    _logs(stage, gone)
    _metrics(stage, gone)
    stage.fire(minutes_ago=18)


def _given_back(stage: Stage) -> None:
    """As the cluster autoscaler does it with a node that is empty but for its DaemonSets."""
    node = stage.get("nodes/_cluster/node-d")
    stage.kubectl("taint", "node", "node-d", f"ToBeDeletedByClusterAutoscaler={int(stage.now.timestamp())}:NoSchedule")  # fmt: skip
    stage.event(node, "ScaleDown", "marked the node as toBeDeleted/unschedulable", kind="Normal", component="cluster-autoscaler")  # fmt: skip
    stage.kubectl("delete", "node", "node-d", "--wait=false")
    stage.kubelets.pop("node-d")
    stage.event(node, "ScaleDown", "node removed by cluster autoscaler", kind="Normal", component="cluster-autoscaler")  # fmt: skip
    for pod in stage.cluster.get("pods", "-A")["items"]:
        if pod["spec"].get("nodeName") == "node-d":
            # What the pod collector does a minute after a node is gone.
            meta = pod["metadata"]
            stage.kubectl("delete", "pod", meta["name"], "-n", meta["namespace"], "--force", "--grace-period=0", "--ignore-not-found")  # fmt: skip
    stage.calm()


def _status(stage: Stage) -> None:
    stage.apply([config_map("kube-system/cluster-autoscaler-status", {"status": (
        f"time: {stage.now:%Y-%m-%d %H:%M:%S} +0000 UTC\nautoscalerStatus: Running\nclusterWide:\n  health:\n    status: Healthy\n    nodeCounts:\n      registered:\n        total: 3\n        ready: 3\n"
        "  scaleUp:\n    status: NoActivity\n  scaleDown:\n    status: NoCandidates\nnodeGroups:\n- name: MachineDeployment/kube-system/workers\n  health:\n    status: Healthy\n    cloudProviderTarget: 3\n    minSize: 3\n    maxSize: 6\n"
        f"- name: {GROUP}\n  health:\n    status: Healthy\n    cloudProviderTarget: 0\n    minSize: 0\n    maxSize: 2\n")})],
        manager="cluster-autoscaler")  # fmt: skip


def _logs(stage: Stage, gone: datetime) -> None:
    front = "I<%m%d %H:%M:%S.%3>"
    stage.log("kube-system/cluster-autoscaler", "\n".join([
        printed(gone - timedelta(minutes=7), [f"{front}118       1 nodes.go:84] node-d is unneeded since {(gone - timedelta(minutes=9)):%Y-%m-%d %H:%M:%S} +0000 UTC"] * 3, every_s=130),
        printed(gone - timedelta(seconds=12), [
            f"{front}204       1 actuator.go:157] Scale-down: removing empty node \"node-d\"",
            f"{front}711       1 clusterapi_nodegroup.go:182] group {GROUP}: size 1 -> 0",
            "E<%m%d %H:%M:%S.%3>902       1 static_autoscaler.go:402] Failed to get node infos for groups: node-d not found, trying again in the next loop",
        ], every_s=4),
        printed(gone + timedelta(seconds=40), [f"{front}310       1 static_autoscaler.go:570] No unschedulable pods", f"{front}355       1 static_autoscaler.go:598] Scale down status: lastScaleUpTime=<1-9> nodes with unneeded: 0"] * 23, every_s=61),
    ]))  # fmt: skip
    chatter(stage, "monitoring/node-exporter", ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=ERROR source=collector.go:168 msg="collector failed" name=ipvs err="no such file"'], count=4, minutes=60)  # fmt: skip
    chatter(stage, "birds/songs", ["INFO songs: model of 2026-11-26 in use", "INFO songs: POST /who 200 <60-140>ms", "WARN songs: recording too short, no bird named", "INFO songs: POST /who 200 <60-140>ms"], count=40, minutes=60)  # fmt: skip
    chatter(stage, "birds/recordings", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=5, minutes=60)  # fmt: skip
    chatter(stage, "birds/listener", ["INFO listener: <1-9> recordings taken in", "ERROR listener: station 14 sent a broken file, refused; asked to send it again"], count=24, minutes=60)  # fmt: skip
    chatter(stage, "web/guidebook", ["GET /birds 200 <20-60>ms"], minutes=60)


def _metrics(stage: Stage, gone: datetime) -> None:
    """Every ten minutes for eight days; a night's node is there for an hour and some minutes."""
    count, step = 8 * 144, 600
    end = stage.now.replace(microsecond=0)
    minutes = [0.0] * count
    for n in range(count):
        at = end - timedelta(seconds=step * (count - 1 - n))
        evening = at.replace(hour=23, minute=3, second=0)
        minutes[n] = ((at - evening).total_seconds() / 60) % 1440
    lasted = (gone - gone.replace(hour=23, minute=3, second=0)).total_seconds() / 60 % 1440
    there = [1.0 if since < lasted + (0, 7, 3, 12, 5)[n // 144 % 5] * (n < count - 144) else 0.0 for n, since in enumerate(minutes)]  # fmt: skip
    driver: Body = {"namespace": "accelerators", "daemonset": "accelerator-driver", "job": "kube-state-metrics"}  # fmt: skip
    stage.metric("wanted", 'kube_daemonset_status_desired_number_scheduled{namespace="accelerators"}', [(driver, there)], step_s=step)  # fmt: skip
    stage.metric("ready", 'kube_daemonset_status_number_ready{namespace="accelerators"}', [(driver, there)], step_s=step)  # fmt: skip
    stage.metric("nodes", 'sum by (label_example_com_pool) (kube_node_labels{label_example_com_pool="accelerators"})', [({"label_example_com_pool": "accelerators"}, there)], step_s=step)  # fmt: skip
    stage.metric("unschedulable", "sum by (namespace) (kube_pod_status_unschedulable)", [({"namespace": "birds"}, [0.0] * count)], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m]))', [({"namespace": "birds", "service": "songs"}, [0.0] * count), ({"namespace": "web", "service": "guidebook"}, [0.0] * count)], step_s=step)  # fmt: skip
