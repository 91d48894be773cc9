"""Two Deployments share pod labels, so the autoscaler of neither knows which pods to count; the shop window in front is slow."""

from __future__ import annotations

from typing import Any

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="A trial version with the catalog's labels makes its autoscaler refuse to count, and the evening finds two pods",
    half=Half.tuned,
    story=(
        "In the morning a trial version, catalog-next, was deployed beside catalog with the label app=catalog, which is all that"
        " catalog selects by, and with an autoscaler of its own. Since then both autoscalers report AmbiguousSelector and scale"
        " nothing. Nobody notices until the evening's load: two pods at their CPU, a slow storefront in another namespace."
    ),
    sources=[
        "https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/",
        "https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/podautoscaler/horizontal.go",
        "https://github.com/kubernetes/kubernetes/issues/112027",
    ],
    labels={
        "alertname": "RequestLatencyBudgetBurn",
        "namespace": "front",
        "service": "storefront",
        "severity": "critical",
        "long": "1h",
        "short": "5m",
    },
    annotations={"summary": "storefront answers too many requests slower than 800 ms.", "description": "p99 of storefront is above its objective."},
    causes=["HorizontalPodAutoscaler/shop/catalog", "HorizontalPodAutoscaler/shop/catalog-next", "Deployment/shop/catalog-next"],
    says=[["multiple HPAs", "AmbiguousSelector", "Ambiguous Selector", "more than one autoscaler", "two autoscalers"], ["catalog-next"]],
    innocent=["Deployment/front/storefront", "Service/front/storefront", "Deployment/shop/search", "Deployment/front/edge"],
    traits=frozenset({Trait.innocent}),
)  # fmt: skip


def _scaler(name: str, least: int, most: int) -> Body:
    return {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}, "minReplicas": least, "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 65}}}],
        },
    }  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        deployment("shop/catalog", container("catalog", "shop/catalog:7.4.0", port=8080, ready="/ready", alive="/alive", cpu="500m", memory=("512Mi", "1Gi"),
                                             env={"DB_HOST": "items.shop.svc.cluster.local"})),
        service("shop/catalog", 80, 8080),
        stateful_set("shop/items", container("postgres", "postgres:17.2", port=5432, memory=("1Gi", "2Gi"))),
        service("shop/items", 5432, headless=True),
        deployment("shop/search", container("search", "shop/search:2.20.1", port=8080, ready="/ready")),
        service("shop/search", 80, 8080),
        deployment("shop/prices", container("prices", "shop/prices:1.8.8", port=8080, ready="/ready")),
        service("shop/prices", 80, 8080),
        config_map("front/storefront-routes", {"upstreams.yaml": "catalog: http://catalog.shop.svc.cluster.local\nsearch: http://search.shop.svc.cluster.local\nprices: http://prices.shop.svc.cluster.local\ntimeout: 2s\n"}),
        deployment("front/storefront", container("storefront", "front/storefront:31.0.2", port=3000, ready="/healthz", mounts={"routes": "/etc/storefront"}), replicas=3,
                   pod={"volumes": [{"name": "routes", "configMap": {"name": "storefront-routes"}}]}),
        service("front/storefront", 80, 3000),
        deployment("front/edge", container("edge", "front/edge:1.29.4", port=8443, env={"BACKEND": "storefront.front.svc:80"})),
        service("front/edge", 443, 8443),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=23, hours=22)
    stage.apply([_scaler("catalog", 2, 12)])
    stage.cluster.until(
        "the autoscaler looked",
        lambda: bool(stage.get("hpa/shop/catalog").get("status", {}).get("conditions")),
    )
    _well_until_now(stage)
    trial = deployment("shop/catalog-next", container("catalog", "shop/catalog:8.0.0-rc1", port=8080, ready="/ready", alive="/alive", cpu="500m", memory=("512Mi", "1Gi"),
                                                      env={"DB_HOST": "items.shop.svc.cluster.local"}), replicas=1)  # fmt: skip
    marks = {"app": "catalog", "track": "next"}
    trial["spec"]["selector"]["matchLabels"] = marks
    trial["spec"]["template"]["metadata"]["labels"] = marks
    stage.apply([trial])
    stage.calm()
    stage.apply([_scaler("catalog-next", 1, 3)])
    stage.cluster.until(
        "both refuse",
        lambda: {_active(stage, n) for n in ("catalog", "catalog-next")} == {"AmbiguousSelector"},
    )
    stage.wait(hours=9, minutes=40)
    stage.kubectl(
        "set",
        "image",
        "deployment/storefront",
        "storefront=registry.example.com/front/storefront:31.0.3",
        "-n",
        "front",
    )
    stage.calm()
    stage.wait(minutes=48)
    stage.cluster.until("it is told again", lambda: _told(stage))
    stage.heartbeat()
    for pod in stage.pods("front/storefront-"):
        stage.log(f"front/{pod['metadata']['name']}", printed(stage.ago(minutes=18), [
            '{"level":"warn","msg":"upstream slow","upstream":"catalog","path":"/v2/items","ms":<1400-1990>}',
            '{"level":"info","msg":"page","path":"/c/<10-99>","ms":<1500-2300>}',
            '{"level":"error","msg":"upstream timeout","upstream":"catalog","path":"/v2/items/<1000-9999>","after":"2s"}',
        ] * 10, every_s=35))  # fmt: skip
    chatter(
        stage,
        "shop/catalog-",
        [
            "INFO  ItemController - GET /v2/items 200 in <900-1900> ms (queued <700-1600> ms)",
            "WARN  WorkerPool - all 16 workers busy, <20-90> requests wait",
        ],
    )
    chatter(stage, "shop/search", ["INFO  SearchController - GET /find 200 in <12-40> ms"])
    chatter(stage, "shop/items", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=4)
    _metrics(stage)
    stage.fire(minutes_ago=23)


def _well_until_now(stage: Stage) -> None:
    """What the autoscaler said while it had metrics, which no server answers with on the test bed."""
    since = stage.stamp(minutes_ago=60 * 24 * 20)
    stage.status("hpa/shop/catalog", {
        "currentReplicas": 2, "desiredReplicas": 2, "lastScaleTime": stage.stamp(minutes_ago=60 * 11),
        "conditions": [
            {"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale", "message": "recommended size matches current size", "lastTransitionTime": since},
            {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)", "lastTransitionTime": since},
        ],
    }, manager="kube-controller-manager")  # fmt: skip


def _active(stage: Stage, name: str) -> str:
    conditions = stage.get(f"hpa/shop/{name}").get("status", {}).get("conditions", [])
    return next((c["reason"] for c in conditions if c["type"] == "ScalingActive"), "")


def _told(stage: Stage) -> bool:
    events = stage.cluster.ask("GET", "/api/v1/namespaces/shop/events")["items"]
    return {e["involvedObject"]["name"] for e in events if e["reason"] == "AmbiguousSelector"} == {
        "catalog",
        "catalog-next",
    }


def _metrics(stage: Stage) -> None:
    calm, busy = 60, 50
    stage.metric("storefront-p99", 'histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket{namespace="front"}[5m])))', [
        ({"namespace": "front", "service": "storefront"}, [*about(0.31, calm), *slope(0.4, 2.1, 20), *about(2.2, busy - 20)]),
    ])  # fmt: skip
    stage.metric("requests", 'sum by (namespace, service) (rate(http_requests_total{namespace="shop"}[5m]))', [
        ({"namespace": "shop", "service": "catalog"}, [*about(55, calm), *slope(57, 160, 20), *about(164, busy - 20)]),
        ({"namespace": "shop", "service": "search"}, [*about(21, calm), *slope(22, 48, 20), *about(50, busy - 20)]),
    ])  # fmt: skip
    stage.metric("cpu", 'sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total{namespace="shop"}[5m]))', [
        ({"namespace": "shop", "pod": pod["metadata"]["name"], "container": "catalog"}, [*about(0.29, calm), *slope(0.33, 0.97, 20), *about(0.98, busy - 20, noise=0.01)])
        for pod in stage.pods("shop/catalog-")
    ])  # fmt: skip
    for which, value in (("desired", 2.0), ("current", 2.0)):
        metric = f"kube_horizontalpodautoscaler_status_{which}_replicas"
        stage.metric(f"scaler-{which}", metric, [
            ({"__name__": metric, "namespace": "shop", "horizontalpodautoscaler": "catalog"}, [value] * (calm + busy)),
        ])  # fmt: skip
