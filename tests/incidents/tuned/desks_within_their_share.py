"""A namespace uses nearly all of its quota, as it was meant to when both were sized; nothing was ever refused."""

from __future__ import annotations

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="KubeQuotaAlmostFull of a namespace whose workloads were sized to its quota and take the same 94 % every day",
    half=Half.tuned,
    story=(
        "The studio's share was cut to what it runs: 7500m of 8 CPUs are requested, with room for one more pod during a rollout. It has been so"
        " for a month, no pod was ever refused, today's rollout of frames went through within it. The rule of level info fires from 90 %."
    ),
    sources=[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubequotaalmostfull/",
        "https://kubernetes.io/docs/concepts/policy/resource-quotas/",
        "https://github.com/kubernetes-monitoring/kubernetes-mixin/blob/master/alerts/resource_alerts.libsonnet",
    ],
    labels={
        "alertname": "KubeQuotaAlmostFull",
        "severity": "info",
        "namespace": "studio",
        "resourcequota": "share",
        "resource": "requests.cpu",
    },
    annotations={
        "summary": "Namespace quota is going to be full.",
        "description": "Namespace studio is using 93.75% of its requests.cpu quota.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)


def play(stage: Stage) -> None:
    one_at_a_time = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    stage.apply([
        *system(),
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "share", "namespace": "studio"}, "spec": {"hard": {"requests.cpu": "8", "requests.memory": "24Gi", "pods": "40"}}},
        deployment("studio/frames", container("frames", "studio/frames:4.16.0", port=8080, ready="/ready", alive="/alive", cpu="500m", memory=("512Mi", "1Gi"),
                                              env={"STORE": "reels.studio.svc.cluster.local:5432"}), replicas=6, strategy=one_at_a_time),
        service("studio/frames", 80, 8080),
        deployment("studio/colour", container("colour", "studio/colour:2.2.4", port=8080, ready="/ready", cpu="750m", memory=("1Gi", "2Gi")), replicas=4),
        service("studio/colour", 80, 8080),
        deployment("studio/subtitles", container("subtitles", "studio/subtitles:1.9.0", port=8080, ready="/ready", cpu="250m"), replicas=2),
        service("studio/subtitles", 80, 8080),
        stateful_set("studio/reels", container("postgres", "postgres:17.6", port=5432, cpu="1", memory=("2Gi", "4Gi"))),
        service("studio/reels", 5432, headless=True),
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "share", "namespace": "cinema"}, "spec": {"hard": {"requests.cpu": "4", "pods": "40"}}},
        config_map("cinema/seats-texts", {"hall.properties": "row.first=A\nrow.last=T\n"}),
        deployment("cinema/seats", container("seats", "cinema/seats:11.0.2", port=8080, ready="/up", env={"FRAMES_URL": "http://frames.studio.svc"}), replicas=3),
        service("cinema/seats", 80, 8080),
        deployment("cinema/posters", container("posters", "cinema/posters:3.3.3", port=8080, ready="/up")),
        service("cinema/posters", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=31, hours=2)
    stage.edit(
        "configmaps/cinema/seats-texts",
        lambda body: body["data"].update({"hall.properties": "row.first=A\nrow.last=U\n"}),
    )
    stage.wait(minutes=40)
    stage.kubectl(
        "set",
        "image",
        "deployment/frames",
        "frames=registry.example.com/studio/frames:4.16.1",
        "-n",
        "studio",
    )
    stage.calm()
    stage.wait(hours=3, minutes=5)
    stage.heartbeat()
    chatter(stage, "studio/frames", [
        '{"level":"info","msg":"GET /frames/<1000-9999>","status":200,"ms":<12-40>}',
        '{"level":"warn","msg":"frame cache is 0.9 full, the oldest are dropped"}',
    ])  # fmt: skip
    chatter(stage, "studio/colour", ["INFO colour: graded reel <100-999> in <300-900>ms"])
    chatter(stage, "studio/subtitles", ["INFO subtitles: GET /s/<100-999>.vtt 200 <2-7>ms"])
    chatter(stage, "studio/reels", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=4)  # fmt: skip
    chatter(stage, "cinema/seats", ["INFO seats: GET /halls/<1-12> 200 <9-30>ms"])
    _metrics(stage)
    stage.fire(minutes_ago=29 * 24 * 60)


def _metrics(stage: Stage) -> None:
    """Once an hour for two weeks; the rollout of three hours ago took half a CPU for some seconds."""
    count, hour = 14 * 24, 3600
    here = {"namespace": "studio", "resourcequota": "share", "job": "kube-state-metrics"}
    rows = []
    for resource, used, hard in (("requests.cpu", 7.5, 8.0), ("pods", 13.0, 40.0), ("requests.memory", 9.25 * 2**30, 24 * 2.0**30)):  # fmt: skip
        rows += [
            ({**here, "resource": resource, "type": "used"}, [used] * count),
            ({**here, "resource": resource, "type": "hard"}, [hard] * count),
        ]
    stage.metric("quota", "kube_resourcequota", rows, step_s=hour)
    stage.metric("cpu", 'sum by (namespace) (rate(container_cpu_usage_seconds_total{namespace="studio"}[5m]))', [
        ({"namespace": "studio"}, about(3.4, count, noise=0.3)),
    ], step_s=hour)  # fmt: skip
    stage.metric("frames-errors", 'sum by (namespace, service) (rate(http_requests_total{namespace="studio",service="frames",code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total{namespace="studio",service="frames"}[5m]))', [
        ({"namespace": "studio", "service": "frames"}, about(0.0003, count, noise=0.7)),
    ], step_s=hour)  # fmt: skip
