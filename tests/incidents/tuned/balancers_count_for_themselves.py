"""A rule asks for haproxy_up, which the exporter beside HAProxy made; HAProxy counts for itself now and has no such metric."""

from __future__ import annotations

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="HAProxyDown asks for a metric of the retired exporter, which the balancers' release of forty minutes ago left out; they serve as ever",
    half=Half.tuned,
    story=(
        "The sidecar haproxy_exporter is retired and was taken out of the balancers, whose own /metrics is read since, by a PodMonitor in the ServiceMonitor's place. haproxy_up was"
        " the sidecar's word. absent(haproxy_up) fires five minutes after the release. Requests, answers and waiting times are what they were. Slots of server-template"
        " that have no address have been told as DOWN at each start, for as long as there have been balancers."
    ),
    sources=[
        "https://github.com/prometheus/haproxy_exporter",
        "https://github.com/haproxy/haproxy/blob/master/addons/promex/README",
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#absent",
        "https://www.haproxy.com/documentation/haproxy-configuration-tutorials/proxying-essentials/dns-resolution/",
    ],
    labels={"alertname": "HAProxyDown", "namespace": "edge", "severity": "critical"},
    annotations={
        "summary": "No HAProxy of edge is up.",
        "description": "haproxy_up is absent since five minutes.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["prometheus-operator objects"],
)

MONITORING = "monitoring.coreos.com"

CONFIG = """\
global
    maxconn 20000
resolvers kube
    nameserver dns 10.96.0.10:53
    hold valid 10s
frontend web
    bind :8443
    default_backend shop
frontend stats
    bind :8405
    http-request use-service prometheus-exporter if { path /metrics }
backend shop
    balance leastconn
    option httpchk GET /up
    server-template srv 6 storefront.shop.svc.cluster.local:3000 resolvers kube check init-addr none
"""


def play(stage: Stage) -> None:
    for kind, plural in (("PrometheusRule", "prometheusrules"), ("ServiceMonitor", "servicemonitors"), ("PodMonitor", "podmonitors")):  # fmt: skip
        stage.crd(MONITORING, "v1", kind, plural)
    proxy = container("haproxy", "haproxy:3.2.6", port=8443, memory=("256Mi", "512Mi"), mounts={"config": "/usr/local/etc/haproxy"},
                      ports=[{"name": "https", "containerPort": 8443}, {"name": "stats", "containerPort": 8405}],
                      readinessProbe={"httpGet": {"path": "/metrics", "port": 8405}, "periodSeconds": 10})  # fmt: skip
    beside = container("exporter", "prom/haproxy-exporter:v0.15.0", memory=("32Mi", "64Mi"), ports=[{"name": "metrics", "containerPort": 9101}], args=["--haproxy.scrape-uri=http://localhost:8404/stats;csv"])  # fmt: skip
    volumes = {"volumes": [{"name": "config", "configMap": {"name": "balancer-config"}}]}
    stage.apply([
        *system(),
        config_map("edge/balancer-config", {"haproxy.cfg": CONFIG}),
        deployment("edge/balancer", proxy, beside, replicas=3, pod=volumes), service("edge/balancer", 443, 8443),
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "balancer-metrics", "namespace": "edge", "labels": {"app": "balancer-metrics"}}, "spec": {"selector": {"app": "balancer"}, "ports": [{"name": "metrics", "port": 9101, "targetPort": 9101}]}},
        {"apiVersion": f"{MONITORING}/v1", "kind": "ServiceMonitor", "metadata": {"name": "balancer", "namespace": "edge"}, "spec": {"selector": {"matchLabels": {"app": "balancer-metrics"}}, "endpoints": [{"port": "metrics"}]}},
        {"apiVersion": f"{MONITORING}/v1", "kind": "PrometheusRule", "metadata": {"name": "balancers", "namespace": "monitoring"},
         "spec": {"groups": [{"name": "balancers", "rules": [
             {"alert": "HAProxyDown", "expr": 'absent(haproxy_up{namespace="edge"} == 1)', "for": "5m", "labels": {"severity": "critical"}, "annotations": {"summary": "No HAProxy of {{ $labels.namespace }} is up."}},
             {"alert": "StorefrontSlow", "expr": 'histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket{service="storefront"}[5m]))) > 1', "for": "10m", "labels": {"severity": "warning"}},
         ]}]}},
        deployment("shop/storefront", container("storefront", "shop/storefront:48.1.0", port=3000, ready="/up", env={"BASKET_URL": "http://basket.shop.svc", "ITEMS_URL": "http://items.shop.svc"}), replicas=4), service("shop/storefront", 3000),
        deployment("shop/basket", container("basket", "shop/basket:11.3.0", port=8080, ready="/ready", env={"STORE": "redis://baskets.shop.svc:6379"}), replicas=2), service("shop/basket", 80, 8080),
        stateful_set("shop/baskets", container("valkey", "valkey:8.1.4", port=6379)), service("shop/baskets", 6379, headless=True),
        deployment("shop/items", container("items", "shop/items:20.0.1", port=8080, ready="/ready"), replicas=2), service("shop/items", 80, 8080),
        config_map("shop/banner", {"banner.html": "<b>Free delivery</b>"}),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=24, hours=1, minutes=50)
    stage.edit("configmaps/shop/banner", lambda body: body["data"].update({"banner.html": "<b>Gifts are wrapped</b>"}))  # fmt: skip
    stage.wait(minutes=16)
    stage.delete("servicemonitors/edge/balancer")
    stage.delete("services/edge/balancer-metrics")
    stage.apply([
        {"apiVersion": f"{MONITORING}/v1", "kind": "PodMonitor", "metadata": {"name": "balancer", "namespace": "edge"}, "spec": {"selector": {"matchLabels": {"app": "balancer"}}, "podMetricsEndpoints": [{"port": "stats", "path": "/metrics"}]}},
        deployment("edge/balancer", proxy, replicas=3, pod=volumes),
    ])  # fmt: skip
    stage.calm()
    stage.wait(minutes=39)
    stage.heartbeat()
    chatter(stage, "edge/balancer", [
        '10.20.0.<11-13>:<30000-60000> [<%d/%b/%Y:%H:%M:%S.%3>] web shop/srv<1-4> 0/0/1/<9-40>/<12-44> 200 <2000-9000> - - ---- <100-300>/<100-300>/<1-9>/<1-4>/0 0/0 "GET / HTTP/1.1"',
        '10.20.0.<11-13>:<30000-60000> [<%d/%b/%Y:%H:%M:%S.%3>] web shop/srv<1-4> 0/0/1/<20-70>/<22-74> 201 <200-900> - - ---- <100-300>/<100-300>/<1-9>/<1-4>/0 0/0 "POST /basket HTTP/1.1"',
        "[WARNING]  (8) : Server shop/srv5 is going DOWN for maintenance (No IP for server shop/srv5). 4 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.",
        "[WARNING]  (8) : Server shop/srv6 is going DOWN for maintenance (No IP for server shop/srv6). 4 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.",
    ], count=40, minutes=37)  # fmt: skip
    chatter(stage, "shop/storefront", ['{"level":30,"req":{"method":"GET","url":"/"},"res":{"statusCode":200},"responseTime":<9-40>,"msg":"request completed"}'], minutes=60)  # fmt: skip
    chatter(stage, "shop/basket", ["INFO  basket.http PUT /items/<1000-9999> 200 <4-15>ms", "WARN  basket.store key basket:<1000-9999> had expired, a new one is made"], minutes=60)  # fmt: skip
    chatter(stage, "shop/baskets", ["1:M <%d %b %Y %H:%M:%S.%3> * Background saving terminated with success"], count=6)  # fmt: skip
    chatter(stage, "shop/items", ["INFO items: GET /items 200 <5-30>ms"])
    _metrics(stage)
    stage.fire(minutes_ago=33)


def _metrics(stage: Stage) -> None:
    """Once a minute for three hours; the release was forty minutes ago."""
    count, since = 180, 39
    edge: Body = {"namespace": "edge", "proxy": "web"}
    stage.metric("haproxy_up", 'haproxy_up{namespace="edge"}', [])
    stage.metric("uptime", 'haproxy_process_uptime_seconds{namespace="edge"}', [
        ({"namespace": "edge", "pod": pod["metadata"]["name"]}, [60.0 * n for n in range(1, since)]) for pod in stage.pods("edge/balancer")
    ])  # fmt: skip
    stage.metric("requests", "sum by (namespace, proxy) (rate(haproxy_frontend_http_requests_total[5m]))", [(edge, about(322, count, noise=0.07))])  # fmt: skip
    stage.metric("refused", 'sum by (namespace, proxy) (rate(haproxy_frontend_http_responses_total{code="5xx"}[5m])) / sum by (namespace, proxy) (rate(haproxy_frontend_http_responses_total[5m]))', [(edge, about(0.0006, count, noise=0.9))])  # fmt: skip
    stage.metric("p99", "histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket[5m])))", [
        ({"namespace": "shop", "service": "storefront"}, about(0.082, count, noise=0.1)),
        ({"namespace": "shop", "service": "basket"}, about(0.021, count, noise=0.1)),
    ])  # fmt: skip
