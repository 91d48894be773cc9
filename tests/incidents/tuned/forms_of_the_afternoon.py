"""A rollout of the forms took its time and is done; warnings of it, of an old kill and of a first try are still recorded."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.manifests import kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, system

INCIDENT = Incident(
    title="KubeDeploymentReplicasMismatch of forms, whose rollout with an edited setting was done eleven minutes ago; one pod was killed for memory last week",
    half=Half.tuned,
    story=(
        "forms was given a new setting and restarted. New pods failed their readiness for some minutes while they warmed up, which is what events tell; since eleven"
        " minutes all are ready and answer. One pod of drafts was killed for memory eight days ago and runs since. The alert is kept by its resolve time."
    ),
    sources=[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubedeploymentreplicasmismatch/",
        "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status",
    ],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="council", deployment="forms"),
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        config_map("council/forms-settings", {"FORMS_TTL": "24h", "DRAFTS_URL": "http://drafts:8080"}),
        deployment("council/forms", container("forms", "council/forms:4.0.1", port=8080, ready="/ready", alive="/alive", envFrom=[{"configMapRef": {"name": "forms-settings"}}]), replicas=3),
        service("council/forms", 80, 8080),
        deployment("council/drafts", container("drafts", "council/drafts:2.6.2", port=8080, ready="/ready", memory=("128Mi", "192Mi"))),
        service("council/drafts", 8080),
        deployment("council/front", container("front", "council/front:1.0.9", port=8080, ready="/up", env={"FORMS_URL": "http://forms"})),
        service("council/front", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=5, hours=2)
    stage.recovered(
        f"council/{stage.pods('council/drafts')[0]['metadata']['name']}",
        restarts=1,
        code=137,
        reason="OOMKilled",
        lived_s=86400,
    )
    stage.wait(days=8, hours=1)

    def settings(body):
        body["data"]["FORMS_TTL"] = "12h"

    stage.edit("configmaps/council/forms-settings", settings)
    stage.wait(minutes=2)
    stage.hold("council/forms-")
    before = {pod["metadata"]["name"] for pod in stage.pods("council/forms-")}
    stage.restart("deployments/council/forms")
    stage.placed("council/forms-", 4)
    (first,) = {p["metadata"]["name"] for p in stage.pods("council/forms-")} - before
    stage.wait(minutes=7)
    stage.release("council/forms-")
    stage.calm()
    for pod in stage.pods(f"council/{first}"):
        stage.told(
            pod,
            "Unhealthy",
            "Readiness probe failed: HTTP probe failed with statuscode: 503",
            kind="Warning",
            count=20,
            container="forms",
        )
    stage.wait(minutes=11)
    stage.heartbeat()
    for pod in stage.pods("council/forms-"):
        stage.log(f"council/{pod['metadata']['name']}", printed(stage.ago(minutes=12), [
            "<%Y-%m-%d %H:%M:%S> WARN  forms: templates not loaded yet, answering 503 to /ready",
            *["<%Y-%m-%d %H:%M:%S> INFO  forms: GET /form/<100-999> 200 <4-40>ms"] * 20,
        ], every_s=33))  # fmt: skip
    chatter(stage, "council/drafts", ["INFO drafts: saved <1000-9999> in <2-9>ms"])
    chatter(stage, "council/front", ["GET / 200 <2-9>ms", "GET /form/<100-999> 200 <4-40>ms"])
    stage.fire(minutes_ago=13)
