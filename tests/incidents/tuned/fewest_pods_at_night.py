"""At night an autoscaler would like fewer pods than it may have and says so in a condition; a rule takes that for a fault."""

from __future__ import annotations

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.manifests import kube_prometheus
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="HpaScalingLimited of the radio's streams at two in the night: three pods are the least it may have and one would do, as every night",
    half=Half.tuned,
    story=(
        "The autoscaler of stream computes one pod from the night's load and keeps its least, three. It says ScalingLimited, TooFewReplicas, each night from eleven to six, and a rule"
        " on that condition fires each night. By day it has up to nine of twelve pods. Listeners hear what they asked for. The budget of stream allows no disruption while there are"
        " three pods, as it wants three, and the playlist was edited in the evening."
    ),
    sources=[
        "https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale-walkthrough/#appendix-horizontal-pod-autoscaler-status-conditions",
        "https://github.com/kubernetes/kube-state-metrics/blob/main/docs/metrics/workload/horizontalpodautoscaler-metrics.md",
        "https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/podautoscaler/horizontal.go",
    ],
    labels=kube_prometheus("HpaScalingLimited", namespace="radio", horizontalpodautoscaler="stream", condition="ScalingLimited", status="true"),
    annotations={"summary": "Autoscaler stream cannot scale as it wants to.", "description": "HPA radio/stream is limited for more than 30 minutes."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["autoscaler's status", "metrics server"],
)  # fmt: skip

TOO_FEW = "the desired replica count is less than the minimum replica count"


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        deployment("radio/stream", container("stream", "radio/stream:5.5.0", port=8000, ready="/status", alive="/status", cpu="300m", memory=("256Mi", "512Mi"), env={"PLAYLIST_URL": "http://playlist.radio.svc"}), replicas=3), service("radio/stream", 80, 8000),
        deployment("radio/playlist", container("playlist", "radio/playlist:3.1.0", port=8080, ready="/ready", env={"DB_HOST": "titles.radio.svc"}, mounts={"rotation": "/etc/playlist"}), pod={"volumes": [{"name": "rotation", "configMap": {"name": "rotation"}}]}), service("radio/playlist", 80, 8080),
        config_map("radio/rotation", {"rotation.yaml": "morning: pop\nnight: jazz\n"}),
        stateful_set("radio/titles", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("radio/titles", 5432, headless=True),
        deployment("radio/listeners", container("listeners", "radio/listeners:1.4.1", port=8080, ready="/ready", env={"STREAM_URL": "http://stream.radio.svc"}), replicas=1), service("radio/listeners", 80, 8080),
        deployment("web/player", container("player", "web/player:16.0.0", port=3000, ready="/up", env={"STREAM_URL": "http://stream.radio.svc", "PLAYLIST_URL": "http://playlist.radio.svc"})), service("web/player", 80, 3000),
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "stream", "namespace": "radio"}, "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app": "stream"}}}},
    ])  # fmt: skip
    stage.calm()
    stage.apply([{
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "stream", "namespace": "radio"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "stream"}, "minReplicas": 3, "maxReplicas": 12,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}],
        },
    }])  # fmt: skip
    stage.wait(days=13, hours=9, minutes=4)
    stage.edit("configmaps/radio/rotation", lambda body: body["data"].update({"rotation.yaml": "morning: pop\nnight: soul\n"}))  # fmt: skip
    stage.wait(hours=7, minutes=40)
    stage.heartbeat()
    chatter(stage, "radio/stream", [
        "[<%Y-%m-%d  %H:%M:%S>] INFO source/source_main listener count on /live now <10-40>",
        "[<%Y-%m-%d  %H:%M:%S>] WARN connection/_handle_connection client timed out before the request was complete",
        "[<%Y-%m-%d  %H:%M:%S>] INFO stats/modify_node_event update global clients (<10-40>)",
    ], minutes=60)  # fmt: skip
    chatter(stage, "radio/playlist", ["INFO  playlist: next title <1000-9999>", "WARN  playlist: title <1000-9999> has no cover"], minutes=60)  # fmt: skip
    chatter(stage, "radio/listeners", ["INFO  listeners: <30-120> hear /live"], count=12, minutes=60)
    chatter(stage, "radio/titles", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=5, minutes=60)  # fmt: skip
    chatter(stage, "web/player", ["GET /live 200 <5-30>ms"], count=10, minutes=60)
    _metrics(stage)
    stage.fire(minutes_ago=150)
    _as_with_metrics(stage)


def _as_with_metrics(stage: Stage) -> None:
    """What the autoscaler says where a metrics server answers; none does on the test bed, and it looks every fifteen seconds."""
    seen = stage.get("hpa/radio/stream")["metadata"]["resourceVersion"]
    _say(stage)
    mine = stage.get("hpa/radio/stream")["metadata"]["resourceVersion"]
    assert mine != seen
    stage.cluster.until("the autoscaler looked", lambda: stage.get("hpa/radio/stream")["metadata"]["resourceVersion"] != mine, within_s=40)  # fmt: skip
    _say(stage)
    for event in stage.cluster.ask("GET", "/api/v1/namespaces/radio/events")["items"]:
        if event["involvedObject"]["kind"] == "HorizontalPodAutoscaler":
            stage.cluster.ask("DELETE", f"/api/v1/namespaces/radio/events/{event['metadata']['name']}")


def _say(stage: Stage) -> None:
    long_ago, evening = stage.stamp(minutes_ago=60 * 24 * 40), stage.stamp(minutes_ago=183)
    cpu: Body = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 11, "averageValue": "33m"}}}  # fmt: skip
    stage.status("hpa/radio/stream", {
        "currentReplicas": 3, "desiredReplicas": 3, "lastScaleTime": evening, "currentMetrics": [cpu],
        "conditions": [
            {"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale", "message": "recommended size matches current size", "lastTransitionTime": long_ago},
            {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)", "lastTransitionTime": long_ago},
            {"type": "ScalingLimited", "status": "True", "reason": "TooFewReplicas", "message": TOO_FEW, "lastTransitionTime": evening},
        ],
    }, manager="kube-controller-manager")  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every ten minutes for five days; the last value is at five to two in the night."""
    count, step = 5 * 144, 600
    here: Body = {"namespace": "radio", "horizontalpodautoscaler": "stream"}
    # From eleven to six: the last seventeen values and what is a day before them.
    night = [(count - 1 - n) % 144 <= 17 or (count - 1 - n) % 144 >= 119 for n in range(count)]
    stage.metric("limited", 'kube_horizontalpodautoscaler_status_condition{condition="ScalingLimited",status="true"}', [
        ({**here, "condition": "ScalingLimited", "status": "true"}, [1.0 if one else 0.0 for one in night]),
    ], step_s=step)  # fmt: skip
    by_day = about(7.4, count, noise=0.2)
    stage.metric("desired", "kube_horizontalpodautoscaler_status_desired_replicas", [(here, [3.0 if one else float(round(d)) for one, d in zip(night, by_day, strict=True)])], step_s=step)  # fmt: skip
    stage.metric(
        "most", "kube_horizontalpodautoscaler_spec_max_replicas", [(here, [12.0] * count)], step_s=step
    )
    used = about(0.59, count, noise=0.08)
    stage.metric("cpu", 'sum by (namespace, container) (rate(container_cpu_usage_seconds_total{namespace="radio",container="stream"}[5m])) / sum by (namespace, container) (kube_pod_container_resource_requests{namespace="radio",container="stream",resource="cpu"})', [
        ({"namespace": "radio", "container": "stream"}, [0.11 + 0.01 * (n % 3) if one else u for n, (one, u) in enumerate(zip(night, used, strict=True))]),
    ], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "radio", "service": "stream"}, about(0.0004, count, noise=0.9)),
        ({"namespace": "web", "service": "player"}, about(0.0005, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
