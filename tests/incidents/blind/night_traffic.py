"""An alert about falling traffic in the small hours: it falls so every night."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import (
    container,
    daemon_set,
    deployment,
    from_secret,
    secret,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="A new rule takes the night for an outage",
    half=Half.blind,
    story="A rule compares the request rate with that of six hours before. At two in the morning it fires for a shop "
    "whose customers sleep. Nothing was changed for weeks, every pod is ready, no request fails.",
    sources=[
        "https://sre.google/sre-book/monitoring-distributed-systems/",
        "https://prometheus.io/docs/practices/alerting/",
    ],
    labels={
        "alertname": "RequestRateDropped",
        "namespace": "tickets",
        "service": "ticket-api",
        "deployment": "ticket-api",
        "severity": "warning",
    },
    annotations={
        "summary": "ticket-api gets far fewer requests than before",
        "description": "The request rate of tickets/ticket-api is below 20% of what it was 6 hours ago.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip

DAY = (9, 6, 5, 5, 7, 14, 31, 58, 80, 92, 97, 101, 99, 96, 94, 97, 104, 118, 131, 126, 103, 71, 40, 19)
"""Requests a second by the hour."""


def play(stage: Stage) -> None:
    api = container(
        "api", "tickets/ticket-api:6.3.0", port=8080, ready="/readyz", alive="/livez",
        env={"DB_PASSWORD": from_secret("ticket-db", "password"), "DB_HOST": "ticket-db.tickets.svc"},
    )  # fmt: skip
    stage.apply([
        *system(),
        secret("tickets/ticket-db", {"password": "fixture"}),
        deployment("tickets/ticket-api", api, replicas=4),
        service("tickets/ticket-api", 80, 8080),
        stateful_set("tickets/ticket-db", container("postgres", "library/postgres:17.6", port=5432, memory=("1Gi", "2Gi")), claims={"data": ("kwok-volume", "50Gi")}),
        service("tickets/ticket-db", 5432, headless=True),
        deployment("web/site", container("site", "web/site:2026.43", port=3000, ready="/"), replicas=3),
        service("web/site", 80, 3000),
        daemon_set("observability/node-exporter", container("node-exporter", "prometheus/node-exporter:v1.10.2", port=9100, memory=("32Mi", "64Mi"))),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=5)
    stage.kubectl("set", "image", "deployment/ticket-api", "api=registry.example.com/tickets/ticket-api:6.3.1", "-n", "tickets")  # fmt: skip
    stage.calm()
    stage.wait(days=9)
    stage.recovered(
        f"web/{stage.pods('web/site')[0]['metadata']['name']}",
        restarts=1,
        code=137,
        reason="Error",
        lived_s=86400 * 3,
    )
    stage.wait(days=27, hours=17, minutes=6)
    chatter(stage, "tickets/ticket-api", [
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3Z>","msg":"request","method":"GET","path":"/v1/events/<1000-9999>","status":200,"ms":<4-22>}',
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3Z>","msg":"request","method":"GET","path":"/v1/tickets/<100000-999999>","status":200,"ms":<4-22>}',
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3Z>","msg":"request","method":"GET","path":"/readyz","status":200,"ms":1}',
    ], count=30)  # fmt: skip
    chatter(stage, "tickets/ticket-db", [
        "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time",
        "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint complete: wrote <40-90> buffers (0.0%); 0 WAL file(s) added, 0 removed, 0 recycled",
    ], count=8)  # fmt: skip
    chatter(stage, "web/site", [
        '10.20.0.4<0-9> - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /event/<1000-9999> HTTP/2.0" 200 <12000-30000> "-" "Mozilla/5.0"',
    ])  # fmt: skip
    hour = stage.now.hour
    hours = [(hour - 95 + n) % 24 for n in range(96)]
    stage.metric(
        "ticket-api-rate",
        'sum(rate(http_requests_total{namespace="tickets",service="ticket-api"}[5m]))',
        [({"service": "ticket-api"}, [DAY[h] * (1 + ((n * 7) % 11 - 5) / 100) for n, h in enumerate(hours)])],
        step_s=3600,
    )
    stage.metric(
        "ticket-api-errors",
        'sum(rate(http_requests_total{namespace="tickets",service="ticket-api",code=~"5.."}[5m]))',
        [({"service": "ticket-api"}, [0.0] * 60)],
    )
    stage.heartbeat()
    stage.fire(minutes_ago=8)
