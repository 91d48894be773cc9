"""A cache that lets go what was asked for least is full two days after it was made anew, as it was for weeks before."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="RedisOutOfConfiguredMaxmemory of the pictures' cache, which keeps 400 MB by allkeys-lru and was full for weeks until its restart two days ago",
    half=Half.tuned,
    story=(
        "The shelf keeps small pictures, at most 400 MB of them, and drops what was not asked for longest. It was full at all times, until it got another patch release two days ago and began empty; this evening it"
        " has passed 90 % again, for which the rule fires. Nine of ten requests find their picture, writes are taken, the container is far from its limit. The orders have a Redis of their own, which may evict"
        " nothing and is small. stamps was released this afternoon; one pod of prints was restarted last week."
    ),
    sources=[
        "https://samber.github.io/awesome-prometheus-alerts/rules#redis",
        "https://redis.io/docs/latest/develop/reference/eviction/",
        "https://github.com/oliver006/redis_exporter",
    ],
    labels={
        "alertname": "RedisOutOfConfiguredMaxmemory", "severity": "critical", "namespace": "postcards", "job": "redis", "pod": "shelf-0", "instance": "shelf-0.shelf.postcards.svc:9121",
    },
    annotations={
        "summary": "Redis out of configured maxmemory (instance shelf-0.shelf.postcards.svc:9121)",
        "description": "Redis is running out of configured maxmemory (> 90%)\n  VALUE = 92.14",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip

RULES = """\
groups:
- name: redis
  rules:
  - alert: RedisOutOfConfiguredMaxmemory
    expr: redis_memory_used_bytes / redis_memory_max_bytes * 100 > 90 and on (instance) redis_memory_max_bytes > 0
    for: 2m
    labels: {severity: critical}
  - alert: RedisRejectedConnections
    expr: increase(redis_rejected_connections_total[1m]) > 0
    labels: {severity: critical}
"""


def _redis(place: str, conf: str, memory: tuple[str, str]) -> list[Body]:
    name = place.split("/")[1]
    return [
        config_map(f"{place}-conf", {"redis.conf": conf}),
        stateful_set(place, container("redis", "redis:8.2.1", port=6379, memory=memory, mounts={"conf": "/etc/redis"}, args=["/etc/redis/redis.conf"], readinessProbe={"exec": {"command": ["redis-cli", "ping"]}, "periodSeconds": 10}),
                     container("exporter", "oliver006/redis_exporter:v1.77.0", port=9121, cpu="20m", memory=("32Mi", "64Mi")), pod={"volumes": [{"name": "conf", "configMap": {"name": f"{name}-conf"}}]}),
        service(place, 6379, headless=True),
    ]  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        *_redis("postcards/shelf", "maxmemory 400mb\nmaxmemory-policy allkeys-lru\nsave \"\"\nappendonly no\n", ("512Mi", "768Mi")),
        *_redis("postcards/orders-queue", "maxmemory 256mb\nmaxmemory-policy noeviction\nappendonly yes\n", ("256Mi", "512Mi")),
        deployment("postcards/stamps", container("stamps", "postcards/stamps:6.3.0", port=8080, ready="/ready", env={"SHELF": "redis://shelf.postcards.svc:6379/0", "ORIGIN_URL": "http://prints.postcards.svc"}), replicas=3), service("postcards/stamps", 80, 8080),
        deployment("postcards/prints", container("prints", "postcards/prints:2.0.8", port=8080, ready="/ready", alive="/alive", memory=("256Mi", "512Mi"), env={"BUCKET": "prints-of-the-house"})), service("postcards/prints", 80, 8080),
        deployment("postcards/counter", container("counter", "postcards/counter:14.1.1", port=8080, ready="/ready", env={"QUEUE": "redis://orders-queue.postcards.svc:6379/0"})), service("postcards/counter", 80, 8080),
        config_map("postcards/frames", {"frames.txt": "plain\noak\n"}),
        deployment("kiosk/screens", container("screens", "kiosk/screens:8.8.2", port=3000, ready="/up", env={"STAMPS_URL": "http://stamps.postcards.svc", "COUNTER_URL": "http://counter.postcards.svc"}), replicas=3), service("kiosk/screens", 80, 3000),
        config_map("alerts/redis", {"redis.yaml": RULES}),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 17, 13, 2, tzinfo=UTC))
    stage.recovered(f"postcards/{stage.pods('postcards/prints')[0]['metadata']['name']}", restarts=1, code=137, reason="OOMKilled", lived_s=700000, waited_s=4)  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 22, 19, 40, tzinfo=UTC))
    for name in ("shelf", "orders-queue"):
        stage.kubectl("set", "image", f"statefulset/{name}", "redis=registry.example.com/redis:8.2.3", "-n", "postcards")  # fmt: skip
        stage.calm()
    stage.clock.until(datetime(2026, 11, 24, 10, 25, tzinfo=UTC))
    stage.edit("configmaps/postcards/frames", lambda body: body["data"].update({"frames.txt": "plain\noak\nbirch\n"}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 24, 15, 51, tzinfo=UTC))
    stage.kubectl("set", "image", "deployment/stamps", "stamps=registry.example.com/postcards/stamps:6.3.1", "-n", "postcards")  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 24, 20, 10, tzinfo=UTC))
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=164)


def _logs(stage: Stage) -> None:
    stage.log("postcards/shelf-0", printed(datetime(2026, 11, 22, 19, 40, 16, tzinfo=UTC), [
        "1:C <%d %b %Y %H:%M:%S.%3> # WARNING Memory overcommit must be enabled! Without it, a background save or replication may fail under low memory condition.",
        "1:C <%d %b %Y %H:%M:%S.%3> * Redis version=8.2.3, bits=64, commit=00000000, modified=1, pid=1, just started",
        "1:M <%d %b %Y %H:%M:%S.%3> * Server initialized",
        "1:M <%d %b %Y %H:%M:%S.%3> * Ready to accept connections tcp",
    ], every_s=0.2), container="redis")  # fmt: skip
    chatter(stage, "postcards/shelf-0", ['time="<%Y-%m-%dT%H:%M:%SZ>" level=debug msg="scrape done"', 'time="<%Y-%m-%dT%H:%M:%SZ>" level=warning msg="slowlog is empty, err: redigo: nil returned"'], count=12, minutes=60, container="exporter")  # fmt: skip
    chatter(stage, "postcards/orders-queue-0", ["1:M <%d %b %Y %H:%M:%S.%3> * 100 changes in 300 seconds. Saving...", "1:M <%d %b %Y %H:%M:%S.%3> * Background saving terminated with success"], count=12, minutes=60, container="redis")  # fmt: skip
    chatter(stage, "postcards/orders-queue-0", ['time="<%Y-%m-%dT%H:%M:%SZ>" level=debug msg="scrape done"'], count=6, minutes=60, container="exporter")  # fmt: skip
    chatter(stage, "postcards/stamps", [
        "INFO  stamps: GET /s/<100000-999999>.webp 200 <2-6>ms shelf=hit",
        "INFO  stamps: GET /s/<100000-999999>.webp 200 <2-6>ms shelf=hit",
        "INFO  stamps: GET /s/<100000-999999>.webp 200 <40-110>ms shelf=miss, made and put there",
        "WARN  stamps: GET /s/<100000-999999>.webp 404 <3-9>ms, no such print",
    ], count=60, minutes=60)  # fmt: skip
    chatter(stage, "postcards/prints", ["INFO  prints: GET /p/<100000-999999> 200 <20-80>ms", "WARN  prints: colour profile of <100000-999999> is broken, error ignored, sRGB taken"], count=30, minutes=60)  # fmt: skip
    chatter(stage, "postcards/counter", ["INFO  counter: order <10000-99999> queued", "INFO  counter: order <10000-99999> taken by press <1-4>"], minutes=60)  # fmt: skip
    chatter(stage, "kiosk/screens", ["GET /cards 200 <10-40>ms", "POST /orders 201 <20-60>ms"], count=40, minutes=60)  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every half an hour for fourteen days; the cache began empty 48 hours and a half ago."""
    count, since, step = 14 * 48, 97, 1800
    before = count - since
    job: Body = {"namespace": "postcards", "job": "redis"}
    shelf: Body = {**job, "pod": "shelf-0", "instance": "shelf-0.shelf.postcards.svc:9121"}
    queue: Body = {**job, "pod": "orders-queue-0", "instance": "orders-queue-0.orders-queue.postcards.svc:9121"}  # fmt: skip
    most = 400 * 2.0**20
    full = [min(v, most) for v in about(0.998 * most, before, noise=0.002, of="full")]
    # It fills fast at first, and slower the more it has.
    filling = [*slope(0.02 * most, 0.55 * most, 30), *slope(0.56 * most, 0.8 * most, 35), *slope(0.803 * most, 0.9214 * most, 32, noise=0.001)]  # fmt: skip
    stage.metric("used", "redis_memory_used_bytes", [(shelf, [*full, *filling]), (queue, about(31 * 2.0**20, count, noise=0.2))], step_s=step)  # fmt: skip
    stage.metric("most", "redis_memory_max_bytes", [(shelf, [most] * count), (queue, [256 * 2.0**20] * count)], step_s=step)  # fmt: skip
    stage.metric("evicted", "rate(redis_evicted_keys_total[5m])", [(shelf, [*about(5.8, before, noise=0.4, of="evicted"), *[0.0] * since]), (queue, [0.0] * count)], step_s=step)  # fmt: skip
    stage.metric("found", "rate(redis_keyspace_hits_total[5m]) / (rate(redis_keyspace_hits_total[5m]) + rate(redis_keyspace_misses_total[5m]))", [
        (shelf, [*about(0.91, before, noise=0.01, of="found"), *slope(0.2, 0.88, 20), *about(0.905, since - 20, noise=0.01, of="found again")]),
    ], step_s=step)  # fmt: skip
    stage.metric("refused-commands", "sum by (namespace, job, pod, instance, err) (rate(redis_errors_total[5m]))", [({**shelf, "err": "OOM"}, [0.0] * count), ({**queue, "err": "OOM"}, [0.0] * count)], step_s=step)  # fmt: skip
    stage.metric("rejected-connections", "increase(redis_rejected_connections_total[5m])", [(shelf, [0.0] * count), (queue, [0.0] * count)], step_s=step)  # fmt: skip
    stage.metric("container-memory", 'container_memory_working_set_bytes{namespace="postcards",container="redis"}', [
        ({"namespace": "postcards", "pod": "shelf-0", "container": "redis"}, [*about(471 * 2.0**20, before, noise=0.01), *(40 * 2.0**20 + 1.07 * v for v in filling)]),
        ({"namespace": "postcards", "pod": "orders-queue-0", "container": "redis"}, about(52 * 2.0**20, count, noise=0.1)),
    ], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "postcards", "service": "stamps"}, about(0.0003, count, noise=0.9)), ({"namespace": "kiosk", "service": "screens"}, about(0.0004, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
    stage.metric("p99", 'histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket[5m])))', [
        ({"namespace": "postcards", "service": "stamps"}, [*about(0.104, before, noise=0.1), *slope(0.19, 0.108, 20, noise=0.03), *about(0.104, since - 20, noise=0.1, of="since")]),
    ], step_s=step)  # fmt: skip
