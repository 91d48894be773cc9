"""A cache came back empty after its node was drained; pages were slow until it had filled, which the alert still counts."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="Pages were slow for eleven minutes while an emptied cache filled after a drain; they are fast again and the hour's quantile still fires",
    half=Half.tuned,
    story=(
        "node-b was drained for a firmware update, and the fragment cache moved to another node without its content. For eleven minutes nearly every page was"
        " rendered from the database, which was slow; then the hit ratio was back at 96 %. The rule takes the 99th percentile of an hour and fires on."
        " The node is in service again. A release of search and a few more replicas of stills are unrelated."
    ),
    sources=[
        "https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/",
        "https://docs.memcached.org/features/restart/",
        "https://github.com/prometheus/memcached_exporter",
        "https://prometheus.io/docs/practices/histograms/#quantiles",
    ],
    labels={
        "alertname": "PageLatencyHigh",
        "namespace": "reading",
        "service": "pages",
        "job": "pages",
        "severity": "warning",
    },
    annotations={
        "summary": "The 99th percentile of pages is above 1.2 s.",
        "expr": 'histogram_quantile(0.99, sum by (namespace, service, le) (rate(page_seconds_bucket[1h]))) > 1.2',
    },
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip

BEFORE, COLD, SINCE = 58, 11, 24
"""Minutes of each part of the story."""


def play(stage: Stage) -> None:
    stage.apply(system())
    stage.apply([
        stateful_set("reading/fragments", container("memcached", "memcached:1.6.39", port=11211, memory=("2Gi", "2560Mi"), args=["-m", "2048", "-I", "4m"]),
                     container("exporter", "prometheus/memcached-exporter:v0.15.3", port=9150)),
        service("reading/fragments", 11211, headless=True),
        stateful_set("reading/articles-db", container("mariadb", "mariadb:11.8.3", port=3306, cpu="500m", memory=("2Gi", "4Gi"))),
        service("reading/articles-db", 3306, headless=True),
        config_map("reading/pages-settings", {"pages.toml": '[cache]\nservers = "fragments.reading.svc:11211"\nttl = "6h"\n[database]\nhost = "articles-db.reading.svc:3306"\n'}),
        deployment("reading/pages", container("pages", "reading/pages:21.3.0", port=8080, ready="/ready", alive="/alive", mounts={"settings": "/etc/pages"}, env={"SEARCH_URL": "http://search"}),
                   replicas=3, pod={"volumes": [{"name": "settings", "configMap": {"name": "pages-settings"}}]}),
        service("reading/pages", 80, 8080),
        deployment("reading/search", container("search", "reading/search:6.1.0", port=8080, ready="/ready")),
        service("reading/search", 80, 8080),
        deployment("reading/stills", container("stills", "reading/stills:1.30.1", port=8080, ready="/ready"), replicas=2),
        service("reading/stills", 80, 8080),
        deployment("edge/front", container("front", "edge/front:9.9.0", port=8080, ready="/up", env={"PAGES_URL": "http://pages.reading", "STILLS_URL": "http://stills.reading"})),
        service("edge/front", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=22, hours=2)
    stage.kubectl(
        "set",
        "image",
        "deployment/search",
        "search=registry.example.com/reading/search:6.1.1",
        "-n",
        "reading",
    )
    stage.calm()
    stage.wait(minutes=36)
    (node,) = {pod["spec"]["nodeName"] for pod in stage.pods("reading/fragments")}
    stage.kubectl("cordon", node)
    stage.evict("reading/fragments-0")
    stage.calm()
    empty = stage.now
    stage.wait(minutes=COLD)
    stage.kubectl("uncordon", node)
    stage.wait(minutes=9)
    stage.kubectl("scale", "deployment/stills", "--replicas=3", "-n", "reading")
    stage.calm()
    stage.wait(minutes=SINCE - 9)
    stage.heartbeat()
    well = '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"INFO","msg":"page","path":"/a/<10000-99999>","status":200,"ms":<20-70>,"cache":"hit"}'
    slow = '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"WARN","msg":"slow page","path":"/a/<10000-99999>","status":200,"ms":<1600-3900>,"cache":"miss"}'
    for n, pod in enumerate(stage.pods("reading/pages")):
        shift = timedelta(seconds=3 * n)
        stage.log(f"reading/{pod['metadata']['name']}", "\n".join([
            printed(empty - timedelta(minutes=14) + shift, [well] * 16, every_s=49),
            printed(empty - timedelta(seconds=9) + shift, [
                '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"WARN","msg":"cache not reached, rendering","err":"dial tcp: lookup fragments.reading.svc: no such host"}',
            ] * 3, every_s=2),
            printed(empty + timedelta(seconds=4) + shift, [slow, slow, well] * 10, every_s=21),
            printed(empty + timedelta(minutes=COLD) + shift, [well] * 30, every_s=46),
        ]))  # fmt: skip
    stage.log("reading/articles-db-0", printed(empty + timedelta(minutes=1), [
        "<%Y-%m-%d %H:%M:%S> <40-90> [Warning] Aborted connection <1000-1999> to db: 'articles' user: 'pages' host: '10.244.0.<3-9>' (Got timeout reading communication packets)",
    ] * 4, every_s=120))  # fmt: skip
    chatter(stage, "reading/search", ["INFO  search: query answered hits=<0-90> <8-40>ms"])
    chatter(stage, "reading/stills", ["INFO  still served <10000-99999> <2-9>ms"])
    chatter(stage, "edge/front", ["<%Y/%m/%d %H:%M:%S> GET /a/<10000-99999> 200 <30-90>ms"])
    _metrics(stage)
    stage.fire(minutes_ago=SINCE + COLD - 4)


def _metrics(stage: Stage) -> None:
    pages, count = {"namespace": "reading", "service": "pages"}, BEFORE + COLD + SINCE
    stage.metric("p99", "histogram_quantile(0.99, sum by (namespace, service, le) (rate(page_seconds_bucket[5m])))", [
        (pages, [*about(0.21, BEFORE, noise=0.1), *about(3.1, 5), *slope(2.9, 0.6, COLD - 5), *about(0.22, SINCE, noise=0.1)]),
    ])  # fmt: skip
    stage.metric("p99-of-the-hour", "histogram_quantile(0.99, sum by (namespace, service, le) (rate(page_seconds_bucket[1h])))", [
        (pages, [*about(0.21, BEFORE, noise=0.05), *slope(0.6, 2.7, COLD), *about(2.7, SINCE, noise=0.01)]),
    ])  # fmt: skip
    stage.metric("hits", "sum by (namespace, service) (rate(page_fragments_total{cache=\"hit\"}[2m])) / sum by (namespace, service) (rate(page_fragments_total[2m]))", [
        (pages, [*about(0.96, BEFORE, noise=0.01), *slope(0.04, 0.9, COLD), *about(0.96, SINCE, noise=0.01)]),
    ])  # fmt: skip
    stage.metric("database-queries", "rate(mysql_global_status_queries[2m])", [
        ({"namespace": "reading", "pod": "articles-db-0"}, [*about(310, BEFORE), *slope(4100, 700, COLD), *about(320, SINCE)]),
    ])  # fmt: skip
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[2m])) / sum by (namespace, service) (rate(http_requests_total[2m]))', [
        (pages, about(0.0004, count, noise=0.9)),
    ])  # fmt: skip
