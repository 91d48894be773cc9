"""A service two calls behind the alerting one uses up its CPU limit; nobody's objects show it."""

from __future__ import annotations

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, system

INCIDENT = Incident(
    title="The tax service is throttled at its CPU limit and makes checkouts slow",
    half=Half.tuned,
    story="A sale began and requests doubled. cart calls quote, quote calls tax; tax may use a quarter of a core per pod and is throttled in four of five periods. cart and quote wait, their own CPU has no limit.",
    sources=[
        "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#how-pods-with-resource-limits-are-run",
        "https://docs.kernel.org/scheduler/sched-bwc.html",
        "https://github.com/kubernetes-monitoring/kubernetes-mixin/blob/master/runbook.md#alert-name-cputhrottlinghigh",
    ],
    labels={
        "alertname": "RequestLatencyHigh",
        "severity": "critical",
        "namespace": "basket",
        "service": "cart",
        "job": "cart",
    },
    annotations={"summary": "99th percentile of cart's requests is above 2 s for 10 minutes."},
    causes=["Deployment/basket/tax"],
    says=[["throttl"], ["250m", "0.25"]],
    innocent=["Deployment/basket/cart"],
    traits=frozenset({Trait.innocent, Trait.metrics_only}),
)

NAMES = ("cart", "quote", "tax", "addresses")
PAST, SINCE = 45, 30
"""Minutes before the sale and since."""


def play(stage: Stage) -> None:
    cart = container(
        "cart", "basket/cart:6.2.1", port=8080, ready="/ready", cpu="200m",
        env={"QUOTE_URL": "http://quote.basket.svc:8080", "ADDRESSES_URL": "http://addresses.basket.svc:8080"},
    )  # fmt: skip
    quote = container(
        "quote", "basket/quote:3.0.9", port=8080, ready="/ready", cpu="200m",
        env={"TAX_URL": "http://tax.basket.svc:8080", "TAX_TIMEOUT": "5s"},
    )  # fmt: skip
    tax = container("tax", "basket/tax:2.11.0", port=8080, ready="/ready", alive="/alive")
    tax["resources"] = {
        "requests": {"cpu": "100m", "memory": "192Mi"},
        "limits": {"cpu": "250m", "memory": "384Mi"},
    }
    addresses = container("addresses", "basket/addresses:1.4.4", port=8080, ready="/ready", alive="/alive")
    addresses["resources"] = {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"cpu": "500m", "memory": "256Mi"},
    }
    stage.apply([
        *system(),
        deployment("basket/cart", cart, replicas=3), deployment("basket/quote", quote),
        deployment("basket/tax", tax), deployment("basket/addresses", addresses),
        *(service(f"basket/{name}", 8080) for name in NAMES),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=23, hours=6)
    chatter(stage, "basket/cart", [
        'level=info msg="order priced" lines=<1-9> took=<2100-3900>ms',
        'level=info msg="order priced" lines=<1-9> took=<1800-4200>ms',
        'level=warn msg="slow call" peer=quote path=/v1/price took=<1900-4100>ms',
    ])  # fmt: skip
    chatter(stage, "basket/quote", [
        'level=warn msg="slow call" peer=tax path=/v1/rates took=<1700-3900>ms',
        'level=info msg="price made" currency=EUR took=<1800-4000>ms',
    ])  # fmt: skip
    chatter(stage, "basket/tax", ['level=info msg="rates worked out" rules=<40-90>'])
    chatter(stage, "basket/addresses", ['level=info msg="address found" took=<3-9>ms'])
    _metrics(stage)
    stage.fire(minutes_ago=8)


def _metrics(stage: Stage) -> None:
    """An hour and a quarter at one value a minute."""
    calm_and_sale = {
        "cart": (0.11, 0.19),
        "quote": (0.10, 0.17),
        "tax": (0.121, 0.2496),
        "addresses": (0.05, 0.09),
    }
    held_back = {"tax": (0.03, 0.81), "addresses": (0.0, 0.004)}
    memory = {"cart": 1.21e8, "quote": 1.12e8, "tax": 1.84e8, "addresses": 0.92e8}
    used, throttled, working_set = [], [], []
    for name in NAMES:
        for pod in stage.pods(f"basket/{name}-"):
            labels = {"namespace": "basket", "pod": pod["metadata"]["name"], "container": name}
            before, now = calm_and_sale[name]
            # A quota is met exactly: what is used stays level there.
            used.append(
                (labels, [*about(before, PAST), *about(now, SINCE, noise=0.002 if name == "tax" else 0.04)])
            )
            working_set.append((labels, about(memory[name], PAST + SINCE, noise=0.02)))
            if name in held_back:
                before, now = held_back[name]
                throttled.append((labels, [*about(before, PAST), *about(now, SINCE)]))
    stage.metric(
        "cpu-usage", 'sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total{namespace="basket"}[5m]))', used
    )  # fmt: skip
    stage.metric(
        "cpu-throttled",
        'sum by (namespace, pod, container) (rate(container_cpu_cfs_throttled_periods_total{namespace="basket"}[5m])) / sum by (namespace, pod, container) (rate(container_cpu_cfs_periods_total{namespace="basket"}[5m]))',
        throttled,
    )  # fmt: skip
    stage.metric(
        "memory", 'container_memory_working_set_bytes{namespace="basket",container!=""}', working_set
    )
    slow = {"cart": (0.24, 3.9), "quote": (0.18, 3.7), "tax": (0.09, 3.5), "addresses": (0.012, 0.014)}
    asked = {"cart": (62, 131), "quote": (61, 129), "tax": (61, 128), "addresses": (30, 64)}
    for metric, query, levels in (
        ("latency", 'histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket{namespace="basket"}[5m])))', slow),
        ("requests", 'sum by (namespace, service) (rate(http_requests_total{namespace="basket"}[5m]))', asked),
    ):  # fmt: skip
        stage.metric(metric, query, [
            ({"namespace": "basket", "service": name},
             [*about(before, PAST, of=name), *slope(before, now, 6, of=name), *about(now, SINCE - 6, of=name)])
            for name, (before, now) in levels.items()
        ])  # fmt: skip
    stage.metric(
        "node-cpu", '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m]))',
        [({"instance": node}, about(0.31, PAST + SINCE, of=node)) for node in stage.kubelets],
    )  # fmt: skip
