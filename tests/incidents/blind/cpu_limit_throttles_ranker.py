"""Traffic grows, a CPU limit stays; nothing restarts, and the slowest answers take seconds."""

from __future__ import annotations

from collections.abc import Sequence

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A CPU limit throttles a service whose traffic has grown",
    half=Half.blind,
    story="A campaign raises the ranker's traffic by two thirds. Its pods use all of their 500m of CPU and are "
    "throttled in most of the scheduler's periods, so p99 goes from 140 ms to two seconds. The nodes have room.",
    sources=[
        "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#how-pods-with-resource-limits-are-run",
        "https://github.com/kubernetes-monitoring/kubernetes-mixin/blob/master/alerts/resource_alerts.libsonnet",
        "https://engineering.indeedblog.com/blog/2019/12/unthrottled-fixing-cpu-limits-in-the-cloud/",
    ],
    labels={
        "alertname": "RequestLatencyP99High",
        "namespace": "search",
        "service": "ranker",
        "deployment": "ranker",
        "severity": "warning",
    },
    annotations={"summary": "The 99th percentile of search/ranker has been above 1 s for 10 minutes."},
    causes=["Deployment/search/ranker"],
    says=[["throttl"], ["500m", "0.5 core", "0.5 CPU", "limit of 0.5"]],
    innocent=["Deployment/search/frontend", "Deployment/search/suggest"],
    traits=frozenset({Trait.metrics_only}),
)

WORKLOAD = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: search}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: {name}
        image: registry.example.com/search/{name}:{tag}
        ports: [{{containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /ready, port: 8080}}, timeoutSeconds: 5}}
        resources: {{requests: {{cpu: 250m, memory: 512Mi}}, limits: {{cpu: {cpu}, memory: 1Gi}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: search}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""

WORKLOADS = (
    ("frontend", 3, "12.1.0", '"2"', 2.0),
    ("ranker", 3, "6.0.4", "500m", 0.5),
    ("suggest", 2, "3.3.9", '"1"', 1.0),
)
MINUTES, RISES = 180, 140
"""Recorded, and when traffic rises."""


def play(stage: Stage) -> None:
    for name, replicas, tag, cpu, _ in WORKLOADS:
        stage.apply(WORKLOAD.format(name=name, replicas=replicas, tag=tag, cpu=cpu))
    stage.calm()
    stage.wait(days=24, hours=5)
    stage.wait(minutes=MINUTES - RISES)
    slow = "WARN slow request path=/v1/rank took=1874ms candidates=400"
    stage.log("search/ranker", f"INFO ranked candidates=400 took=96ms\n{slow}\nINFO ranked candidates=120 took=733ms\n{slow}", every_s=2)  # fmt: skip
    stage.log("search/frontend", "WARN ranker answered after 2011ms\nINFO GET /search 200 2140ms", every_s=2)
    _measure(stage)
    stage.fire(minutes_ago=18)


def _step(before: float, after: float, *, sway: float = 0.03) -> list[float]:
    """About one level, then within six minutes another."""
    values = []
    for n in range(MINUTES):
        share = min(max((n - RISES) / 6, 0.0), 1.0)
        level = before + (after - before) * share
        values.append(level * (1 + sway * ((n * 7) % 5 - 2) / 2))
    return values


def _flat(level: float) -> list[float]:
    return _step(level, level)


def _measure(stage: Stage) -> None:
    usage, throttled, limits, memory = [], [], [], []
    for name, _, _, _, cores in WORKLOADS:
        busy: Sequence[float] = {"frontend": _step(0.41, 0.66), "ranker": _step(0.31, 0.494, sway=0.01), "suggest": _flat(0.22)}[name]  # fmt: skip
        share = {"frontend": _flat(0.004), "ranker": _step(0.03, 0.78), "suggest": _flat(0.002)}[name]
        for pod in stage.pods(f"search/{name}"):
            labels = {"namespace": "search", "pod": pod["metadata"]["name"], "container": name}
            usage.append((labels, busy))
            throttled.append((labels, share))
            memory.append((labels, _flat(402e6)))
            limits.append(
                (
                    {**labels, "resource": "cpu", "unit": "core", "node": pod["spec"]["nodeName"]},
                    [cores] * MINUTES,
                )
            )
    stage.metric("cpu_usage", 'sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total{namespace="search"}[5m]))', usage)  # fmt: skip
    stage.metric(
        "cpu_throttling",
        'sum by (namespace, pod, container) (increase(container_cpu_cfs_throttled_periods_total{namespace="search"}[5m])) / sum by (namespace, pod, container) (increase(container_cpu_cfs_periods_total{namespace="search"}[5m]))',
        throttled,
    )  # fmt: skip
    stage.metric(
        "cpu_limits", 'kube_pod_container_resource_limits{namespace="search",resource="cpu"}', limits
    )
    stage.metric("memory_working_set", 'container_memory_working_set_bytes{namespace="search"}', memory)

    def named(name: str) -> dict[str, str]:
        return {"namespace": "search", "service": name}

    stage.metric(
        "request_rate", 'sum by (namespace, service) (rate(http_requests_total{namespace="search"}[5m]))',
        [(named("frontend"), _step(58, 96)), (named("ranker"), _step(55, 92)), (named("suggest"), _flat(21))],
    )  # fmt: skip
    stage.metric(
        "latency_p99",
        'histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket{namespace="search"}[5m])))',
        [(named("frontend"), _step(0.31, 2.3)), (named("ranker"), _step(0.14, 2.02)), (named("suggest"), _flat(0.05))],
    )  # fmt: skip
    stage.metric(
        "node_cpu_busy", '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m]))',
        [({"instance": node, "job": "node-exporter"}, _step(0.24, 0.33)) for node in ("node-a", "node-b", "node-c")],
    )  # fmt: skip
