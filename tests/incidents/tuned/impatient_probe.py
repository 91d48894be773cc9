"""A release warms its cache before it listens; the liveness probe does not wait that long."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.incident import Half, Incident
from tests.incidents.manifests import deployment, kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import service

INCIDENT = Incident(
    title="A release that takes a minute to start is killed by its liveness probe after twenty-five seconds",
    half=Half.tuned,
    story="Release 5.0.0 loads all routes before it listens. The probe begins after 10 s and gives up after three "
    "failures 5 s apart, so the kubelet restarts it for ever.",
    sources=[
        "https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/",
    ],
    labels=kube_prometheus(
        "KubePodCrashLooping", namespace="transit", pod="{pod:transit/planner}", container="planner",
        reason="CrashLoopBackOff", uid="ad2b6f0a-6a43-4c56-8a6e-f7d4c1f1c0de",
    ),
    causes=["Deployment/transit/planner"],
    says=[["liveness"], ["10 s", "initialDelay", "10s", "25 s"], ["5.0.0"]],
    innocent=["Deployment/transit/stops", "Service/transit/planner"],
)  # fmt: skip

MANIFESTS = [
    deployment(
        "transit/planner", "transit/planner:4.11.2", port=8080, env={"STOPS": "http://stops.transit:8080"},
        livenessProbe={"httpGet": {"path": "/live", "port": 8080}, "initialDelaySeconds": 10, "periodSeconds": 5, "failureThreshold": 3},
        spec={"strategy": {"type": "Recreate"}},
    ),
    service("transit/planner", 8080),
    deployment("transit/stops", "transit/stops:2.2.2", port=8080),
    service("transit/stops", 8080),
]  # fmt: skip

LOG = """
  .   ____          _            __ _ _
2026-11-15 07:00:02.118  INFO 1 --- [main] c.e.t.PlannerApplication : Starting PlannerApplication v5.0.0 using Java 21
2026-11-15 07:00:05.442  INFO 1 --- [main] c.e.t.routes.RouteCache : Loading 48211 routes
2026-11-15 07:00:16.009  INFO 1 --- [main] c.e.t.routes.RouteCache : 20000 of 48211 routes loaded
2026-11-15 07:00:25.310  INFO 1 --- [ionShutdownHook] c.e.t.PlannerApplication : Closing application context
"""


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=11, hours=21)
    stage.hold("transit/planner-")
    stage.kubectl(
        "set",
        "image",
        "deployment/planner",
        "planner=registry.example.com/transit/planner:5.0.0",
        "-n",
        "transit",
    )
    stage.calm()
    stage.crash("transit/planner-", code=143, reason="Error", log=LOG, restarts=6, lives_s=25, count=2)
    for pod in stage.placed("transit/planner-", 2):
        kubelet = stage.kubelets[pod["spec"]["nodeName"]]
        at = stage.clock.real(stage.now - timedelta(seconds=13))
        kubelet.tell(
            pod, "Unhealthy", f'Liveness probe failed: Get "http://{pod["status"].get("podIP") or "10.244.0.9"}:8080/live": dial tcp: connect: connection refused',
            at=at, count=18, type_="Warning", container="planner",
        )  # fmt: skip
        kubelet.tell(
            pod,
            "Killing",
            "Container planner failed liveness probe, will be restarted",
            at=at,
            count=6,
            container="planner",
        )
    stage.wait(minutes=12)
    stage.fire(minutes_ago=7)
