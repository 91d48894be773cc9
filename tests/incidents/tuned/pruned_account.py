"""A ServiceAccount was deleted; the workload that runs as it gets no new pods."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident
from tests.incidents.manifests import deployment, kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import service

INCIDENT = Incident(
    title="A clean-up of accounts takes one that a Deployment runs as",
    half=Half.tuned,
    story="ServiceAccounts without recent tokens are deleted. Two days later the exporter is restarted, and its pods "
    "cannot be made.",
    sources=["https://kubernetes.io/docs/concepts/security/service-accounts/"],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="telemetry", deployment="exporter"),
    causes=["Deployment/telemetry/exporter", "ServiceAccount/telemetry/exporter-sa"],
    says=[["exporter-sa"], ["not found", "does not exist", "missing"]],
    innocent=["Deployment/telemetry/relay"],
)

ACCOUNT = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": "exporter-sa", "namespace": "telemetry"},
}
MANIFESTS = [
    ACCOUNT,
    deployment(
        "telemetry/exporter", "telemetry/exporter:0.19.0", port=9100, pod={"serviceAccountName": "exporter-sa"},
        spec={"strategy": {"type": "Recreate"}},
    ),
    service("telemetry/exporter", 9100),
    deployment("telemetry/relay", "telemetry/relay:2.1.0", port=4317),
    service("telemetry/relay", 4317),
]  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=19)
    stage.delete("serviceaccounts/telemetry/exporter-sa")
    stage.wait(days=2)
    stage.restart("deployments/telemetry/exporter")
    stage.calm(unfinished=["telemetry/exporter"])
    stage.cluster.until(
        "pods refused",
        lambda: any(
            e["reason"] == "FailedCreate"
            for e in stage.cluster.ask("GET", "/api/v1/namespaces/telemetry/events")["items"]
        ),
    )
    stage.wait(minutes=18)
    stage.fire(minutes_ago=2)
