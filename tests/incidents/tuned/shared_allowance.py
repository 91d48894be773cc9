"""A namespace's quota is used up by a neighbour that was scaled; the workload that needs two more pods alerts."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment, kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import service

INCIDENT = Incident(
    title="The month's statements cannot start: the namespace's CPU allowance is gone",
    half=Half.tuned,
    story="The exporter is scaled from 2 to 6 for a backfill and takes the rest of the CPU quota; two hours later the "
    "statements are scaled for the end of the month and get one pod of three.",
    sources=["https://kubernetes.io/docs/concepts/policy/resource-quotas/"],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="reporting", deployment="statements"),
    causes=["ResourceQuota/reporting/compute"],
    says=[["requests.cpu"], ["used up", "exceeded", "used"], ["4"]],
    innocent=["Deployment/reporting/statements", "Deployment/labs/notebook"],
    second=["Deployment/labs/notebook"],
    traits=frozenset({Trait.innocent, Trait.two_faults}),
)

HALF = {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}
MANIFESTS = [
    {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "compute", "namespace": "reporting"},
        "spec": {"hard": {"requests.cpu": "4", "requests.memory": "8Gi", "pods": "20"}},
    },
    deployment("reporting/exporter", "reporting/exporter:0.31.0", resources=HALF),
    deployment("reporting/statements", "reporting/statements:5.2.0", replicas=1, port=8080, resources=HALF),
    service("reporting/statements", 8080),
    deployment("labs/notebook", "labs/notebook:2026.10", replicas=1),
    deployment("labs/hub", "labs/hub:4.1.6", replicas=1),
]  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=27)
    stage.kubectl("scale", "deployment/exporter", "--replicas=6", "-n", "reporting")
    stage.calm()
    stage.wait(hours=2)
    stage.kubectl(
        "patch", "deployment/notebook", "-n", "labs",
        "-p", '{"spec":{"template":{"spec":{"nodeSelector":{"hardware.example.com/accelerator":"a100"}}}}}',
    )  # fmt: skip
    stage.wait(minutes=5)
    stage.kubectl("scale", "deployment/statements", "--replicas=4", "-n", "reporting")
    stage.calm(unfinished=["reporting/statements", "labs/notebook"])
    stage.wait(minutes=18)
    stage.fire(minutes_ago=3)
