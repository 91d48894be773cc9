"""Two faults at once: a quota of requests cut in a gateway's policy, and a tool whose key is missing."""

from __future__ import annotations

import json

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.manifests import kube_prometheus
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, system

INCIDENT = Incident(
    title="The rate limit of vouchers was set to 30 instead of 300 a minute, while atlas waits for a key of its settings",
    half=Half.tuned,
    story=(
        "The policy that limits requests for vouchers was edited from 300 to 30 a minute, so the till is answered 429. At the same time atlas in another"
        " namespace does not start, as its new version reads a key that nobody put into its settings. Neither has to do with the other."
    ),
    sources=[
        "https://docs.kuadrant.io/latest/kuadrant-operator/doc/reference/ratelimitpolicy/",
        "https://kubernetes.io/docs/tasks/configure-pod-container/configure-pod-configmap/",
    ],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="geo", deployment="atlas"),
    causes=["Deployment/geo/atlas", "ConfigMap/geo/atlas-settings"],
    says=[["PROJECTION"], ["atlas-settings"]],
    innocent=["Deployment/retail/till", "Deployment/retail/vouchers"],
    second=["RateLimitPolicy/retail/vouchers-limits"],
    traits=frozenset({Trait.two_faults}),
    authored=["kuadrant status"],
)  # fmt: skip

GROUP = "kuadrant.io"


def _policy(limit: int) -> Body:
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "RateLimitPolicy", "metadata": {"name": "vouchers-limits", "namespace": "retail"},
        "spec": {"targetRef": {"group": "", "kind": "Service", "name": "vouchers"}, "limits": {"each-caller": {"rates": [{"limit": limit, "window": "1m"}]}}},
    }  # fmt: skip


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1", "RateLimitPolicy", "ratelimitpolicies")
    stage.apply([
        *system(), _policy(300),
        deployment("retail/vouchers", container("vouchers", "retail/vouchers:3.3.0", port=8080, ready="/ready")),
        service("retail/vouchers", 8080),
        deployment("retail/till", container("till", "retail/till:15.1.0", port=8080, ready="/ready", env={"VOUCHERS_URL": "http://vouchers.retail:8080"})),
        service("retail/till", 8080),
        config_map("geo/atlas-settings", {"TILES": "http://tiles.geo:8080", "ZOOM": "17"}),
        deployment("geo/atlas", container("atlas", "geo/atlas:1.9.4", port=8080, ready="/ready", env={"ZOOM": {"configMapKeyRef": {"name": "atlas-settings", "key": "ZOOM"}}})),
        service("geo/atlas", 8080),
        deployment("geo/tiles", container("tiles", "geo/tiles:6.0.0", port=8080, ready="/ready")),
        service("geo/tiles", 8080),
    ])  # fmt: skip
    stage.calm()
    stage.status("ratelimitpolicies/retail/vouchers-limits", {"conditions": [
        {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "RateLimitPolicy has been accepted", "lastTransitionTime": stage.stamp()},
        {"type": "Enforced", "status": "True", "reason": "Enforced", "message": "RateLimitPolicy has been successfully enforced", "lastTransitionTime": stage.stamp()},
    ]}, manager="kuadrant-operator")  # fmt: skip
    stage.wait(days=12, hours=5)
    stage.apply([_policy(30)])
    stage.wait(minutes=11)
    stage.hold("geo/atlas-")
    atlas = stage.get("deployments/geo/atlas")
    template = {"spec": {"template": {"spec": {"containers": [{
        "name": "atlas", "image": "registry.example.com/geo/atlas:1.10.0",
        "env": [{"name": "ZOOM", "valueFrom": {"configMapKeyRef": {"name": "atlas-settings", "key": "ZOOM"}}},
                {"name": "PROJECTION", "valueFrom": {"configMapKeyRef": {"name": "atlas-settings", "key": "PROJECTION"}}}],
    }]}}}}  # fmt: skip
    before = {pod["metadata"]["name"] for pod in stage.pods("geo/atlas-")}
    stage.kubectl(
        "patch",
        "deployment",
        atlas["metadata"]["name"],
        "-n",
        "geo",
        "--field-manager=kubectl-edit",
        "-p",
        json.dumps(template),
    )
    stage.placed("geo/atlas-", 3)
    (fresh,) = {pod["metadata"]["name"] for pod in stage.pods("geo/atlas-")} - before
    stage.stuck(
        f"geo/{fresh}", "CreateContainerConfigError", "couldn't find key PROJECTION in ConfigMap geo/atlas-settings",
        event=("Failed", "Error: couldn't find key PROJECTION in ConfigMap geo/atlas-settings"),
    )  # fmt: skip
    stage.wait(minutes=19)
    stage.heartbeat()
    for pod in stage.pods("retail/till"):
        stage.log(f"retail/{pod['metadata']['name']}", printed(stage.ago(minutes=29), [
            "<%Y-%m-%d %H:%M:%S> INFO  till: sale <1000-9999> closed",
            "<%Y-%m-%d %H:%M:%S> ERROR till: POST http://vouchers.retail:8080/redeem: 429 Too Many Requests",
        ] * 15, every_s=56))  # fmt: skip
    chatter(stage, "retail/vouchers", ["INFO vouchers: redeemed <1000-9999>"])
    chatter(stage, "geo/tiles", ["INFO tiles: <1-17>/<100-999>/<100-999> <2-9>ms"])
    stage.fire(minutes_ago=4)
