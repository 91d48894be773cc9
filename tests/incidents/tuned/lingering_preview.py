"""A preview namespace does not go: what it contains waits for an operator that was parked."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment
from tests.incidents.stage import Stage
from tests.incidents.workloads import service

INCIDENT = Incident(
    title="A deleted namespace stays because nobody removes a bucket's finalizer",
    half=Half.tuned,
    story="The bucket operator is scaled to zero during a migration. A preview namespace is deleted meanwhile and waits for "
    "the operator to let go of its bucket.",
    sources=["https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/"],
    labels={
        "alertname": "KubeNamespaceTerminatingTooLong",
        "namespace": "preview-214",
        "phase": "Terminating",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    causes=["Bucket/preview-214/assets", "Deployment/buckets/operator", "Namespace/_cluster/preview-214"],
    says=[["buckets.example.com/release", "finalizer"], ["assets"]],
    innocent=["Deployment/preview-213/web"],
    traits=frozenset({Trait.innocent}),
)

BUCKET = {
    "apiVersion": "storage.example.com/v1",
    "kind": "Bucket",
    "metadata": {"name": "assets", "namespace": "preview-214", "finalizers": ["buckets.example.com/release"]},
    "spec": {"region": "eu-1"},
}
MANIFESTS = [
    deployment("buckets/operator", "buckets/operator:0.12.0", replicas=1),
    deployment("preview-213/web", "preview/web:pr-213", replicas=1, port=8080),
    service("preview-213/web", 8080),
    deployment("preview-214/web", "preview/web:pr-214", replicas=1, port=8080),
    service("preview-214/web", 8080),
]


def play(stage: Stage) -> None:
    stage.crd("storage.example.com", "v1", "Bucket", "buckets")
    stage.apply(MANIFESTS)
    stage.apply([BUCKET])
    stage.calm()
    stage.wait(days=6)
    stage.kubectl("scale", "deployment/operator", "--replicas=0", "-n", "buckets")
    stage.calm()
    stage.wait(hours=5)
    stage.delete("namespaces/_cluster/preview-214")
    stage.cluster.until("only the bucket left", lambda: _only_the_bucket_left(stage))
    stage.wait(minutes=40)
    stage.fire(minutes_ago=9)


def _only_the_bucket_left(stage: Stage) -> bool:
    stage.calm()
    told = stage.get("namespaces/_cluster/preview-214")["status"].get("conditions", [])
    words = " ".join(one["message"] for one in told if one["type"] == "NamespaceContentRemaining")
    return "buckets.storage.example.com" in words and "pods" not in words
