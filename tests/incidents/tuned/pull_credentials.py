"""The registry's credentials were replaced by wrong ones; a rollout days later cannot pull."""

from __future__ import annotations

import base64
import json

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment, kube_prometheus
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import service

INCIDENT = Incident(
    title="A pull secret was renewed with a token that the registry does not know",
    half=Half.tuned,
    story="The robot that renews pull secrets writes a token of the test registry. Forty minutes later a release of the "
    "bookings cannot be pulled: 401. At the same time a neighbour in another namespace asks for a disk class that is not there.",
    sources=["https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/"],
    labels=kube_prometheus(
        "KubePodNotReady", namespace="travel", pod="{pod:travel/bookings}", phase="Pending"
    ),
    causes=["Secret/travel/registry"],
    says=[["401", "unauthorized", "credentials"], ["secret-renewer"]],
    innocent=["Deployment/travel/search"],
    second=["PersistentVolumeClaim/labs/scratch"],
    traits=frozenset({Trait.two_faults}),
)


def _config(token: str) -> str:
    auth = base64.b64encode(f"robot:{token}".encode()).decode()
    return json.dumps({"auths": {"registry.example.com": {"auth": auth}}})


PULL: Body = {
    "apiVersion": "v1",
    "kind": "Secret",
    "type": "kubernetes.io/dockerconfigjson",
    "metadata": {"name": "registry", "namespace": "travel"},
    "stringData": {".dockerconfigjson": _config("not-a-token-1")},
}
MANIFESTS = [
    PULL,
    deployment(
        "travel/bookings", "travel/bookings:17.3.0", port=8080, pod={"imagePullSecrets": [{"name": "registry"}]},
        spec={"strategy": {"type": "Recreate"}},
    ),
    service("travel/bookings", 8080),
    deployment("travel/search", "travel/search:9.9.1", port=8080, pod={"imagePullSecrets": [{"name": "registry"}]}),
    deployment("labs/analysis", "labs/analysis:0.4.0", replicas=1),
]  # fmt: skip
SCRATCH = [
    {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "scratch", "namespace": "labs"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "nvme", "resources": {"requests": {"storage": "5Gi"}}},
    },
    deployment(
        "labs/analysis", "labs/analysis:0.4.0", replicas=1, volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}],
        pod={"volumes": [{"name": "scratch", "persistentVolumeClaim": {"claimName": "scratch"}}]},
    ),
]  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=22)
    stage.apply(SCRATCH)
    stage.calm(unfinished=["labs/analysis"])
    stage.wait(minutes=5)
    stage.edit("secrets/travel/registry", _renew, manager="secret-renewer")
    stage.wait(minutes=40)
    image = "registry.example.com/travel/bookings:17.4.0"
    stage.hold("travel/bookings-")
    stage.kubectl("set", "image", "deployment/bookings", f"bookings={image}", "-n", "travel")
    stage.calm(unfinished=["labs/analysis"])
    stage.wait(seconds=15)
    why = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": unexpected status from HEAD request to https://registry.example.com/v2/travel/bookings/manifests/17.4.0: 401 Unauthorized'
    stage.stuck(
        "travel/bookings-", "ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {why}',
        event=("Failed", f'Failed to pull image "{image}": {why}'), count=2,
    )  # fmt: skip
    stage.wait(minutes=18)
    stage.fire(minutes_ago=2)


def _renew(body: Body) -> None:
    body["data"][".dockerconfigjson"] = base64.b64encode(_config("not-a-token-2").encode()).decode()
