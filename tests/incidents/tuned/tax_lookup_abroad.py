"""A provider outside answers 503; it is reached through an ExternalName Service, and the alert names its client's client."""

from __future__ import annotations

import json
from datetime import timedelta

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="The tax provider behind an ExternalName Service is down, and checkouts fail two hops away",
    half=Half.tuned,
    story=(
        "api.taxes.partner.example answers 503; quotes can make no offer without it, and checkout answers 500. The"
        " alert's text blames checkout's release of two hours before, which worked for more than an hour."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/services-networking/service/#externalname",
        "https://sre.google/sre-book/addressing-cascading-failures/",
    ],
    labels={
        "alertname": "CheckoutFailureRateHigh",
        "namespace": "market",
        "deployment": "checkout",
        "team": "storefront",
    },
    annotations={
        "summary": "checkout fails more than 10 % of its orders.",
        "description": "In the past this came from a bad release of checkout: roll back to the last image first.",
    },
    causes=["Service/market/tax-rates"],
    says=[["api.taxes.partner.example"], ["503"]],
    innocent=["Deployment/market/checkout", "Deployment/market/quotes"],
    traits=frozenset({Trait.innocent, Trait.false_narrative}),
)


def play(stage: Stage) -> None:
    stage.apply(system())
    stage.apply([
        {
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "tax-rates", "namespace": "market", "labels": {"app": "quotes"}},
            "spec": {"type": "ExternalName", "externalName": "api.taxes.partner.example"},
        },
        config_map("market/quotes-settings", {"TAX_URL": "https://tax-rates.market.svc.cluster.local/v3/rates", "TAX_HOST": "api.taxes.partner.example"}),
        deployment(
            "market/quotes",
            container("quotes", "market/quotes:3.9.1", port=8000, ready="/healthz", alive="/livez", envFrom=[{"configMapRef": {"name": "quotes-settings"}}]),
        ),
        service("market/quotes", 80, 8000),
        deployment(
            "market/checkout",
            container("checkout", "market/checkout:5.3.0", port=8080, ready="/actuator/health/readiness",
                      memory=("512Mi", "768Mi"), env={"QUOTES_URL": "http://quotes.market.svc.cluster.local"}),
            replicas=3,
        ),
        service("market/checkout", 80, 8080),
        stateful_set("market/carts", container("redis", "redis:7.4.1", port=6379, args=["--appendonly", "yes"])),
        service("market/carts", 6379, headless=True),
        deployment("market/catalog", container("catalog", "market/catalog:11.2.0", port=8080, ready="/ready")),
        service("market/catalog", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=34, hours=3)
    stage.kubectl(
        "set",
        "image",
        "deployment/checkout",
        "checkout=registry.example.com/market/checkout:5.3.1",
        "-n",
        "market",
    )
    stage.calm()
    released = stage.now
    stage.wait(minutes=118)
    stage.heartbeat()
    down = stage.ago(minutes=31)
    offer = '{"ts": "<%Y-%m-%dT%H:%M:%S.%3>Z", "level": "INFO", "logger": "quotes.api", "message": "quote made", "cart": "c-<10000-99999>", "ms": <40-130>}'
    refused = json.dumps({
        "ts": "<%Y-%m-%dT%H:%M:%S.%3>Z", "level": "ERROR", "logger": "quotes.tax",
        "message": "tax lookup failed, no quote without it", "url": "https://tax-rates.market.svc.cluster.local/v3/rates?country=DE", "host": "api.taxes.partner.example",
        "error": "requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: https://api.taxes.partner.example/v3/rates?country=DE",
        "retry_after": "3600",
    })  # fmt: skip
    for pod in stage.pods("market/quotes"):
        stage.log(
            f"market/{pod['metadata']['name']}",
            printed(down - timedelta(minutes=40), [offer] * 20, every_s=118) + "\n" + printed(down, [refused] * 30, every_s=60),
        )  # fmt: skip
    done = "<%Y-%m-%d %H:%M:%S,%3> INFO  [http-nio-8080-exec-<1-9>] c.m.checkout.OrderController - order <500000-599999> placed"
    failed = (
        "<%Y-%m-%d %H:%M:%S,%3> ERROR [http-nio-8080-exec-<1-9>] c.m.checkout.OrderController - order not placed\n"
        "org.springframework.web.client.HttpServerErrorException$BadGateway: 502 Bad Gateway on POST request for"
        ' "http://quotes.market.svc.cluster.local/quotes": "{"error":"tax lookup failed"}"\n'
        "\tat org.springframework.web.client.HttpServerErrorException.create(HttpServerErrorException.java:102)\n"
        "\tat c.m.checkout.QuoteClient.quote(QuoteClient.java:58)"
    )
    for pod in stage.pods("market/checkout"):
        stage.log(
            f"market/{pod['metadata']['name']}",
            printed(released, ["<%Y-%m-%d %H:%M:%S,%3> INFO  [main] c.m.checkout.Application - Started Application in 9.4 seconds (process running for 10.1)"])
            + "\n" + printed(released + timedelta(seconds=40), [done] * 30, every_s=170)
            + "\n" + printed(down + timedelta(seconds=3), [failed] * 15, every_s=117),
        )  # fmt: skip
    chatter(stage, "market/carts", [
        "1:M <%d %b %Y %H:%M:%S.%3> * 100 changes in 300 seconds. Saving...",
        "1:M <%d %b %Y %H:%M:%S.%3> * Background saving terminated with success",
    ], count=12, minutes=30)  # fmt: skip
    chatter(
        stage,
        "market/catalog",
        [
            "ts=<%Y-%m-%dT%H:%M:%S.%3>Z level=info msg=request method=GET path=/items/<100-999> status=200 ms=<3-19>"
        ],
    )
    stage.metric(
        "checkout_failures_ratio", 'sum(rate(orders_total{namespace="market",outcome="failed"}[5m])) / sum(rate(orders_total{namespace="market"}[5m]))',
        [({"namespace": "market"}, [*[0.004, 0.006, 0.005] * 15, 0.2, 0.55, 0.8, *[0.97, 0.96, 0.98, 0.97] * 7])],
    )  # fmt: skip
    stage.fire(minutes_ago=22)
