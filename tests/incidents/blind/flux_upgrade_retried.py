"""A Flux upgrade failed while its cache was away, was tried again, and everything has been well for a while."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Body, Stage
from tests.testbed.kubelet import Container, terminated

INCIDENT = Incident(
    title="A HelmRelease's upgrade failed once while a cache restarted, and its retry succeeded",
    half=Half.blind,
    story="The rates cache is restarted for a node's maintenance at the moment when Flux upgrades the rates service. "
    "Its new pods cannot reach the cache and end; the upgrade times out. The cache comes back, Flux tries again and "
    "succeeds. The alert began before that and has not been resolved yet.",
    sources=[
        "https://fluxcd.io/flux/components/helm/helmreleases/#helmrelease-status",
        "https://fluxcd.io/flux/components/helm/helmreleases/#configuring-failure-handling",
        "https://github.com/fluxcd/helm-controller/pull/833",
        "https://prometheus.io/docs/alerting/latest/alertmanager/",
    ],
    labels={
        "alertname": "KubeDeploymentRolloutStuck",
        "namespace": "rates",
        "deployment": "rates",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["flux status", "flux events"],
)

RATES = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: rates
  namespace: rates
  labels: {{helm.toolkit.fluxcd.io/name: rates, helm.toolkit.fluxcd.io/namespace: rates, helm.sh/chart: rates-{chart}, app.kubernetes.io/managed-by: Helm}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: rates}}}}
  template:
    metadata: {{labels: {{app: rates}}}}
    spec:
      containers:
      - name: rates
        image: registry.example.com/rates/rates:{tag}
        ports: [{{containerPort: 8080}}]
        env: [{{name: CACHE_ADDR, value: "rates-cache.rates.svc:6379"}}]
        readinessProbe: {{httpGet: {{path: /ready, port: 8080}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: rates, namespace: rates}}
spec: {{selector: {{app: rates}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""

NEIGHBOURS = """
apiVersion: v1
kind: Service
metadata: {name: rates-cache, namespace: rates}
spec: {selector: {app: rates-cache}, ports: [{port: 6379}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: rates-cache, namespace: rates}
spec:
  serviceName: rates-cache
  replicas: 1
  selector: {matchLabels: {app: rates-cache}}
  template:
    metadata: {labels: {app: rates-cache}}
    spec:
      containers:
      - {name: cache, image: "registry.example.com/rates/valkey:8.1.3", ports: [{containerPort: 6379}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: margins, namespace: rates, labels: {helm.toolkit.fluxcd.io/name: margins, helm.toolkit.fluxcd.io/namespace: rates}}
spec:
  replicas: 2
  selector: {matchLabels: {app: margins}}
  template:
    metadata: {labels: {app: margins}}
    spec:
      containers:
      - {name: margins, image: "registry.example.com/rates/margins:1.12.0"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: helm-controller, namespace: flux-system}
spec:
  replicas: 1
  selector: {matchLabels: {app: helm-controller}}
  template:
    metadata: {labels: {app: helm-controller}}
    spec:
      containers:
      - {name: manager, image: "registry.example.com/fluxcd/helm-controller:v1.4.2"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: source-controller, namespace: flux-system}
spec:
  replicas: 1
  selector: {matchLabels: {app: source-controller}}
  template:
    metadata: {labels: {app: source-controller}}
    spec:
      containers:
      - {name: manager, image: "registry.example.com/fluxcd/source-controller:v1.7.2"}
"""

MANAGER = "helm-controller"
REFUSED = "ERROR cache: dial tcp {address}:6379: connect: connection refused"


def play(stage: Stage) -> None:
    stage.crd("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases")
    stage.crd("source.toolkit.fluxcd.io", "v1", "HelmRepository", "helmrepositories")
    _repository(stage)
    stage.apply(NEIGHBOURS)
    stage.apply(RATES.format(chart="3.1.4", tag="9.0.2"), manager=MANAGER)
    for name, chart, version in (("rates", "3.1.4", 7), ("margins", "1.12.0", 4)):
        stage.apply([_release(name, chart)])
        _succeeded(stage, name, chart, version)
    stage.calm()
    stage.wait(days=18, hours=2)

    stage.hold("rates/rates-cache")
    stage.delete("pods/rates/rates-cache-0")
    stage.calm(unfinished=["rates/rates-cache"])
    stage.apply([_release("rates", "3.2.0")])
    before = {
        pod["metadata"]["name"]
        for pod in stage.pods("rates/rates-")
        if "cache" not in pod["metadata"]["name"]
    }
    stage.hold("rates/rates-")
    stage.apply(RATES.format(chart="3.2.0", tag="9.1.0"), manager=MANAGER)
    fresh = next(
        p for p in stage.placed("rates/rates-", 5) if p["metadata"]["name"] not in before | {"rates-cache-0"}
    )
    address = stage.get("services/rates/rates-cache")["spec"]["clusterIP"]
    text = f"INFO rates 9.1.0 starting\n{REFUSED.format(address=address)}"
    place = f"rates/{fresh['metadata']['name']}"
    stage.crash(place, code=1, log=text, restarts=6, lives_s=4)
    stage.cluster.until("the deadline is passed", lambda: _late(stage))
    _failed(stage)
    stage.wait(minutes=3)

    # The cache is back; the pod that waited for it starts once more and stays.
    stage.release("rates/rates-cache", "rates/rates-")
    stage.calm(unfinished=["rates/rates"])
    _stays(stage, place)
    stage.release(place)
    stage.calm()
    stage.log(
        place,
        "INFO rates 9.1.0 starting\nINFO cache: connected, 48211 keys\nINFO listening on :8080",
        every_s=1,
    )
    stage.log(place, text, at=stage.ago(minutes=5), previous=True)
    _succeeded(stage, "rates", "3.2.0", 9)
    release = stage.get("helmreleases.helm.toolkit.fluxcd.io/rates/rates")
    stage.event(release, "UpgradeSucceeded", "Helm upgrade succeeded for release rates/rates.v9 with chart rates@3.2.0", kind="Normal", component=MANAGER)  # fmt: skip
    stage.wait(minutes=14)
    up = [0.0] * 14
    stage.metric(
        "unavailable", 'kube_deployment_status_replicas_unavailable{namespace="rates"}',
        [
            ({"namespace": "rates", "deployment": "rates"}, [0.0] * 30 + [1.0] * 16 + up),
            ({"namespace": "rates", "deployment": "margins"}, [0.0] * 46 + up),
        ],
    )  # fmt: skip
    stage.fire(minutes_ago=17)


def _late(stage: Stage) -> bool:
    found = stage.get("deployments/rates/rates")["status"]["conditions"]
    return any(one.get("reason") == "ProgressDeadlineExceeded" for one in found)


def _stays(stage: Stage, place: str) -> None:
    pod = stage.pod(place)
    kubelet = stage.kubelets[pod["spec"]["nodeName"]]
    last = terminated(
        1, stage.clock.real(stage.ago(minutes=5)), stage.clock.real(stage.ago(minutes=5, seconds=-4))
    )
    since = {"running": {"startedAt": stage.stamp(minutes_ago=0.3)}}
    restarts = pod["status"]["containerStatuses"][0]["restartCount"] + 1
    kubelet.tell(pod, "Started", "Container started", at=stage.clock.real(stage.now), container="rates")
    kubelet.report(
        pod, {"rates": Container(since, True, True, restarts, last)}, at=stage.clock.real(stage.now)
    )


def _repository(stage: Stage) -> None:
    stage.apply([{
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmRepository", "metadata": {"name": "charts", "namespace": "flux-system"},
        "spec": {"interval": "10m0s", "url": "https://charts.example.com", "timeout": "60s"},
    }])  # fmt: skip
    revision = "sha256:2d7f0c19ab0e55c7f6a8d1b74e0b0c2f6d39a1e8c57b42f0ad6e913c8b7f4a05"
    words = f"stored artifact: revision '{revision}'"
    stage.status("helmrepositories.source.toolkit.fluxcd.io/flux-system/charts", {
        "observedGeneration": 1, "artifact": {"revision": revision, "lastUpdateTime": stage.stamp()},
        "conditions": [
            {"type": kind, "status": "True", "reason": "Succeeded", "message": words, "observedGeneration": 1, "lastTransitionTime": stage.stamp()}
            for kind in ("Ready", "ArtifactInStorage")
        ],
    }, manager="source-controller")  # fmt: skip


def _release(name: str, chart: str) -> Body:
    return {
        "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": {"name": name, "namespace": "rates"},
        "spec": {
            "interval": "10m0s", "timeout": "10m0s", "releaseName": name,
            "chart": {"spec": {"chart": name, "version": chart, "sourceRef": {"kind": "HelmRepository", "name": "charts", "namespace": "flux-system"}}},
            "upgrade": {"strategy": {"name": "RetryOnFailure", "retryInterval": "2m0s"}},
        },
    }  # fmt: skip


def _conditions(stage: Stage, generation: int, *found: tuple[str, str, str, str]) -> list[Body]:
    return [
        {"type": kind, "status": status, "reason": reason, "message": words, "observedGeneration": generation, "lastTransitionTime": stage.stamp()}
        for kind, status, reason, words in found
    ]  # fmt: skip


def _snapshot(
    stage: Stage, name: str, chart: str, version: int, status: str, *, minutes_ago: float = 0
) -> Body:
    return {
        "name": name, "namespace": "rates", "version": version, "status": status, "chartName": name, "chartVersion": chart,
        "lastDeployed": stage.stamp(minutes_ago=minutes_ago), "apiVersion": "v2",
    }  # fmt: skip


def _write(stage: Stage, name: str, chart: str, status: Body) -> None:
    generation = stage.get(f"helmreleases.helm.toolkit.fluxcd.io/rates/{name}")["metadata"]["generation"]
    stage.status(f"helmreleases.helm.toolkit.fluxcd.io/rates/{name}", {
        "observedGeneration": generation, "lastAttemptedGeneration": generation, "lastAttemptedRevision": chart,
        "helmChart": f"flux-system/rates-{name}", "storageNamespace": "rates", **status,
    }, manager=MANAGER)  # fmt: skip


def _succeeded(stage: Stage, name: str, chart: str, version: int) -> None:
    here = stage.get(f"helmreleases.helm.toolkit.fluxcd.io/rates/{name}")
    words = f"Helm upgrade succeeded for release rates/{name}.v{version} with chart {name}@{chart}"
    earlier = [
        {**one, "status": "superseded" if one["status"] == "deployed" else one["status"]}
        for one in here.get("status", {}).get("history", [])
    ]
    _write(stage, name, chart, {
        "history": [_snapshot(stage, name, chart, version, "deployed"), *earlier], "lastAttemptedReleaseAction": "upgrade",
        "failures": None, "upgradeFailures": None,
        "conditions": _conditions(stage, here["metadata"]["generation"], *((kind, "True", "UpgradeSucceeded", words) for kind in ("Ready", "Released"))),
    })  # fmt: skip


def _failed(stage: Stage) -> None:
    release = stage.get("helmreleases.helm.toolkit.fluxcd.io/rates/rates")
    words = "Helm upgrade failed for release rates/rates with chart rates@3.2.0: context deadline exceeded"
    earlier = release["status"]["history"]
    _write(stage, "rates", "3.2.0", {
        "history": [_snapshot(stage, "rates", "3.2.0", 8, "failed", minutes_ago=10), *earlier], "lastAttemptedReleaseAction": "upgrade",
        "failures": 1, "upgradeFailures": 1,
        "conditions": _conditions(stage, release["metadata"]["generation"], *((kind, "False", "UpgradeFailed", words) for kind in ("Ready", "Released"))),
    })  # fmt: skip
    stage.event(release, "UpgradeFailed", words, component=MANAGER)
