"""A memory limit was lowered; the containers were killed for it three times and run again at this moment."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.incident import Half, Incident
from tests.incidents.manifests import deployment, stateful_set
from tests.incidents.stage import Stage
from tests.incidents.workloads import service
from tests.testbed.kubelet import Container, stamp, terminated

INCIDENT = Incident(
    title="A limit lowered to save memory kills the recommender under its evening load",
    half=Half.tuned,
    story="`kubectl set resources` takes the limit from 768Mi to 256Mi. The kernel kills the containers whenever the "
    "model is reloaded; when somebody looks, both run.",
    sources=["https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/"],
    labels={
        "alertname": "KubernetesContainerOomKiller",
        "namespace": "discovery",
        "pod": "{pod:discovery/recommender}",
        "container": "recommender",
        "instance": "10.244.2.9:8080",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    causes=["Deployment/discovery/recommender"],
    says=[["768Mi"], ["256Mi"], ["memory", "OOM"]],
    innocent=["StatefulSet/discovery/vectors", "Node/_cluster/node-a"],
)

MANIFESTS = [
    deployment(
        "discovery/recommender", "discovery/recommender:2.20.0", port=8080, env={"VECTORS": "vectors.discovery:6333"},
        resources={"requests": {"memory": "256Mi"}, "limits": {"memory": "768Mi"}},
    ),
    service("discovery/recommender", 8080),
    stateful_set("discovery/vectors", "discovery/vectors:1.12.4", ports=[{"containerPort": 6333}]),
    service("discovery/vectors", 6333),
    deployment("discovery/trends", "discovery/trends:0.8.0", replicas=1),
]  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=10, hours=8)
    stage.kubectl("set", "resources", "deployment/recommender", "-n", "discovery", "--limits=memory=256Mi")
    stage.calm()
    stage.wait(minutes=32)
    for pod in stage.placed("discovery/recommender", 2):
        kubelet = stage.kubelets[pod["spec"]["nodeName"]]
        ended = stage.ago(minutes=6)
        last = terminated(
            137, stage.clock.real(ended - timedelta(minutes=7)), stage.clock.real(ended), reason="OOMKilled"
        )
        up = {"running": {"startedAt": stamp(stage.clock.real(ended + timedelta(seconds=2)))}}
        kubelet.report(
            pod,
            {"recommender": Container(up, ready=True, started=True, restarts=3, last=last)},
            at=stage.clock.real(ended),
        )
        kubelet.tell(
            pod, "Started", "Container started", at=stage.clock.real(ended), count=3, container="recommender"
        )
    stage.log(
        "discovery/recommender",
        "INFO recommender.model loading snapshot 2026-11-13\nINFO recommender.http GET /v1/for-you 200",
    )
    stage.log(
        "discovery/recommender",
        "INFO recommender.model loading snapshot 2026-11-13",
        at=stage.ago(minutes=7),
        previous=True,
    )
    stage.fire(minutes_ago=5)
