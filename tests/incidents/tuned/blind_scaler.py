"""An autoscaler cannot read metrics because the metrics server's new image does not exist."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment
from tests.incidents.stage import Stage
from tests.incidents.workloads import service

INCIDENT = Incident(
    title="No autoscaler sees any load since the metrics server's upgrade",
    half=Half.tuned,
    story="The metrics server is set to an image tag that the registry does not have. The resource metrics API answers "
    "nobody, and the checkout's autoscaler reports that it cannot compute a replica count.",
    sources=["https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/"],
    labels={
        "alertname": "KubeHpaMetricsUnavailable",
        "namespace": "checkout",
        "horizontalpodautoscaler": "checkout",
        "condition": "ScalingActive",
        "status": "false",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    causes=["Deployment/kube-system/metrics-server"],
    says=[["v0.80.1"], ["image", "pull"]],
    innocent=["HorizontalPodAutoscaler/checkout/checkout", "Deployment/checkout/checkout"],
    traits=frozenset({Trait.innocent}),
)

MANIFESTS = [
    deployment(
        "kube-system/metrics-server", "metrics-server/metrics-server:v0.8.0", replicas=1, ports=[{"containerPort": 10250, "name": "https"}],
        labels={"k8s-app": "metrics-server"}, spec={"strategy": {"type": "Recreate"}},
    ),
    service("kube-system/metrics-server", 443, target="https", selector={"k8s-app": "metrics-server"}),
    {
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100, "insecureSkipTLSVerify": True,
            "service": {"name": "metrics-server", "namespace": "kube-system", "port": 443},
        },
    },
    deployment("checkout/checkout", "checkout/checkout:30.1.0", port=8080, resources={"requests": {"cpu": "200m"}}),
    service("checkout/checkout", 8080),
    {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "checkout", "namespace": "checkout"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}, "minReplicas": 2, "maxReplicas": 8,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}],
        },
    },
    deployment("search/suggest", "search/suggest:4.4.4", port=8080),
]  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=13)
    image = "registry.example.com/metrics-server/metrics-server:v0.80.1"
    stage.hold("kube-system/metrics-server-")
    stage.kubectl("set", "image", "deployment/metrics-server", f"metrics-server={image}", "-n", "kube-system")
    stage.calm()
    stage.wait(minutes=2)
    why = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found'
    stage.stuck(
        "kube-system/metrics-server-", "ImagePullBackOff", f'Back-off pulling image "{image}"',
        event=("Failed", f'Failed to pull image "{image}": rpc error: code = NotFound desc = {why}'),
    )  # fmt: skip
    stage.wait(minutes=5)
    stage.cluster.until(
        "the autoscaler reports",
        lambda: any(
            c["type"] == "ScalingActive" and c["status"] == "False"
            for c in stage.get("horizontalpodautoscalers/checkout/checkout")
            .get("status", {})
            .get("conditions", [])
        ),
    )
    stage.wait(minutes=15)
    stage.fire(minutes_ago=2)
