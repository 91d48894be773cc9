"""A new LimitRange allows less memory than a workload asks for; its next restart makes no pods."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment, kube_prometheus
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import service

INCIDENT = Incident(
    title="Bounds for the namespace refuse the simulator's pods",
    half=Half.tuned,
    story="The platform team lowers the LimitRange's maximum from 4Gi to 1Gi. Running pods stay; when the simulator is "
    "restarted a day later, its 2Gi containers are forbidden.",
    sources=["https://kubernetes.io/docs/concepts/policy/limit-range/"],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="research", deployment="simulator"),
    causes=["LimitRange/research/bounds"],
    says=[["1Gi"], ["2Gi"], ["bounds"]],
    innocent=["Deployment/research/simulator"],
    traits=frozenset({Trait.innocent}),
)

MANIFESTS = [
    {
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "bounds", "namespace": "research"},
        "spec": {"limits": [{"type": "Container", "max": {"memory": "4Gi"}}]},
    },
    deployment(
        "research/simulator", "research/simulator:1.14.0", port=8080, resources={"limits": {"memory": "2Gi"}},
        spec={"strategy": {"type": "Recreate"}},
    ),
    service("research/simulator", 8080),
    deployment("research/plots", "research/plots:0.2.0", replicas=1, resources={"limits": {"memory": "256Mi"}}),
]  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=17)
    stage.edit("limitranges/research/bounds", _lower)
    stage.wait(days=1)
    stage.restart("deployments/research/simulator")
    stage.calm(unfinished=["research/simulator"])
    stage.cluster.until(
        "pods refused",
        lambda: any(
            e["reason"] == "FailedCreate"
            for e in stage.cluster.ask("GET", "/api/v1/namespaces/research/events")["items"]
        ),
    )
    stage.calm(unfinished=["research/simulator"])
    stage.wait(minutes=18)
    stage.fire(minutes_ago=2)


def _lower(body: Body) -> None:
    """The API server had filled in the defaults from the maximum; they may not be more than it."""
    limit = body["spec"]["limits"][0]
    for field in ("max", "default", "defaultRequest"):
        limit[field] = {"memory": "1Gi"}
