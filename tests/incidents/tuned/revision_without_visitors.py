"""Nobody asks for thumbnails at night, so Knative keeps no pod of them; a rule that counts pods fires."""

from __future__ import annotations

from typing import Any

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="A rule counts pods of a Knative revision that is scaled to zero, as nobody asks for it",
    half=Half.tuned,
    story=(
        "thumbnails is a Knative Service without a minimum scale. Its last visitor left an hour ago; the autoscaler took"
        " its pods away, and the activator waits for the next one. A rule written for ordinary Deployments fires. An"
        " earlier revision never started because of a mistyped tag; it gets no traffic and was replaced on the same day."
    ),
    sources=[
        "https://knative.dev/docs/serving/autoscaling/scale-to-zero/",
        "https://github.com/knative/serving/issues/2562",
        "https://github.com/knative/serving/issues/14513",
    ],
    labels={"alertname": "DeploymentWithoutPods", "namespace": "media", "deployment": "thumbnails-00012-deployment", "job": "kube-state-metrics", "severity": "warning"},
    annotations={"summary": "A Deployment has had no available pod for 15 minutes."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["knative resources", "knative status", "flux status"],
)  # fmt: skip

SERVING, SCALING, FLUX = (
    "serving.knative.dev",
    "autoscaling.internal.knative.dev",
    "kustomize.toolkit.fluxcd.io",
)


def play(stage: Stage) -> None:
    for kind, plural in (
        ("Service", "services"),
        ("Configuration", "configurations"),
        ("Route", "routes"),
        ("Revision", "revisions"),
    ):
        stage.crd(SERVING, "v1", kind, plural)
    stage.crd(SCALING, "v1alpha1", "PodAutoscaler", "podautoscalers")
    stage.crd(FLUX, "v1", "Kustomization", "kustomizations")
    names = ("thumbnails", "captions")
    stage.apply([
        *system(),
        *(deployment(f"knative-serving/{name}", container(name, f"knative/{name}:v1.20.0", port=8012)) for name in ("activator", "autoscaler", "controller")),
        service("knative-serving/activator-service", 80, 8012, selector={"app": "activator"}),
        deployment("media/library", container("library", "media/library:15.1.0", port=8080, ready="/ready", env={"THUMBNAILS_URL": "http://thumbnails.media.svc.cluster.local"}), replicas=3),
        service("media/library", 80, 8080),
        deployment("media/uploads", container("uploads", "media/uploads:3.9.4", port=8080, ready="/ready")),
        service("media/uploads", 80, 8080),
        *(each for name in names for each in _serving(name)),
        {"apiVersion": f"{FLUX}/v1", "kind": "Kustomization", "metadata": {"name": "media-trial", "namespace": "flux-system"}, "spec": {"interval": "10m", "path": "./trial", "prune": True, "suspend": True}},
    ])  # fmt: skip
    stage.apply([*_revision(stage, "thumbnails", 11, "1.9.0-rcl"), *_revision(stage, "captions", 4, "2.2.0")], manager="knative-controller")  # fmt: skip
    stage.kubectl("scale", "deployment/thumbnails-00011-deployment", "--replicas=0", "-n", "media")
    stage.calm()
    _autoscaler(stage, "thumbnails-00011", scale=0)
    wrong = 'Unable to fetch image "registry.example.com/media/thumbnails:1.9.0-rcl": failed to resolve image to digest: HEAD https://registry.example.com/v2/media/thumbnails/manifests/1.9.0-rcl: unexpected status code 404 Not Found'  # fmt: skip
    _revision_status(stage, "thumbnails-00011", {
        "ContainerHealthy": ("False", "ContainerMissing", wrong), "ResourcesAvailable": ("Unknown", "", ""), "Ready": ("False", "ContainerMissing", wrong),
    })  # fmt: skip
    stage.wait(minutes=24)
    stage.apply(_revision(stage, "thumbnails", 12, "1.9.0"), manager="knative-controller")
    stage.calm()
    for name, number in (("thumbnails", 12), ("captions", 4)):
        _revision_status(stage, f"{name}-{number:05}", {"Active": ("True", "", ""), "ContainerHealthy": ("True", "", ""), "ResourcesAvailable": ("True", "", ""), "Ready": ("True", "", "")})  # fmt: skip
        _ready(stage, name, f"{name}-{number:05}")
        _autoscaler(stage, f"{name}-{number:05}", scale=2)
    stage.wait(days=9, hours=13)
    # The last visitor is gone.
    stage.kubectl("scale", "deployment/thumbnails-00012-deployment", "--replicas=0", "-n", "media")
    stage.calm()
    _revision_status(stage, "thumbnails-00012", {
        "Active": ("False", "NoTraffic", "The target is not receiving traffic."), "ContainerHealthy": ("True", "", ""), "ResourcesAvailable": ("True", "", ""), "Ready": ("True", "", ""),
    })  # fmt: skip
    _autoscaler(stage, "thumbnails-00012", scale=0)
    stage.wait(minutes=58)
    stage.heartbeat()
    chatter(stage, "knative-serving/autoscaler", [
        '{"severity":"DEBUG","timestamp":"<%Y-%m-%dT%H:%M:%S.%3>Z","logger":"autoscaler","caller":"scaling/autoscaler.go:286","message":"PodCount=2 Total1PodReadyCount=2 ObsStableValue=1.<1-9> ObsPanicValue=1.<1-9>","knative.dev/key":"media/captions-00004"}',
    ], count=12)  # fmt: skip
    chatter(stage, "knative-serving/activator", ['{"severity":"INFO","timestamp":"<%Y-%m-%dT%H:%M:%S.%3>Z","logger":"activator","caller":"net/revision_backends.go:319","message":"Revision captions has <2-3> probed pods"}'], count=4)  # fmt: skip
    chatter(stage, "media/library", ['{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"album listed","thumbnails":"cached","ms":<6-20>}'], count=8)  # fmt: skip
    chatter(
        stage,
        "media/uploads",
        ['{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"no uploads waiting"}'],
        count=6,
    )
    stage.metric("thumbnails_requests", 'sum(rate(activator_request_count{namespace_name="media",configuration_name="thumbnails"}[5m]))', [
        ({"configuration_name": "thumbnails"}, [2.1, 1.7, 1.2, 0.8, 0.3, 0.1, *[0.0] * 60]),
    ])  # fmt: skip
    stage.metric("thumbnails_errors", 'sum(rate(activator_request_count{namespace_name="media",configuration_name="thumbnails",response_code_class="5xx"}[5m]))', [
        ({"configuration_name": "thumbnails"}, [0.0] * 66),
    ])  # fmt: skip
    stage.fire(minutes_ago=42)


def _serving(name: str) -> list[Body]:
    template = {
        "spec": {"containerConcurrency": 20, "containers": [{"image": f"registry.example.com/media/{name}"}]}
    }
    meta = {"name": name, "namespace": "media"}
    mine = {**meta, "labels": {"serving.knative.dev/service": name}}
    return [
        {"apiVersion": f"{SERVING}/v1", "kind": "Service", "metadata": meta, "spec": {"template": template, "traffic": [{"latestRevision": True, "percent": 100}]}},
        {"apiVersion": f"{SERVING}/v1", "kind": "Configuration", "metadata": mine, "spec": {"template": template}},
        {"apiVersion": f"{SERVING}/v1", "kind": "Route", "metadata": mine, "spec": {"traffic": [{"configurationName": name, "latestRevision": True, "percent": 100}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": mine, "spec": {"type": "ExternalName", "externalName": "kourier-internal.kourier-system.svc.cluster.local"}},
    ]  # fmt: skip


def _revision(stage: Stage, name: str, number: int, tag: str) -> list[Body]:
    """A revision and what the controller makes of it; applied in two steps, since the parts are the revision's."""
    called = f"{name}-{number:05}"
    above = stage.get(f"configurations.{SERVING}/media/{name}")
    labels = {"serving.knative.dev/configuration": name, "serving.knative.dev/service": name}
    revision: Body = {
        "apiVersion": f"{SERVING}/v1", "kind": "Revision",
        "metadata": {"name": called, "namespace": "media", "labels": labels, "ownerReferences": [_owner(above)]},
        "spec": {"containerConcurrency": 20, "containers": [{"name": "user-container", "image": f"registry.example.com/media/{name}:{tag}"}]},
    }  # fmt: skip
    stage.apply([revision], manager="knative-controller")
    owner = _owner(stage.get(f"revisions.{SERVING}/media/{called}"))
    user = container("user-container", f"media/{name}:{tag}", port=8080)
    queue = container("queue-proxy", "knative/queue:v1.20.0", port=8012, ready="/ready")
    parts = [
        deployment(f"media/{called}-deployment", user, queue, labels={"serving.knative.dev/revision": called}),
        {"apiVersion": f"{SCALING}/v1alpha1", "kind": "PodAutoscaler", "metadata": {"name": called, "namespace": "media", "labels": labels},
         "spec": {"reachability": "Reachable" if number != 11 else "Unreachable", "protocolType": "http1", "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{called}-deployment"}}},
        service(f"media/{called}-private", 80, 8012, selector={"app": f"{called}-deployment"}),
    ]  # fmt: skip
    for part in parts:
        part["metadata"]["ownerReferences"] = [owner]
    return parts


def _owner(body: Body) -> Body:
    return {"apiVersion": body["apiVersion"], "kind": body["kind"], "name": body["metadata"]["name"], "uid": body["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}  # fmt: skip


def _conditions(stage: Stage, wanted: dict[str, tuple[str, str, str]], past: Body) -> list[Body]:
    before = {c["type"]: c for c in past.get("conditions", [])}
    return [
        before[kind] if before.get(kind, {}).get("status") == status else
        {"type": kind, "status": status, "lastTransitionTime": stage.stamp(), **({"reason": reason, "message": message} if reason else {}), **({"severity": "Info"} if kind == "Active" else {})}
        for kind, (status, reason, message) in wanted.items()
    ]  # fmt: skip


def _revision_status(stage: Stage, called: str, wanted: dict[str, tuple[str, str, str]]) -> None:
    what = f"revisions.{SERVING}/media/{called}"
    past = stage.get(what).get("status") or {}
    none = wanted.get("Active", ("", "", ""))[0] != "True"
    stage.status(what, {"observedGeneration": 1, "desiredReplicas": 0 if none else 2, "actualReplicas": 0 if none else 2, "conditions": _conditions(stage, wanted, past)}, manager="knative-controller")  # fmt: skip


def _autoscaler(stage: Stage, called: str, *, scale: int) -> None:
    what = f"podautoscalers.{SCALING}/media/{called}"
    past = stage.get(what).get("status") or {}
    state = ("True", "", "") if scale else ("False", "NoTraffic", "The target is not receiving traffic.")
    stage.status(what, {"observedGeneration": 1, "desiredScale": scale, "actualScale": scale, "serviceName": called, "conditions": _conditions(stage, {
        "Active": state, "Ready": state, "SKSReady": ("True", "", ""), "ScaleTargetInitialized": ("True", "", ""),
    }, past)}, manager="autoscaler")  # fmt: skip


def _ready(stage: Stage, name: str, latest: str) -> None:
    for plural, kinds in (
        ("services", ("ConfigurationsReady", "Ready", "RoutesReady")),
        ("configurations", ("Ready",)),
        ("routes", ("AllTrafficAssigned", "IngressReady", "Ready")),
    ):
        stage.status(f"{plural}.{SERVING}/media/{name}", {
            "observedGeneration": 1, "latestReadyRevisionName": latest, "latestCreatedRevisionName": latest, "url": f"http://{name}.media.example.com",
            "traffic": [{"latestRevision": True, "percent": 100, "revisionName": latest}], "conditions": _conditions(stage, dict.fromkeys(kinds, ("True", "", "")), {}),
        }, manager="knative-controller")  # fmt: skip
