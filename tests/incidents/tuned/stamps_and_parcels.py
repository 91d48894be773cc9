"""Two faults at once: a runtime class that is gone, and a selector that finds nobody."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import container, deployment, service, system

INCIDENT = Incident(
    title="The Service of parcels selects a label that its pods do not have, while stamps waits for a runtime class that was renamed",
    half=Half.tuned,
    story=(
        "The Service of parcels was edited to select app.kubernetes.io/name, which its pods do not carry, and the counter cannot reach it. In another namespace"
        " a release of stamps makes no pods, as it names the runtime class sandboxed, of which only sandboxed-v2 is left. Neither has to do with the other."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/containers/runtime-class/",
        "https://kubernetes.io/docs/concepts/services-networking/service/",
    ],
    labels={"alertname": "HighErrorRate", "severity": "critical", "namespace": "post", "service": "counter"},
    annotations={"summary": "counter fails."},
    causes=["Service/post/parcels"],
    says=[["parcels"], ["app.kubernetes.io/name"], ["selects", "selector"]],
    innocent=["Deployment/post/counter", "Deployment/post/parcels"],
    second=["Deployment/collect/stamps", "RuntimeClass/_cluster/sandboxed", "RuntimeClass/_cluster/sandboxed-v2"],
    traits=frozenset({Trait.two_faults, Trait.innocent}),
)  # fmt: skip


def _class(name: str) -> Body:
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": name},
        "handler": "runsc",
    }


def play(stage: Stage) -> None:
    stage.apply([
        *system(), _class("sandboxed-v2"),
        deployment("post/parcels", container("parcels", "post/parcels:8.8.0", port=8080, ready="/ready")),
        service("post/parcels", 8080),
        deployment("post/counter", container("counter", "post/counter:3.0.5", port=8080, ready="/ready", env={"PARCELS_URL": "http://parcels.post:8080"})),
        service("post/counter", 8080),
        deployment("collect/stamps", container("stamps", "collect/stamps:1.1.0", port=8080, ready="/ready")),
        service("collect/stamps", 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=6, hours=5)
    stage.kubectl("patch", "deployment", "stamps", "-n", "collect", "--field-manager=kubectl-edit", "-p",
                  '{"spec": {"template": {"spec": {"runtimeClassName": "sandboxed"}}}}')  # fmt: skip
    stage.calm(unfinished=["collect/stamps"])
    stage.wait(minutes=21)

    def selector(body: Body) -> None:
        body["spec"]["selector"] = {"app.kubernetes.io/name": "parcels"}

    stage.edit("services/post/parcels", selector)
    stage.calm(unfinished=["collect/stamps"])
    stage.wait(minutes=14)
    stage.heartbeat()
    for pod in stage.pods("post/counter"):
        stage.log(f"post/{pod['metadata']['name']}", printed(stage.ago(minutes=13), [
            "<%Y-%m-%d %H:%M:%S> ERROR counter: GET http://parcels.post:8080/open: dial tcp 10.96.<10-90>.<10-90>:8080: connect: connection refused",
            "<%Y-%m-%d %H:%M:%S> INFO  counter: GET /prices 200 <1-9>ms",
        ] * 12, every_s=60))  # fmt: skip
    chatter(stage, "post/parcels", ["INFO parcels: probe ok"])
    chatter(stage, "collect/stamps", ["INFO stamps: GET /stamp/<100-999> 200 <2-9>ms"])
    stage.fire(minutes_ago=8)
