"""Pods of a nightly model name a priority class that went with a chart, so the one that was drained is not made again."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident
from tests.incidents.logs import chatter
from tests.incidents.manifests import kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, system

INCIDENT = Incident(
    title="The class survey-batch was removed with an old chart; since a node was drained, pods that name it are not made",
    half=Half.tuned,
    story=(
        "Somebody uninstalled the chart that had brought the PriorityClass survey-batch, four days ago. Running pods keep their priority. Today a node was"
        " drained for twenty minutes, and the pods of soundings that ran there are not made again: the API server knows no class of that name. A release of"
        " charts an hour ago is unrelated."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/#priorityclass",
        "https://github.com/kubernetes/kubernetes/blob/master/plugin/pkg/admission/priority/admission.go",
    ],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="survey", deployment="soundings"),
    causes=["Deployment/survey/soundings", "PriorityClass/_cluster/survey-batch"],
    says=[["survey-batch"], ["no PriorityClass", "PriorityClass survey-batch is not", "PriorityClass that is not"]],
    innocent=["Deployment/survey/charts", "Node/_cluster/node-a", "Node/_cluster/node-b", "Node/_cluster/node-c"],
    traits=frozenset(),
)  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "survey-batch"}, "value": 500, "description": "Runs of the survey"},
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "survey-online"}, "value": 5000, "description": "Answers of the survey"},
        deployment("survey/soundings", container("soundings", "survey/soundings:3.14.0", port=8080, ready="/ready"), replicas=4, pod={"priorityClassName": "survey-batch"}),
        service("survey/soundings", 8080),
        deployment("survey/charts", container("charts", "survey/charts:9.0.2", port=8080, ready="/ready"), pod={"priorityClassName": "survey-online"}),
        service("survey/charts", 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=16, hours=3)
    stage.delete("priorityclasses/_cluster/survey-batch")
    stage.wait(days=4, hours=1)
    stage.kubectl(
        "set", "image", "deployment/charts", "charts=registry.example.com/survey/charts:9.0.3", "-n", "survey"
    )
    stage.calm()
    stage.wait(minutes=38)
    node = stage.pods("survey/soundings")[0]["spec"]["nodeName"]
    stage.kubectl("cordon", node)
    for pod in stage.pods("survey/soundings"):
        if pod["spec"]["nodeName"] == node:
            stage.evict(f"survey/{pod['metadata']['name']}")
    stage.calm(unfinished=["survey/soundings"])
    stage.wait(minutes=20)
    stage.kubectl("uncordon", node)
    stage.wait(minutes=6)
    stage.heartbeat()
    chatter(stage, "survey/soundings", ["INFO soundings: tile <100-999> done in <2-9>.<1-9>s"])
    chatter(stage, "survey/charts", ["INFO charts: GET /chart/<100-999> 200 <4-30>ms"])
    stage.fire(minutes_ago=9)
