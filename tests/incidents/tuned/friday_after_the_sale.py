"""Orders are compared with those of the same hour a week ago, which was the year's greatest sale."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="OrdersBelowLastWeek on the fourth of December: last week's Friday was the sale's, and today's orders are those of any other Friday",
    half=Half.tuned,
    story=(
        "The rule fires when the orders of an hour are less than three fifths of those a week before. A week before, at eight, the yearly sale began and brought more than three times as many."
        " Today brings what the Fridays of the thirteenth and the twentieth brought; of a hundred visits as many end with an order as ever, and payments go through as ever. purchase was released"
        " half an hour before the alert, which changes none of it."
    ),
    sources=[
        "https://prometheus.io/docs/prometheus/latest/querying/basics/#offset-modifier",
        "https://about.gitlab.com/blog/anomaly-detection-using-prometheus/",
        "https://sre.google/workbook/monitoring/",
    ],
    labels={"alertname": "OrdersBelowLastWeek", "severity": "critical", "namespace": "kitchenware", "service": "purchase", "team": "sales"},
    annotations={
        "summary": "Orders are below 60 % of last week's.",
        "description": "purchase took 0.31 orders a second in the last hour, a week ago there were 0.91.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip

RULES = """\
groups:
- name: sales
  rules:
  - alert: OrdersBelowLastWeek
    expr: |
      sum by (namespace, service) (rate(shop_orders_total[1h]))
        < 0.6 * sum by (namespace, service) (rate(shop_orders_total[1h] offset 1w))
    for: 30m
    labels:
      severity: critical
      team: sales
"""

PROMOTIONS = """\
- name: pans-for-two
  from: 2026-11-09T00:00:00Z
  until: 2026-11-15T23:59:59Z
  discount: 10%
- name: black-friday
  from: 2026-11-27T08:00:00Z
  until: 2026-11-30T23:59:59Z
  discount: 35%
"""


def play(stage: Stage) -> None:
    promotions = {"volumes": [{"name": "promotions", "configMap": {"name": "promotions"}}]}
    stage.apply([
        *system(),
        config_map("alerting/sales-rules", {"sales.yaml": RULES}),
        config_map("kitchenware/promotions", {"promotions.yaml": PROMOTIONS.split("- name: black")[0]}),
        deployment("kitchenware/purchase", container("purchase", "kitchenware/purchase:12.4.0", port=8080, ready="/ready", alive="/alive", env={"PAYMENTS_URL": "http://acceptance.kitchenware.svc", "DB_HOST": "sales-db.kitchenware.svc"}), replicas=4), service("kitchenware/purchase", 80, 8080),
        deployment("kitchenware/acceptance", container("acceptance", "kitchenware/acceptance:6.1.1", port=8080, ready="/ready", env={"CARDS_URL": "https://cards.example.net"})), service("kitchenware/acceptance", 80, 8080),
        deployment("kitchenware/offers", container("offers", "kitchenware/offers:3.0.8", port=8080, ready="/ready", mounts={"promotions": "/promotions"}), pod=promotions), service("kitchenware/offers", 80, 8080),
        stateful_set("kitchenware/sales-db", container("postgres", "postgres:17.6", port=5432, cpu="500m", memory=("1Gi", "2Gi"))), service("kitchenware/sales-db", 5432, headless=True),
        deployment("kitchenware/wishes", container("wishes", "kitchenware/wishes:0.8.0", port=8080, ready="/ready"), replicas=0), service("kitchenware/wishes", 80, 8080),
        deployment("web/counter", container("counter", "web/counter:40.3.0", port=3000, ready="/up", env={"PURCHASE_URL": "http://purchase.kitchenware.svc", "OFFERS_URL": "http://offers.kitchenware.svc"}), replicas=4), service("web/counter", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 24, 14, 20, tzinfo=UTC))
    stage.edit("configmaps/kitchenware/promotions", lambda body: body["data"].update({"promotions.yaml": PROMOTIONS}))  # fmt: skip
    stage.restart("deployments/kitchenware/offers")
    stage.calm()
    stage.clock.until(datetime(2026, 11, 26, 16, 2, tzinfo=UTC))
    stage.kubectl("scale", "deployment/purchase", "--replicas=8", "-n", "kitchenware")
    stage.calm()
    stage.clock.until(datetime(2026, 11, 27, 9, 44, tzinfo=UTC))
    stage.recovered(f"kitchenware/{stage.pods('kitchenware/acceptance')[1]['metadata']['name']}", restarts=1, code=137, reason="OOMKilled", lived_s=2000000)  # fmt: skip
    stage.clock.until(datetime(2026, 12, 2, 10, 15, tzinfo=UTC))
    stage.kubectl("scale", "deployment/purchase", "--replicas=4", "-n", "kitchenware")
    stage.calm()
    stage.clock.until(datetime(2026, 12, 4, 8, 17, tzinfo=UTC))
    stage.kubectl("set", "image", "deployment/purchase", "purchase=registry.example.com/kitchenware/purchase:12.4.1", "-n", "kitchenware")  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 12, 4, 9, 30, tzinfo=UTC))
    stage.heartbeat()
    chatter(stage, "kitchenware/purchase", [
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"order taken","order":<1000000-1999999>,"ms":<60-190>}',
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"order taken","order":<1000000-1999999>,"ms":<60-190>}',
        '{"level":"warn","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"basket changed while paying, reckoned again","order":<1000000-1999999>}',
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"payment refused by issuer, customer asked for another card","code":"51"}',
    ], count=48, minutes=60)  # fmt: skip
    chatter(stage, "kitchenware/acceptance", ["INFO  acceptance: authorised <10-300>.00 EUR in <70-160>ms", "WARN  acceptance: issuer declined, code <51-57>", "INFO  acceptance: authorised <10-300>.00 EUR in <70-160>ms"], count=36, minutes=60)  # fmt: skip
    chatter(stage, "kitchenware/offers", ["INFO  offers: GET /offers 200 <2-9>ms", "INFO  offers: no promotion is on"], minutes=60)  # fmt: skip
    chatter(stage, "kitchenware/sales-db", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time", '<%Y-%m-%d %H:%M:%S.%3> UTC [<300-900>] ERROR:  could not serialize access due to concurrent update'], count=10, minutes=60)  # fmt: skip
    chatter(stage, "web/counter", ["GET /pans/<100-999> 200 <20-60>ms", "POST /purchase 201 <90-240>ms", "GET /favicon.png 404 <1-3>ms"], count=36, minutes=60)  # fmt: skip
    _metrics(stage)
    stage.fire(minutes_ago=41)


def _times_as_many(at: datetime) -> float:
    """What the sale makes of a day's usual orders."""
    begun = datetime(2026, 11, 27, 8, tzinfo=UTC)
    if not begun <= at < datetime(2026, 12, 1, tzinfo=UTC):
        return 1.0
    return {4: 3.4, 5: 2.3, 6: 1.9, 0: 2.4}[at.weekday()]


def _usual(at: datetime) -> float:
    """Most orders come in the evening, few in the night, some more on Saturdays and Sundays."""
    hour = at.hour + at.minute / 60
    day = 0.06 + 0.30 * math.exp(-((hour - 10.5) ** 2) / 10) + 0.55 * math.exp(-((hour - 19.5) ** 2) / 12)
    return day * (1.15 if at.weekday() > 4 else 1.0)


def _metrics(stage: Stage) -> None:
    """Every half an hour for 24 days; rates are those of the hour before."""
    count, step = 24 * 48, 1800
    end = stage.now.replace(microsecond=0)
    times = [end - timedelta(seconds=step * (count - 1 - n)) for n in range(count)]
    usual = [_usual(at - timedelta(minutes=30)) for at in times]
    sale = [sum(_times_as_many(at - timedelta(minutes=m)) for m in range(5, 60, 10)) / 6 for at in times]
    noise, other = about(1, count, noise=0.04, of="orders"), about(1, count, noise=0.04, of="visits")
    orders = [1.25 * u * s * n for u, s, n in zip(usual, sale, noise, strict=True)]
    here: Body = {"namespace": "kitchenware", "service": "purchase"}
    stage.metric("orders", "sum by (namespace, service) (rate(shop_orders_total[1h]))", [(here, orders)], step_s=step)  # fmt: skip
    stage.metric("visits", "sum by (namespace, service) (rate(shop_visits_total[1h]))", [
        ({"namespace": "web", "service": "counter"}, [31 * u * s * n for u, s, n in zip(usual, sale, other, strict=True)]),
    ], step_s=step)  # fmt: skip
    stage.metric("payments", 'sum by (namespace, service) (rate(payments_total{result="authorised"}[1h])) / sum by (namespace, service) (rate(payments_total[1h]))', [
        ({"namespace": "kitchenware", "service": "acceptance"}, about(0.957, count, noise=0.006)),
    ], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        (here, about(0.0004, count, noise=0.9)),
        ({"namespace": "web", "service": "counter"}, about(0.0005, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
    stage.metric("p99", "histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket[5m])))", [
        (here, about(0.21, count, noise=0.1)),
        ({"namespace": "web", "service": "counter"}, about(0.28, count, noise=0.1)),
    ], step_s=step)  # fmt: skip
