"""A node with the only accelerator was tainted; a pod that has to run there is replaced and finds no place."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment, kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import service

INCIDENT = Incident(
    title="A taint set for a driver update outlives it, and the next restart finds no node",
    half=Half.tuned,
    story="node-b, the only one with an accelerator, is tainted for a driver update. Its running pods stay; two hours later "
    "the inference service restarts and one pod is pending.",
    sources=["https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/"],
    labels=kube_prometheus("KubePodNotReady", namespace="vision", pod="{pod:vision/infer}", phase="Pending"),
    causes=["Node/_cluster/node-b"],
    says=[["driver-update"], ["taint"]],
    innocent=["Deployment/vision/infer"],
    traits=frozenset({Trait.innocent}),
)

MANIFESTS = [
    deployment(
        "vision/infer", "vision/infer:2.9.0", replicas=1, port=8000, pod={"nodeSelector": {"hardware.example.com/accelerator": "l4"}},
        spec={"strategy": {"type": "Recreate"}},
    ),
    service("vision/infer", 8000),
    deployment("vision/upload", "vision/upload:1.5.0", port=8000, env={"INFER": "http://infer.vision:8000"}),
]  # fmt: skip


def play(stage: Stage) -> None:
    stage.kubectl("label", "node", "node-b", "hardware.example.com/accelerator=l4")
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=15)
    stage.kubectl("taint", "node", "node-b", "ops.example.com/driver-update=pending:NoSchedule")
    stage.wait(hours=2)
    stage.kubectl("set", "env", "deployment/infer", "BATCH=8", "-n", "vision")
    stage.calm(unfinished=["vision/infer"])
    stage.wait(minutes=19)
    stage.fire(minutes_ago=3)
