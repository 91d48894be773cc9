"""A mesh's bounds on connections to the price engine were set for a quiet month; a campaign's requests overflow them."""

from __future__ import annotations

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="A DestinationRule of six weeks ago allows ten connections to the price engine, and the campaign's requests are turned away in the caller's proxy",
    half=Half.tuned,
    story=(
        "The engine's team bounded its connections when it ran on one small pod. It has since grown to four pods and"
        " idles at a fifth of its CPU. Today's campaign triples the basket's requests: the basket's own sidecar answers"
        " 503 with flag UO, since ten connections are open and one request already waits. The basket's image was"
        " released an hour ago and is well."
    ),
    sources=[
        "https://istio.io/latest/docs/reference/config/networking/destination-rule/#ConnectionPoolSettings",
        "https://istio.io/latest/docs/tasks/traffic-management/circuit-breaking/",
        "https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#config-access-log-format-response-flags",
    ],
    labels={
        "alertname": "ErrorBudgetBurn", "namespace": "shop", "service": "basket", "severity": "critical", "slo": "basket", "long": "1h",
        "short": "5m",
    },
    causes=["DestinationRule/pricing/engine"],
    says=[["maxConnections", "http1MaxPendingRequests", "connectionPool", "connection pool", "pending requests"], ["engine"]],
    innocent=[
        "Service/shop/basket", "Deployment/shop/basket", "Deployment/pricing/engine", "Service/pricing/engine", "StatefulSet/shop/baskets",
    ],
    traits=frozenset({Trait.innocent, Trait.metrics_only}),
    authored=["istio sidecars"],
)  # fmt: skip

RULES = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: engine, namespace: pricing}
spec:
  host: engine.pricing.svc.cluster.local
  trafficPolicy:
    connectionPool:
      tcp: {maxConnections: 10, connectTimeout: 1s}
      http: {http1MaxPendingRequests: 1, maxRequestsPerConnection: 0}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: catalogue, namespace: shop}
spec:
  host: catalogue.shop.svc.cluster.local
  trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST}}
"""


def play(stage: Stage) -> None:
    stage.crd("networking.istio.io", "v1", "DestinationRule", "destinationrules")
    stage.apply(system())
    sidecar = container(
        "istio-proxy",
        "istio/proxyv2:1.29.1",
        readinessProbe={"httpGet": {"path": "/healthz/ready", "port": 15021}},
    )
    stage.apply([
        deployment("shop/basket", container("basket", "shop/basket:9.1.0", port=8080, ready="/readyz", env={
            "ENGINE": "http://engine.pricing.svc.cluster.local:8080", "CATALOGUE": "http://catalogue.shop.svc.cluster.local:8080",
        }), sidecar, replicas=3),
        service("shop/basket", 80, 8080),
        stateful_set("shop/baskets", container("redis", "redis:7.4.1", port=6379)),
        service("shop/baskets", 6379, headless=True),
        deployment("shop/catalogue", container("catalogue", "shop/catalogue:8.12.0", port=8080, ready="/readyz"), sidecar, replicas=2),
        service("shop/catalogue", 8080),
        deployment("pricing/engine", container("engine", "pricing/engine:4.0.7", port=8080, ready="/readyz", cpu="500m"), sidecar, replicas=1),
        service("pricing/engine", 8080),
        deployment("istio-system/istiod", container("discovery", "istio/pilot:1.29.1", port=15012), replicas=2),
        service("istio-system/istiod", 15012),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=4)
    stage.apply(RULES)
    stage.wait(days=20)
    stage.kubectl("scale", "deployment/engine", "--replicas=4", "-n", "pricing")
    stage.calm()
    stage.wait(days=22, hours=1)
    stage.kubectl(
        "set", "image", "deployment/basket", "basket=registry.example.com/shop/basket:9.2.0", "-n", "shop"
    )
    stage.calm()
    stage.wait(minutes=58)
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=14)


def _logs(stage: Stage) -> None:
    fine = '[<%Y-%m-%dT%H:%M:%S.%3>Z] "POST /v1/price HTTP/1.1" 200 - via_upstream - "-" 811 240 <9-20> <8-19> "-" "basket/9.2.0" "-" "engine.pricing.svc.cluster.local:8080" "10.244.<0-2>.<4-9>:8080" outbound|8080||engine.pricing.svc.cluster.local 10.244.1.6:<30000-60000> 10.96.31.7:8080 10.244.1.6:<30000-60000> - default'
    full = '[<%Y-%m-%dT%H:%M:%S.%3>Z] "POST /v1/price HTTP/1.1" 503 UO upstream_reset_before_response_started{overflow} - "-" 811 81 0 - "-" "basket/9.2.0" "-" "engine.pricing.svc.cluster.local:8080" "-" outbound|8080||engine.pricing.svc.cluster.local - 10.96.31.7:8080 10.244.1.6:<30000-60000> - default'
    for pod in stage.pods("shop/basket-"):
        name = f"shop/{pod['metadata']['name']}"
        stage.log(
            name,
            printed(stage.ago(minutes=19), [fine, full, fine, full, full] * 10, every_s=22),
            container="istio-proxy",
        )
        lines = [
            '{"level":"error","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"price","basket":"b-<100000-999999>","status":503,"body":"upstream connect error or disconnect/reset before headers. reset reason: overflow"}',
            '{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"basket","status":200,"ms":<20-40>}',
        ]
        stage.log(name, printed(stage.ago(minutes=19), lines * 20, every_s=28), container="basket")
    chatter(
        stage,
        "pricing/engine",
        ["<%Y-%m-%dT%H:%M:%S.%3>Z INFO priced <600-700> baskets in 10s, p99 <17-21>ms"],
        container="engine",
    )
    chatter(
        stage,
        "shop/catalogue",
        ['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"served","n":<90-140>}'],
        count=18,
        container="catalogue",
    )


def _metrics(stage: Stage) -> None:
    flags = 'sum by (source_workload, destination_service, response_flags) (rate(istio_requests_total{reporter="source",destination_service="engine.pricing.svc.cluster.local"}[5m]))'
    common = {"source_workload": "basket", "destination_service": "engine.pricing.svc.cluster.local"}
    stage.metric("istio_requests", flags, [
        ({**common, "response_flags": "-"}, [*about(48.0, 100, of="ok"), *slope(50, 96, 10), *about(97.0, 20, of="ok")]),
        ({**common, "response_flags": "UO"}, [*[0.0] * 102, *slope(1, 60, 8), *about(61.0, 20, of="uo")]),
    ])  # fmt: skip
    usage = "sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total[5m]))"
    series = [
        ({"namespace": space, "pod": pod["metadata"]["name"], "container": pod["spec"]["containers"][0]["name"]}, about(level, 130, of=pod["metadata"]["name"]))
        for space, prefix, level in (("shop", "basket-", 0.2), ("pricing", "engine", 0.11))
        for pod in stage.pods(f"{space}/{prefix}")
    ]  # fmt: skip
    stage.metric("cpu", usage, series)
