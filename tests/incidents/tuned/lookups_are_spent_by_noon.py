"""A provider's daily quota is spent by a nightly job whose settings were widened two days ago; callers are refused by noon."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.incidents.curves import about, slope, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.runs import cron_job, start
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, from_secret, secret, service, system

INCIDENT = Incident(
    title="A contact tidy-up looks every address up again and spends the day's lookups that orders need",
    half=Half.tuned,
    story=(
        "Two days ago somebody set the tidy-up's scope from changed to all. Each night it looks up a million addresses with the key"
        " that the address service uses too. Since the quota of the day is used up the provider answers 429, orders cannot be"
        " placed, and the storefront in another namespace burns its error budget. Nothing restarts."
    ),
    sources=[
        "https://cloud.google.com/docs/quotas/troubleshoot",
        "https://developers.google.com/maps/documentation/address-validation/usage-and-billing",
        "https://sre.google/workbook/alerting-on-slos/",
    ],
    labels={
        "alertname": "ErrorBudgetBurn",
        "namespace": "shop",
        "service": "storefront",
        "slo": "storefront-availability",
        "long": "1h",
        "short": "5m",
        "severity": "critical",
    },
    annotations={"summary": "storefront burns its 30 days' error budget 14.4 times too fast."},
    causes=["ConfigMap/parcels/tidy-settings", "CronJob/parcels/contact-tidy"],
    says=[["quota", "429", "lookups"], ["scope", "contact-tidy", "tidy"]],
    innocent=["Deployment/shop/storefront", "Service/shop/storefront", "Deployment/shop/orders", "Service/shop/orders"],
    traits=frozenset({Trait.innocent, Trait.metrics_only}),
)  # fmt: skip

SETTINGS = """\
source: contacts
scope: changed
parallel: 24
lookup:
  url: https://lookup.partner.example/v3/addresses
  timeout: 4s
out: contacts_clean
"""
HOST = "lookup.partner.example"


def play(stage: Stage) -> None:
    mounted = {"volumes": [{"name": "settings", "configMap": {"name": "tidy-settings"}}]}
    key = from_secret("lookup-key", "token")
    stage.apply(system())
    stage.apply([
        secret("parcels/lookup-key", {"token": "lk-4411-a9c2"}),
        config_map("parcels/tidy-settings", {"tidy.yaml": SETTINGS}),
        config_map("parcels/address-formats", {"formats.json": '{"DE": "street number, zip city", "FR": "number street, zip city"}'}),
        deployment("parcels/addresses", container("addresses", "parcels/addresses:4.6.0", port=8080, ready="/readyz", alive="/livez",
                                                  env={"LOOKUP_URL": f"https://{HOST}/v3/addresses", "LOOKUP_TOKEN": key}, mounts={"formats": "/etc/formats"}),
                   replicas=3, pod={"volumes": [{"name": "formats", "configMap": {"name": "address-formats"}}]}),
        service("parcels/addresses", 80, 8080),
        cron_job("parcels/contact-tidy", "40 1 * * *", container("tidy", "parcels/tidy:2.0.4", memory=("256Mi", "1Gi"),
                 env={"LOOKUP_TOKEN": key}, mounts={"settings": "/etc/tidy"}, args=["--config=/etc/tidy/tidy.yaml"]), pod=mounted),
        deployment("parcels/tracking", container("tracking", "parcels/tracking:8.1.2", port=8080, ready="/readyz")),
        service("parcels/tracking", 80, 8080),
        deployment("shop/orders", container("orders", "shop/orders:9.14.3", port=8080, ready="/ready", alive="/alive", memory=("512Mi", "1Gi"),
                                            env={"ADDRESSES_URL": "http://addresses.parcels.svc.cluster.local", "PAYMENTS_URL": "http://payments.shop.svc.cluster.local"}), replicas=3),
        service("shop/orders", 80, 8080),
        deployment("shop/payments", container("payments", "shop/payments:6.2.0", port=8080, ready="/ready")),
        service("shop/payments", 80, 8080),
        deployment("shop/storefront", container("storefront", "shop/storefront:44.0.1", port=3000, ready="/up",
                                                env={"ORDERS_URL": "http://orders", "TRACKING_URL": "http://tracking.parcels.svc.cluster.local"}), replicas=3),
        service("shop/storefront", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=19, hours=6)

    def everything(body: Body) -> None:
        body["data"]["tidy.yaml"] = SETTINGS.replace("scope: changed", "scope: all")

    stage.edit("configmaps/parcels/tidy-settings", everything)
    stage.wait(days=1, hours=11)
    start(stage, "parcels/contact-tidy")
    stage.calm()
    tidying = stage.now
    stage.wait(hours=10, minutes=12)
    # A routine release of the day; the errors begin later.
    stage.kubectl(
        "set",
        "image",
        "deployment/storefront",
        "storefront=registry.example.com/shop/storefront:44.0.2",
        "-n",
        "shop",
    )
    stage.calm()
    stage.wait(minutes=41)
    spent = stage.now
    stage.wait(minutes=23)
    stage.heartbeat()
    _logs(stage, tidying, spent)
    _metrics(stage)
    stage.fire(minutes_ago=14)


def _logs(stage: Stage, tidying: datetime, spent: datetime) -> None:
    body = (
        '{\\"error\\":{\\"code\\":429,\\"message\\":\\"Quota exceeded for quota metric \'Lookups\' and limit \'Lookups per day\' of service'
        ' \'lookup.partner.example\' for consumer \'project_number:482100377\'.\\",\\"status\\":\\"RESOURCE_EXHAUSTED\\"}}'
    )
    well = 'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="address checked" country=DE verdict=CONFIRMED elapsed=<60-190>ms'
    refused = f'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=ERROR msg="lookup failed" url=https://{HOST}/v3/addresses status=429 body="{body}"'
    for n, pod in enumerate(stage.pods("parcels/addresses")):
        shift = timedelta(seconds=3 * n)
        stage.log(f"parcels/{pod['metadata']['name']}", "\n".join([
            printed(spent - timedelta(minutes=30) + shift, [well] * 40, every_s=44),
            printed(spent + shift, [refused] * 60, every_s=22),
        ]))  # fmt: skip
    stage.log("parcels/contact-tidy", "\n".join([
        printed(tidying + timedelta(seconds=1), [
            'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="tidy begins" config=/etc/tidy/tidy.yaml scope=all contacts=1931204',
        ]),
        printed(tidying + timedelta(minutes=10), ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="looked up" lookups_total=<20000-999999> errors=0'] * 32, every_s=1200),
        printed(spent + timedelta(seconds=5), [
            f'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=WARN msg="lookup refused, waiting" url=https://{HOST}/v3/addresses status=429 retry_in=30s',
        ] * 40, every_s=33),
    ]))  # fmt: skip
    chatter(stage, "shop/orders", [
        "<%Y-%m-%d %H:%M:%S.%3> ERROR [http-nio-8080-exec-<1-9>] c.e.orders.PlaceOrder - order <7000000-7999999> not placed: POST http://addresses.parcels.svc.cluster.local/v1/check answered 502 Bad Gateway: lookup refused (429)",
        "<%Y-%m-%d %H:%M:%S.%3> INFO  [http-nio-8080-exec-<1-9>] c.e.orders.ReadOrder - order <7000000-7999999> read",
    ], count=40, minutes=22)  # fmt: skip
    chatter(stage, "shop/storefront", [
        '{"level":50,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"POST","url":"/order"},"res":{"statusCode":502},"err":{"type":"UpstreamError","message":"POST http://orders/orders answered 502"},"msg":"request errored"}',
        '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"GET","url":"/c/<10-99>"},"res":{"statusCode":200},"responseTime":<18-70>,"msg":"request completed"}',
        '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"GET","url":"/up"},"res":{"statusCode":200},"responseTime":1,"msg":"request completed"}',
    ], count=36, minutes=22)  # fmt: skip
    chatter(
        stage,
        "shop/payments",
        [
            "<%Y-%m-%d %H:%M:%S.%3> INFO  [http-nio-8080-exec-<1-9>] c.e.payments.Authorize - authorized, <80-240> ms"
        ],
        count=12,
        minutes=60,
    )
    chatter(
        stage,
        "parcels/tracking",
        ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="parcel found" elapsed=<3-30>ms'],
    )


def _metrics(stage: Stage) -> None:
    """Every five minutes for twelve hours."""
    count, step = 144, 300
    since = 5
    tidy = stage.pods("parcels/contact-tidy")[0]["metadata"]["name"]
    stage.metric("outgoing", f'sum by (namespace, app, pod, destination) (rate(egress_requests_total{{destination="{HOST}"}}[5m]))', [
        ({"namespace": "parcels", "app": "contact-tidy", "pod": tidy, "destination": HOST}, [*([0.0] * 8), *about(25.2, count - 8 - since), *about(0.8, since)]),
        *(({"namespace": "parcels", "app": "addresses", "pod": pod["metadata"]["name"], "destination": HOST}, about(0.35, count, noise=0.3, of=pod["metadata"]["name"]))
          for pod in stage.pods("parcels/addresses")),
    ], step_s=step)  # fmt: skip
    stage.metric("refused", f'sum by (namespace, app, destination, code) (rate(egress_requests_total{{destination="{HOST}",code="429"}}[5m]))', [
        ({"namespace": "parcels", "app": app, "destination": HOST, "code": "429"}, [*([0.0] * (count - since)), *about(level, since)])
        for app, level in (("addresses", 1.02), ("contact-tidy", 0.8))
    ], step_s=step)  # fmt: skip
    stage.metric("used-today", f'sum by (destination) (increase(egress_requests_total{{destination="{HOST}",code="200"}}[1d]))', [
        ({"destination": HOST}, whole([*slope(61000, 62000, 8, noise=0), *slope(62000, 1000000, count - 8 - since, noise=0), *([1000000.0] * since)])),
    ], step_s=step)  # fmt: skip
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "shop", "service": "storefront"}, [*about(0.0006, count - since, noise=0.8), *about(0.043, since)]),
        ({"namespace": "shop", "service": "orders"}, [*about(0.0008, count - since, noise=0.8), *about(0.41, since)]),
        ({"namespace": "parcels", "service": "addresses"}, [*about(0.001, count - since, noise=0.8), *about(0.998, since, noise=0.001)]),
        ({"namespace": "parcels", "service": "tracking"}, about(0.0004, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
