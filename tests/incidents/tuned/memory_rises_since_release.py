"""Since a release a program's memory grows by some megabytes an hour; nothing has happened yet."""

from __future__ import annotations

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="The profile service leaks since release 4.9.0 and nears its memory limit",
    half=Half.tuned,
    story="Nine days ago a release went out. Since then both pods keep what they allocate: from 380 MiB to 950 of 1024 MiB. No pod has been killed yet.",
    sources=[
        "https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/",
        "https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md",
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#predict_linear",
    ],
    labels={
        "alertname": "ContainerMemoryNearLimit",
        "severity": "warning",
        "namespace": "members",
        "pod": "{pod:members/profiles-}",
        "container": "profiles",
    },
    annotations={"summary": "Working set is above 90 % of the limit."},
    causes=["Deployment/members/profiles"],
    says=[["memory"], ["1Gi", "1024", "1.0 GiB", "1 GiB", "1073741824", "1.07"]],
    traits=frozenset({Trait.metrics_only}),
)

MIB = 2.0**20
BEFORE_H, SINCE_H = 48, 216


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        deployment("members/profiles", container("profiles", "members/profiles:4.8.2", port=8080, ready="/ready", alive="/alive",
                                                 memory=("512Mi", "1Gi"))),
        service("members/profiles", 8080),
        deployment("members/avatars", container("avatars", "members/avatars:1.3.7", port=8080, ready="/ready", memory=("256Mi", "512Mi"))),
        service("members/avatars", 8080),
        stateful_set("members/directory", container("directory", "members/directory:7.1.0", port=6379, memory=("1Gi", "2Gi")), replicas=2),
        service("members/directory", 6379, headless=True),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=19)
    stage.kubectl(
        "set",
        "image",
        "deployment/profiles",
        "profiles=registry.example.com/members/profiles:4.9.0",
        "-n",
        "members",
    )
    stage.calm()
    stage.wait(hours=SINCE_H)
    chatter(stage, "members/profiles", [
        "INFO  [http-<1-9>] c.e.m.ProfileResource - profile read, <2-9> ms",
        "INFO  [http-<1-9>] c.e.m.ProfileResource - profile written, <9-30> ms",
    ])  # fmt: skip
    chatter(stage, "members/avatars", ["INFO avatar served bytes=<4000-90000>"])
    chatter(stage, "members/directory", ["1:M <%d %b %Y %H:%M:%S.%3> * 100 changes in 300 seconds. Saving...",
                                         "1:M <%d %b %Y %H:%M:%S.%3> * Background saving terminated with success"])  # fmt: skip
    _metrics(stage)
    stage.fire(minutes_ago=26)


def _metrics(stage: Stage) -> None:
    """One value an hour, from two days before the release."""
    count = BEFORE_H + SINCE_H
    used, limits, restarts, cpu = [], [], [], []
    levels = {"profiles": 380, "avatars": 210, "directory": 1180}
    most = {"profiles": 1024, "avatars": 512, "directory": 2048}
    for number, (name, level) in enumerate(levels.items()):
        for pod in stage.pods(f"members/{name}-"):
            there = pod["metadata"]["name"]
            labels = {"namespace": "members", "pod": there, "container": name}
            if name == "profiles":
                values = slope(level * MIB, 951 * MIB, SINCE_H, of=there)
            else:
                values = about(level * MIB, count, noise=0.03, of=there)
            used.append((labels, values))
            limits.append(
                ({**labels, "resource": "memory", "unit": "byte"}, [most[name] * MIB] * len(values))
            )
            restarts.append((labels, [0.0] * len(values)))
            cpu.append((labels, about(0.06 + 0.05 * number, len(values), noise=0.2, of=there)))
    largest = [*about(381 * MIB, BEFORE_H, noise=0.03), *slope(380 * MIB, 951 * MIB, SINCE_H, of="largest")]
    hour = 3600
    stage.metric(
        "memory", 'container_memory_working_set_bytes{namespace="members",container!=""}', used, step_s=hour
    )
    # Over both releases: their pods have different names.
    stage.metric("memory-largest-pod", 'max by (namespace, container) (container_memory_working_set_bytes{namespace="members",container="profiles"})', [
        ({"namespace": "members", "container": "profiles"}, largest),
    ], step_s=hour)  # fmt: skip
    stage.metric(
        "memory-limit",
        'kube_pod_container_resource_limits{namespace="members",resource="memory"}',
        limits,
        step_s=hour,
    )
    stage.metric(
        "restarts", 'kube_pod_container_status_restarts_total{namespace="members"}', restarts, step_s=hour
    )
    stage.metric(
        "cpu",
        'sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total{namespace="members"}[1h]))',
        cpu,
        step_s=hour,
    )
    stage.metric("requests", 'sum by (namespace, service) (rate(http_requests_total{namespace="members"}[1h]))', [
        ({"namespace": "members", "service": "profiles"}, about(41, count, noise=0.15)),
        ({"namespace": "members", "service": "avatars"}, about(88, count, noise=0.15)),
    ], step_s=hour)  # fmt: skip
