"""The cluster's registry was away for nine minutes while its new version converted its index; pods that had to pull have pulled since."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system
from tests.testbed.kubelet import running

INCIDENT = Incident(
    title="ImagePullsFail of nursery: a release of beds met the registry while that converted its index; it was rolled out twelve minutes ago, and the rule looks half an hour back",
    half=Half.tuned,
    story=(
        "The registry that all images come from runs in the cluster with one pod and is recreated for an update. Its new version converts the index before it serves, which took nine minutes. In that"
        " time beds was released: the first new pod could not pull, the old ones went on serving. After the registry was back the kubelet's next try succeeded and the rollout went through. The"
        " rule takes the maximum of half an hour. The price list was edited in the morning; an old warning about a slow disk is in the registry's log."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff",
        "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#recreate-deployment",
        "https://github.com/kubernetes/kube-state-metrics/blob/main/docs/metrics/workload/pod-metrics.md",
    ],
    labels={"alertname": "ImagePullsFail", "severity": "critical", "namespace": "nursery", "reason": "ImagePullBackOff", "job": "kube-state-metrics"},
    annotations={"summary": "Pods of nursery cannot pull their images.", "description": "max_over_time(kube_pod_container_status_waiting_reason[30m]) > 0 for namespace nursery, reason ImagePullBackOff."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip

HOST = "registry.example.com"
IMAGE = f"{HOST}/nursery/beds:4.2.0"
MIRROR = "mirror.example.net/distribution/registry"


def play(stage: Stage) -> None:
    images = container("registry", "registry:3.0.0", port=5000, ready="/v2/ready", memory=("512Mi", "1Gi"), env={"REGISTRY_STORAGE": "s3", "REGISTRY_STORAGE_S3_BUCKET": "images-north"})  # fmt: skip
    images["image"] = f"{MIRROR}:3.0.0"
    stage.apply([
        *system(),
        deployment("depot/registry", images, replicas=1, strategy={"type": "Recreate"}), service("depot/registry", 80, 5000),
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "registry", "namespace": "depot"},
         "spec": {"ingressClassName": "edge", "rules": [{"host": HOST, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "registry", "port": {"number": 80}}}}]}}]}},
        deployment("depot/sweeper", container("sweeper", "depot/sweeper:1.2.2", env={"REGISTRY_URL": "http://registry.depot.svc", "KEEP": "30"}), replicas=1),
        deployment("nursery/beds", container("beds", "nursery/beds:4.1.6", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "plants.nursery.svc", "PRICES": "/etc/beds/prices.yaml"}, mounts={"prices": "/etc/beds"}), replicas=4, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                   pod={"volumes": [{"name": "prices", "configMap": {"name": "price-list"}}]}), service("nursery/beds", 80, 8080),
        config_map("nursery/price-list", {"prices.yaml": "rose: 9.50\nyew: 24.00\n"}),
        stateful_set("nursery/plants", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("nursery/plants", 5432, headless=True),
        deployment("nursery/watering", container("watering", "nursery/watering:2.0.7", port=8080, ready="/ready")), service("nursery/watering", 80, 8080),
        deployment("counter/till", container("till", "counter/till:12.1.0", port=3000, ready="/up", env={"BEDS_URL": "http://beds.nursery.svc"}), replicas=3), service("counter/till", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=11, hours=4)
    stage.recovered(f"nursery/{stage.pods('nursery/watering')[0]['metadata']['name']}", restarts=1, code=137, reason="OOMKilled", lived_s=500000)  # fmt: skip
    stage.wait(days=6, hours=19, minutes=30)
    stage.edit("configmaps/nursery/price-list", lambda body: body["data"].update({"prices.yaml": "rose: 9.90\nyew: 24.00\n"}))  # fmt: skip
    stage.wait(hours=4)
    began = _converts(stage)
    stage.wait(minutes=2, seconds=30)
    fresh = _released(stage)
    stage.wait(minutes=6, seconds=20)
    _serves(stage, began)
    served = stage.now
    stage.wait(minutes=3)
    stage.release("nursery/beds-")
    stage.calm()
    stage.wait(minutes=12)
    stage.heartbeat()
    _logs(stage, began, served, fresh)
    _metrics(stage)
    stage.fire(minutes_ago=16)


def _next(stage: Stage, place: str, old: set[str]) -> Body:
    """The first pod of this name that was not there before, once it is on a node."""

    def there() -> bool:
        return any(p["metadata"]["name"] not in old and p["spec"].get("nodeName") for p in stage.pods(place))

    stage.cluster.until(f"a new pod {place}*", there)
    return next(
        p for p in stage.pods(place) if p["metadata"]["name"] not in old and p["spec"].get("nodeName")
    )


def _converts(stage: Stage) -> datetime:
    """The registry is recreated; its new container runs and does not serve yet."""
    old = {p["metadata"]["name"] for p in stage.pods("depot/registry-")}
    stage.hold("depot/registry-")
    stage.kubectl("set", "image", "deployment/registry", f"registry={MIRROR}:3.1.0", "-n", "depot")
    stage.cluster.until("the old registry is to go", lambda: any(p["metadata"].get("deletionTimestamp") for p in stage.pods("depot/registry-")))  # fmt: skip
    stage.calm()
    pod = _next(stage, "depot/registry-", old)
    stage.wait(seconds=5)
    pod = stage.pods(f"depot/{pod['metadata']['name']}")[0]
    began = stage.now
    stage.kubelets[pod["spec"]["nodeName"]].begin(pod, at=stage.clock.real(began), pulled="3.12s")
    return began


def _serves(stage: Stage, began: datetime) -> None:
    pod = stage.pods("depot/registry-")[0]
    stage.told(pod, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", kind="Warning", count=53, container="registry")  # fmt: skip
    stage.kubelets[pod["spec"]["nodeName"]].report(
        pod, {"registry": running(stage.clock.real(began))}, at=stage.clock.real(stage.now)
    )
    stage.release("depot/registry-")
    stage.calm(unfinished=["nursery/beds"])


def _released(stage: Stage) -> str:
    """A release whose first pod cannot pull; returns that pod's name."""
    old = {p["metadata"]["name"] for p in stage.pods("nursery/beds-")}
    stage.hold("nursery/beds-")
    stage.kubectl("set", "image", "deployment/beds", f"beds={IMAGE}", "-n", "nursery")
    fresh = _next(stage, "nursery/beds-", old)["metadata"]["name"]
    stage.wait(seconds=40)
    why = f'failed to pull and unpack image "{IMAGE}": failed to resolve reference "{IMAGE}": unexpected status from HEAD request to https://{HOST}/v2/nursery/beds/manifests/4.2.0: 503 Service Unavailable'
    for pod in stage.pods("nursery/beds-"):
        name = pod["metadata"]["name"]
        if name not in old and pod["spec"].get("nodeName"):
            stage.stuck(
                f"nursery/{name}", "ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: rpc error: code = Unavailable desc = {why}',
                event=("Failed", f'Failed to pull image "{IMAGE}": rpc error: code = Unavailable desc = {why}'),
            )  # fmt: skip
            stage.release(f"nursery/{name}")
    return fresh


def _logs(stage: Stage, began: datetime, served: datetime, fresh: str) -> None:
    line = 'time="<%Y-%m-%dT%H:%M:%S.%3>Z" level={level} msg="{msg}" go.version=go1.25.3 instance.id=5a1c0e77'
    asked = 'time="<%Y-%m-%dT%H:%M:%S.%3>Z" level=info msg="response completed" http.request.method=GET http.request.uri="/v2/{what}" http.response.status={code} http.response.duration=<3-40>ms'
    minutes = int((stage.now - served).total_seconds() // 60)
    stage.log("depot/registry-", "\n".join([
        printed(began, [
            line.format(level="info", msg="version 3.1.0"), line.format(level="warning", msg="index is of format 2, converting to format 3; not serving until it is done"),
            *[line.format(level="info", msg=f"index: {n} of 41 parts converted") for n in range(5, 41, 5)],
        ], every_s=51),
        printed(served, [
            line.format(level="info", msg="index: 41 of 41 parts converted"), line.format(level="info", msg="listening on [::]:5000"),
            line.format(level="warning", msg="store answered slowly, 1 try more"), asked.format(what="nursery/beds/manifests/4.2.0", code=200),
        ], every_s=4),
        printed(served + timedelta(seconds=20), [
            asked.format(what="counter/till/manifests/12.2.0-next", code=404), asked.format(what="nursery/beds/blobs/sha256:9c1f<100000-999999>", code=200),
        ] * (minutes - 1), every_s=28),
    ]))  # fmt: skip
    chatter(stage, "depot/sweeper", ["INFO  sweeper: 0 of <100-400> tags are older than 30 days", "ERROR sweeper: manifest of counter/till:12.2.0-next is unknown, left out"], count=12, minutes=55)  # fmt: skip
    for n, pod in enumerate(stage.pods("nursery/beds-")):
        name = pod["metadata"]["name"]
        said = (
            "WARN  beds: 4.2.0: bed <100-400> has no gardener"
            if name == fresh
            else "WARN  beds: bed <100-400> is dry"
        )
        stage.log(f"nursery/{name}", printed(stage.ago(minutes=11, seconds=30 - 5 * n), [
            "INFO  beds: 4.2.0 listens on :8080", *(["INFO  beds: GET /beds/<100-400> 200 <4-18>ms", "INFO  beds: GET /beds/<100-400> 200 <4-18>ms", said] * 11),
        ], every_s=19))  # fmt: skip
    chatter(stage, "nursery/plants", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=10, minutes=55)  # fmt: skip
    chatter(stage, "nursery/watering", ["INFO  watering: row <1-60> watered for <20-90>s"], minutes=55)
    chatter(stage, "counter/till", ["GET /sales 200 <8-30>ms", "POST /sales 201 <20-50>ms"], minutes=55)


def _metrics(stage: Stage) -> None:
    """Once a minute for two hours; the registry was away from 24 to 15 minutes ago, beds had a pod without an image from 21 to 12."""
    count = 120
    here: Body = {"namespace": "nursery", "reason": "ImagePullBackOff"}
    stage.metric("waiting", 'sum by (namespace, reason) (kube_pod_container_status_waiting_reason{reason=~"ErrImagePull|ImagePullBackOff"})', [
        (here, [*[0.0] * (count - 21), *[1.0] * 9, *[0.0] * 12]),
    ])  # fmt: skip
    stage.metric("available", "kube_deployment_status_replicas_available", [
        ({"namespace": "nursery", "deployment": "beds"}, [4.0] * count),
        ({"namespace": "depot", "deployment": "registry"}, [*[1.0] * (count - 24), *[0.0] * 9, *[1.0] * 15]),
    ])  # fmt: skip
    stage.metric("pulls-failed", "sum by (namespace, service) (rate(registry_http_requests_total{code=~\"5..\"}[2m])) / sum by (namespace, service) (rate(registry_http_requests_total[2m]))", [
        ({"namespace": "depot", "service": "registry"}, [*[0.0] * (count - 24), *[1.0] * 9, *[0.0] * 15]),
    ])  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "nursery", "service": "beds"}, about(0.0003, count, noise=0.9)),
        ({"namespace": "counter", "service": "till"}, about(0.0004, count, noise=0.9)),
    ])  # fmt: skip
