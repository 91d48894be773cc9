"""Somebody edits the gateway's routes; an application in another namespace seems to answer 502."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="The gateway's route to pricing names a Service that does not exist",
    half=Half.blind,
    story="ConfigMap gateway-routes is edited by hand: pricing's upstream becomes pricing-v2, which nobody made. The "
    "sidecar reloads nginx, which resolves names at request time: no pod restarts, all are Ready, 502 for one path.",
    sources=[
        "https://nginx.org/en/docs/http/ngx_http_core_module.html#resolver",
        "https://kubernetes.io/docs/concepts/configuration/configmap/#mounted-configmaps-are-updated-automatically",
    ],
    labels={
        "alertname": "ServiceErrorRateHigh",
        "namespace": "market",
        "service": "pricing",
        "job": "edge-gateway",
        "severity": "critical",
    },
    annotations={
        "summary": "More than 5% of requests to pricing fail",
        "description": "100% of requests to service pricing in namespace market have failed for 5 minutes.",
    },
    causes=["ConfigMap/edge/gateway-routes"],
    says=[
        ["pricing-v2"],
        ["pricing.market", "could not be resolved", "not found", "does not exist", "no Service", "not exist"],
    ],
    innocent=["Deployment/market/pricing", "Service/market/pricing"],
    traits=frozenset({Trait.innocent}),
)

ROUTES = """\
resolver 10.96.0.10 valid=10s;
server {
    listen 8080;
    server_name shop.example.com;
    location /api/pricing/ {
        set $upstream pricing.market.svc.cluster.local:80;
        proxy_pass http://$upstream;
    }
    location /api/catalog/ {
        set $upstream catalog.market.svc.cluster.local:80;
        proxy_pass http://$upstream;
    }
    location / {
        set $upstream storefront.market.svc.cluster.local:80;
        proxy_pass http://$upstream;
    }
    location = /healthz { return 200 "ok\\n"; }
}
"""

ACCESS = (
    '10.20.0.4<0-9> - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET {} HTTP/1.1" {} {} "-" "Mozilla/5.0" rt=0.0<10-60>'
)


def play(stage: Stage) -> None:
    nginx = container(
        "nginx", "edge/nginx:1.29.2", port=8080, ready="/healthz", mounts={"routes": "/etc/nginx/conf.d"}
    )
    reloader = container(
        "reloader", "edge/config-reloader:0.9.1", mounts={"routes": "/watched"}, memory=("16Mi", "32Mi")
    )
    volumes = {"volumes": [{"name": "routes", "configMap": {"name": "gateway-routes"}}]}
    stage.apply([
        *system(),
        config_map("edge/gateway-routes", {"routes.conf": ROUTES}),
        deployment("edge/gateway", nginx, reloader, pod={**volumes, "shareProcessNamespace": True}),
        service("edge/gateway", 80, 8080),
        deployment("market/pricing", container("pricing", "market/pricing:7.2.4", port=9000, ready="/readyz", alive="/livez"), replicas=3),
        service("market/pricing", 80, 9000),
        deployment("market/catalog", container("catalog", "market/catalog:3.40.0", port=3000, ready="/health", env={"PGHOST": "catalog-db.market.svc"})),
        service("market/catalog", 80, 3000),
        deployment("market/storefront", container("storefront", "market/storefront:2026.10.2", port=3000, ready="/")),
        service("market/storefront", 80, 3000),
        stateful_set("market/catalog-db", container("postgres", "library/postgres:17.6", port=5432)),
        service("market/catalog-db", 5432, headless=True),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=16)
    stage.kubectl(
        "set",
        "image",
        "deployment/pricing",
        "pricing=registry.example.com/market/pricing:7.3.0",
        "-n",
        "market",
    )
    stage.calm()
    stage.wait(days=6, hours=3)

    def route(body: Body) -> None:
        body["data"]["routes.conf"] = ROUTES.replace("pricing.market", "pricing-v2.market")

    stage.edit("configmap/edge/gateway-routes", route)
    stage.wait(minutes=26)
    host = "pricing-v2.market.svc.cluster.local"
    chatter(stage, "edge/gateway", [
        ACCESS.format("/api/catalog/items?page=<1-40>", 200, "<4000-9000>"),
        f'<%Y/%m/%d %H:%M:%S> [error] 31#31: *<48000-52000> {host} could not be resolved (3: Host not found), client: 10.20.0.41, server: shop.example.com, request: "GET /api/pricing/quotes?sku=<10000-99999> HTTP/1.1", host: "shop.example.com"',
        ACCESS.format("/api/pricing/quotes?sku=<10000-99999>", 502, 157),
        ACCESS.format("/product/<1000-9999>", 200, "<12000-30000>"),
    ], count=60, minutes=23, container="nginx")  # fmt: skip
    chatter(stage, "edge/gateway", [
        'level=info ts=<%Y-%m-%dT%H:%M:%S.%3Z> caller=reload.go:71 msg="change seen" path=/watched/..data',
        'level=info ts=<%Y-%m-%dT%H:%M:%S.%3Z> caller=reload.go:88 msg="sent SIGHUP to nginx" pid=7',
    ], count=2, minutes=25, container="reloader")  # fmt: skip
    chatter(stage, "market/pricing", [
        '{"time":"<%Y-%m-%dT%H:%M:%S.%3Z>","level":"INFO","msg":"price list refreshed","entries":<18100-18120>,"took_ms":<40-90>}',
        '{"time":"<%Y-%m-%dT%H:%M:%S.%3Z>","level":"DEBUG","msg":"probe","path":"/readyz","status":200}',
    ], count=16)  # fmt: skip
    chatter(stage, "market/catalog-", [
        '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3Z>","pid":1,"req":{"method":"GET","url":"/items?page=<1-40>"},"res":{"statusCode":200},"responseTime":<8-40>,"msg":"request completed"}',
    ])  # fmt: skip
    stage.log(
        "market/catalog-db",
        "LOG:  checkpoint starting: time\nLOG:  checkpoint complete: wrote 212 buffers (1.3%)",
        every_s=21,
    )
    stage.metric(
        "gateway-5xx",
        'sum by (service) (rate(gateway_requests_total{status=~"5.."}[5m]))',
        [
            ({"service": "pricing"}, [0, 0, 0, 0, 1.1, 6.4, 14.2, 18.9, 19.3, 18.7, 19.1]),
            ({"service": "catalog"}, [0] * 11),
            ({"service": "storefront"}, [0.02, 0, 0, 0.02, 0, 0, 0, 0.02, 0, 0, 0]),
        ],
        step_s=180,
    )
    stage.heartbeat()
    stage.fire(minutes_ago=18)
