"""A batch program opens so many connections that its node can track no new ones; the shop's pod there times out."""

from __future__ import annotations

from tests.incidents.curves import about, slope, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import (
    config_map,
    container,
    daemon_set,
    deployment,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="The link checker's parallel requests fill node-b's connection tracking table, and a catalogue pod there times out",
    half=Half.tuned,
    story=(
        "Yesterday the link checker was set from 40 to 1500 parallel requests without keep-alive. Its daily full check"
        " began 38 minutes ago and fills the table of tracked connections of node-b within minutes. New connections"
        " from that node, the catalogue's and its name look-ups among them, are dropped now and then; established ones"
        " go on. No object looks unwell. The catalogue's log level was edited shortly before, which is of no consequence."
    ),
    sources=[
        "https://github.com/prometheus/node_exporter/blob/master/collector/conntrack_linux.go",
        "https://runbooks.prometheus-operator.dev/runbooks/node/nodehighnumberconntrackentriesused/",
        "https://support.rancher.com/hc/en-us/articles/360042522632-Resolving-conntrack-table-full-error-messages-nf-conntrack-table-full-dropping-packets-",
        "https://docs.kernel.org/networking/nf_conntrack-sysctl.html",
    ],
    labels={
        "alertname": "ErrorBudgetBurn", "namespace": "shop", "service": "catalogue", "severity": "critical", "long": "1h",
        "short": "5m", "slo": "catalogue-availability",
    },
    annotations={"summary": "catalogue fails more requests than its objective of 99.9 % allows."},
    causes=["Deployment/audit/link-checker", "Node/_cluster/node-b"],
    says=[["conntrack", "connection tracking", "tracked connections"], ["node-b"]],
    innocent=[
        "Service/shop/catalogue", "Deployment/shop/catalogue", "ConfigMap/shop/catalogue-settings",
        "StatefulSet/shop/catalogue-db", "Service/shop/prices", "Deployment/shop/prices", "Deployment/kube-system/coredns",
    ],
    traits=frozenset({Trait.innocent, Trait.metrics_only}),
)  # fmt: skip

ADDRESSES = {"node-a": "10.20.0.11:9100", "node-b": "10.20.0.12:9100", "node-c": "10.20.0.13:9100"}


def play(stage: Stage) -> None:
    apart = {"topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "catalogue"}},
    }]}  # fmt: skip
    stage.kubectl("label", "node", "node-b", "example.com/pool=batch")
    stage.apply(system())
    stage.apply([
        config_map("shop/catalogue-settings", {"log.level": "info", "page.size": "48", "prices.timeout": "2s"}),
        deployment(
            "shop/catalogue",
            container("catalogue", "shop/catalogue:8.12.0", port=8080, ready="/readyz", alive="/livez", env={
                "PRICES_URL": "http://prices.shop.svc.cluster.local:8080", "DATABASE_HOST": "catalogue-db.shop.svc.cluster.local",
            }, mounts={"settings": "/etc/catalogue"}),
            replicas=3, pod={**apart, "volumes": [{"name": "settings", "configMap": {"name": "catalogue-settings"}}]},
        ),
        service("shop/catalogue", 80, 8080),
        deployment("shop/prices", container("prices", "shop/prices:5.0.9", port=8080, ready="/readyz"), replicas=2),
        service("shop/prices", 8080),
        stateful_set("shop/catalogue-db", container("postgres", "postgres:16.6", port=5432, memory=("1Gi", "2Gi"))),
        service("shop/catalogue-db", 5432, headless=True),
        deployment(
            "audit/link-checker",
            container("link-checker", "audit/link-checker:2.9.1", port=9000, memory=("512Mi", "1Gi"), cpu="500m", env={
                "PARALLEL": "40", "KEEP_ALIVE": "true", "FULL_CHECK_AT": "09:30", "SITEMAPS": "http://sitemaps.audit.svc.cluster.local:8080",
            }),
            replicas=2, pod={"nodeSelector": {"example.com/pool": "batch"}},
        ),
        deployment("audit/sitemaps", container("sitemaps", "audit/sitemaps:1.4.0", port=8080, ready="/ready"), replicas=1),
        service("audit/sitemaps", 8080),
        daemon_set("monitoring/node-exporter", container("node-exporter", "prometheus/node-exporter:v1.9.1", port=9100), pod={"hostNetwork": True, "tolerations": [{"operator": "Exists"}]}),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=34, hours=1, minutes=5)
    stage.kubectl("set", "env", "deployment/link-checker", "PARALLEL=1500", "KEEP_ALIVE=false", "-n", "audit")
    stage.calm()
    stage.wait(hours=22, minutes=40)
    stage.edit("configmaps/shop/catalogue-settings", lambda body: body["data"].update({"log.level": "warn"}))
    stage.wait(minutes=49)
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=21)


def _logs(stage: Stage) -> None:
    address = stage.get("services/shop/prices")["spec"]["clusterIP"]
    fine = '{"level":"warn","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"slow page","path":"/c/<100-999>","ms":<310-480>}'
    bad = (
        '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"prices","path":"/c/<100-999>","error":"Get \\"http://prices.shop.svc.cluster.local:8080/v2/prices?c=<100-999>\\": '
        f'dial tcp {address}:8080: i/o timeout","status":502}}'
    )
    name = (
        '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"prices","path":"/c/<100-999>","error":"Get \\"http://prices.shop.svc.cluster.local:8080/v2/prices?c=<100-999>\\": '
        'dial tcp: lookup prices.shop.svc.cluster.local on 10.96.0.10:53: read udp 10.244.1.<4-9>:<30000-60000>->10.96.0.10:53: i/o timeout","status":502}'
    )
    for pod in stage.pods("shop/catalogue-"):
        if pod["metadata"]["name"].startswith("catalogue-db"):
            continue
        there = pod["spec"]["nodeName"] == "node-b"
        lines = [bad, fine, bad, name, fine, bad] * 8 if there else [fine] * 8
        stage.log(
            f"shop/{pod['metadata']['name']}",
            printed(stage.ago(minutes=26), lines, every_s=32 if there else 190),
        )
    chatter(
        stage,
        "shop/prices",
        ['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"served","n":<90-140>}'],
        count=18,
    )
    chatter(
        stage,
        "shop/catalogue-db",
        ["<%Y-%m-%d %H:%M:%S.%3> UTC [31] LOG:  checkpoint complete: wrote <80-200> buffers (0.9%)"],
        count=5,
    )
    began = "<%Y-%m-%dT%H:%M:%S.%3>Z INFO full check begins: 411872 links, 1500 at a time"
    goes_on = [
        "<%Y-%m-%dT%H:%M:%S.%3>Z INFO checked <4000-4900> links in the last minute, open connections <1380-1500>",
        "<%Y-%m-%dT%H:%M:%S.%3>Z WARN <180-420> links not answered within 10s, will be tried again",
    ]
    for pod in stage.pods("audit/link-checker"):
        stage.log(
            f"audit/{pod['metadata']['name']}",
            printed(stage.ago(minutes=38), [began, *(goes_on * 18)], every_s=61),
        )
    chatter(
        stage,
        "audit/sitemaps",
        ['[<%d/%b/%Y:%H:%M:%S> +0000] "GET /all.xml HTTP/1.1" 200 <70000-90000>'],
        count=6,
    )


def _metrics(stage: Stage) -> None:
    """Three hours, a value a minute; the full check begins 38 minutes before the end."""
    limit = 131072.0
    full = [*about(15200, 142, of="b"), *slope(16000, 130800, 8), *[limit - (n * 37) % 90 for n in range(30)]]
    entries = {"node-a": about(17100, 180, of="a"), "node-b": full, "node-c": about(14400, 180, of="c")}
    common = {"job": "node-exporter", "namespace": "monitoring", "container": "node-exporter"}
    for name, by_node in (
        ("node_nf_conntrack_entries", {node: whole(v) for node, v in entries.items()}),
        ("node_nf_conntrack_entries_limit", dict.fromkeys(entries, [limit] * 180)),
    ):
        stage.metric(
            name,
            name,
            [
                ({"__name__": name, **common, "instance": ADDRESSES[node], "node": node}, v)
                for node, v in by_node.items()
            ],
        )
    ratio = 'sum by (namespace, service) (rate(http_requests_total{service="catalogue",code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total{service="catalogue"}[5m]))'
    stage.metric("catalogue_error_ratio", ratio, [
        ({"namespace": "shop", "service": "catalogue"}, [*[0.0002] * 148, *slope(0.01, 0.14, 8), *about(0.15, 24, noise=0.15)]),
    ])  # fmt: skip
    usage = "sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total[5m]))"
    series = []
    for place, name, level, later in (
        ("shop", "catalogue-", 0.06, 0.06),
        ("audit", "link-checker", 0.02, 0.31),
        ("shop", "prices", 0.05, 0.05),
    ):
        for pod in stage.pods(f"{place}/{name}"):
            called = pod["metadata"]["name"]
            box = pod["spec"]["containers"][0]["name"]
            values = [*about(level, 142, of=called), *about(later, 38, of=called)]
            series.append(({"namespace": place, "pod": called, "container": box}, values))
    stage.metric("cpu", usage, series)
