"""A Redis without eviction is shared by four programs; a release of the quietest of them writes keys that never expire."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.incidents.curves import about, slope, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="Release 3.8.0 of ranking keeps candidates in the shared Redis without an expiry, and sign-in and baskets cannot write",
    half=Half.tuned,
    story=(
        "Four programs share one Redis with a database number each; it may hold 2 GiB and evicts nothing, as baskets are in it. Since"
        " release 3.8.0, five hours ago, ranking (database 2) caches candidates without an expiry. Now the memory is full: every write of"
        " sign-in, baskets and the request counters is refused. Ranking itself goes on without its cache and alerts for nothing. A"
        " release of sign-in went out forty minutes ago."
    ),
    sources=[
        "https://redis.io/docs/latest/develop/reference/eviction/",
        "https://redis.io/docs/latest/commands/expire/",
        "https://github.com/oliver006/redis_exporter",
        "https://sre.google/sre-book/monitoring-distributed-systems/",
    ],
    labels={
        "alertname": "ErrorBudgetBurn",
        "namespace": "people",
        "service": "sign-in",
        "slo": "sign-in-availability",
        "long": "1h",
        "short": "5m",
        "severity": "critical",
    },
    annotations={"summary": "sign-in burns its 30 days' error budget 14.4 times too fast."},
    causes=["Deployment/shop/ranking"],
    says=[["maxmemory", "memory"], ["3.8.0"]],
    innocent=["Deployment/people/sign-in", "Service/people/sign-in", "Deployment/shop/basket", "Deployment/web/gateway", "Service/web/gateway"],
    traits=frozenset({Trait.innocent, Trait.metrics_only}),
)  # fmt: skip

CONF = """\
bind 0.0.0.0
port 6379
databases 16
maxmemory 2gb
maxmemory-policy noeviction
save 900 1 300 10
appendonly no
"""
OOM = "OOM command not allowed when used memory > 'maxmemory'."


def play(stage: Stage) -> None:
    redis = "redis://quick.stores.svc.cluster.local:6379"
    exporter = container(
        "exporter",
        "oliver006/redis_exporter:v1.80.0",
        port=9121,
        env={"REDIS_ADDR": "redis://localhost:6379"},
    )
    store = container("redis", "redis:7.4.5", port=6379, cpu="500m", memory=("2560Mi", "3Gi"), mounts={"conf": "/etc/redis"},
                      args=["/etc/redis/redis.conf"], readinessProbe={"exec": {"command": ["redis-cli", "ping"]}})  # fmt: skip
    stage.apply(system())
    stage.apply([
        config_map("stores/quick-conf", {"redis.conf": CONF}),
        stateful_set("stores/quick", store, exporter, pod={"volumes": [{"name": "conf", "configMap": {"name": "quick-conf"}}]}),
        service("stores/quick", 6379),
        deployment("people/sign-in", container("sign-in", "people/sign-in:2.4.1", port=3000, ready="/up", alive="/up",
                                               env={"SESSION_STORE": f"{redis}/0", "PROFILES_URL": "http://profiles"}), replicas=3),
        service("people/sign-in", 80, 3000),
        deployment("people/profiles", container("profiles", "people/profiles:7.0.9", port=8080, ready="/ready")),
        service("people/profiles", 80, 8080),
        deployment("shop/basket", container("basket", "shop/basket:12.1.0", port=8080, ready="/ready", alive="/alive", env={"REDIS_URL": f"{redis}/1"}), replicas=3),
        service("shop/basket", 80, 8080),
        deployment("shop/ranking", container("ranking", "shop/ranking:3.7.2", port=8000, ready="/healthz", memory=("512Mi", "1Gi"),
                                             env={"CACHE_URL": f"{redis}/2", "MODEL": "ltr-2026-10", "CACHE_TTL": "900"}), replicas=2),
        service("shop/ranking", 80, 8000),
        deployment("shop/listing", container("listing", "shop/listing:9.4.4", port=8080, ready="/ready", env={"RANKING_URL": "http://ranking"})),
        service("shop/listing", 80, 8080),
        deployment("web/gateway", container("gateway", "web/gateway:5.18.0", port=8080, ready="/ready", env={
            "SIGN_IN_URL": "http://sign-in.people", "BASKET_URL": "http://basket.shop", "LISTING_URL": "http://listing.shop", "COUNTERS": f"{redis}/3",
        }), replicas=2),
        service("web/gateway", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=24, hours=1)
    stage.kubectl(
        "set",
        "image",
        "deployment/profiles",
        "profiles=registry.example.com/people/profiles:7.1.0",
        "-n",
        "people",
    )
    stage.calm()
    stage.wait(hours=3)
    stage.kubectl(
        "set", "image", "deployment/ranking", "ranking=registry.example.com/shop/ranking:3.8.0", "-n", "shop"
    )
    stage.calm()
    released = stage.now
    stage.wait(hours=4, minutes=36)
    stage.kubectl(
        "set",
        "image",
        "deployment/sign-in",
        "sign-in=registry.example.com/people/sign-in:2.4.2",
        "-n",
        "people",
    )
    stage.calm()
    stage.wait(minutes=27)
    full = stage.now
    stage.wait(minutes=14)
    stage.heartbeat()
    _logs(stage, released, full)
    _metrics(stage)
    stage.fire(minutes_ago=9)


def _logs(stage: Stage, released: datetime, full: datetime) -> None:
    stage.log("stores/quick-0", printed(full - timedelta(minutes=50), [
        "1:M <%d %b %Y %H:%M:%S.%3> * 10 changes in 300 seconds. Saving...",
        "1:M <%d %b %Y %H:%M:%S.%3> * Background saving started by pid <2000-2999>",
        "1:M <%d %b %Y %H:%M:%S.%3> * Background saving terminated with success",
    ] * 12, every_s=102), container="redis")  # fmt: skip
    well = '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"POST","url":"/sessions"},"res":{"statusCode":201},"responseTime":<12-40>,"msg":"request completed"}'
    bad = (
        '{"level":50,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"POST","url":"/sessions"},"res":{"statusCode":500},"err":{"type":"ReplyError",'
        f'"message":"{OOM}","command":{{"name":"setex"}}}},"msg":"request errored"}}'
    )
    for n, pod in enumerate(stage.pods("people/sign-in")):
        stage.log(f"people/{pod['metadata']['name']}", "\n".join([
            printed(full - timedelta(minutes=20) + timedelta(seconds=3 * n), [well] * 24, every_s=48),
            printed(full + timedelta(seconds=5 + n), [bad] * 40, every_s=20),
        ]))  # fmt: skip
    for n, pod in enumerate(stage.pods("shop/basket")):
        stage.log(f"shop/{pod['metadata']['name']}", "\n".join([
            printed(full - timedelta(minutes=20) + timedelta(seconds=3 * n), ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="basket saved" lines=<1-9>'] * 24, every_s=48),
            printed(full + timedelta(seconds=2 + n), [
                f'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=ERROR msg="basket not saved" err="{OOM}" basket=<100000-999999>',
                'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="basket read" lines=<1-9>',
            ] * 20, every_s=20),
        ]))  # fmt: skip
    for n, pod in enumerate(stage.pods("shop/ranking")):
        stage.log(f"shop/{pod['metadata']['name']}", "\n".join([
            printed(released + timedelta(seconds=3 + n), [
                "<%Y-%m-%d %H:%M:%S,%3> INFO ranking: version 3.8.0, model ltr-2026-10",
                "<%Y-%m-%d %H:%M:%S,%3> INFO ranking.cache: candidates kept per user, prefix=cand2: expire=None",
            ]),
            printed(released + timedelta(minutes=8), ["<%Y-%m-%d %H:%M:%S,%3> INFO ranking: ranked items=<200-900> took=<8-30>ms cache=miss"] * 30, every_s=590),
            printed(full + timedelta(seconds=1), [
                f"<%Y-%m-%d %H:%M:%S,%3> WARNING ranking.cache: candidates not kept: {OOM}",
                "<%Y-%m-%d %H:%M:%S,%3> INFO ranking: ranked items=<200-900> took=<8-30>ms cache=miss",
            ] * 16, every_s=25),
        ]))  # fmt: skip
    chatter(stage, "web/gateway", [
        "<%Y/%m/%d %H:%M:%S> counters: incr failed, request let through: " + OOM,
        "<%Y/%m/%d %H:%M:%S> POST /sign-in -> http://sign-in.people/sessions 500 <10-40>ms",
        "<%Y/%m/%d %H:%M:%S> POST /basket -> http://basket.shop/baskets 500 <4-20>ms",
        "<%Y/%m/%d %H:%M:%S> GET /list -> http://listing.shop/list 200 <30-90>ms",
    ], count=40, minutes=13)  # fmt: skip
    chatter(
        stage,
        "shop/listing",
        ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="list made" items=<20-60> took=<20-60>ms'],
    )
    chatter(
        stage, "people/profiles", ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="profile read" took=<2-9>ms']
    )


def _metrics(stage: Stage) -> None:
    """Every five minutes for eight hours: 96 values, 64 since the release, three since the memory is full."""
    count, since, full = 96, 64, 3
    here = {"namespace": "stores", "pod": "quick-0", "job": "quick"}
    gib = 1 << 30
    step = {"step_s": 300}
    used = [
        *about(0.62 * gib, count - since, noise=0.01),
        *slope(0.62 * gib, 1.99 * gib, since - full),
        *about(2.0 * gib, full, noise=0.0005),
    ]
    stage.metric("store-memory", "redis_memory_used_bytes", [(here, used)], **step)
    stage.metric("store-memory-at-most", "redis_memory_max_bytes", [(here, [2.0 * gib] * count)], **step)
    grown = [*slope(30000, 2510000, since - full), *about(2510000, full, noise=0.0001)]
    keys = {
        "db0": about(412000, count, noise=0.02), "db1": about(96000, count, noise=0.02),
        "db2": [*about(29000, count - since, noise=0.03), *grown], "db3": about(5200, count, noise=0.1),
    }  # fmt: skip
    expiring = {
        **keys,
        "db2": [*about(29000, count - since, noise=0.03), *slope(28000, 0, 4), *[0.0] * (since - 4)],
    }
    stage.metric(
        "store-keys",
        "redis_db_keys",
        [({**here, "db": db}, whole(values)) for db, values in keys.items()],
        **step,
    )
    stage.metric(
        "store-keys-expiring",
        "redis_db_keys_expiring",
        [({**here, "db": db}, whole(values)) for db, values in expiring.items()],
        **step,
    )
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": namespace, "service": name}, [*about(0.0006, count - full, noise=0.8), *about(level, full)])
        for namespace, name, level in (("people", "sign-in", 0.71), ("shop", "basket", 0.44), ("web", "gateway", 0.23), ("shop", "listing", 0.0006), ("shop", "ranking", 0.0004))
    ], **step)  # fmt: skip
    stage.metric("alerts", 'ALERTS{alertstate="firing",severity="critical"}', [
        ({"__name__": "ALERTS", "alertname": "ErrorBudgetBurn", "alertstate": "firing", "namespace": namespace, "service": name}, [1.0] * 2)
        for namespace, name in (("people", "sign-in"), ("shop", "basket"), ("web", "gateway"))
    ], **step)  # fmt: skip
