"""A card acquirer is closed for four announced hours; the router of payments knows them and takes the other one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="ProbeFailed of an acquirer in its announced hours on a Sunday night; payments go to the other acquirer until six, as two weeks ago",
    half=Half.tuned,
    story=(
        "fjordpay answers 503 with Retry-After from two to six. Its windows stand in the router's settings since Thursday, and the router sends everything to alppay for that time: as many payments are"
        " authorised as in any Sunday night, refunds that only fjordpay can make wait until six. On the eighth it was the same and ended at six by itself. The probe does not know of windows. The prices of"
        " parcels were edited on Saturday, and tills had a release."
    ),
    sources=[
        "https://github.com/prometheus/blackbox_exporter/blob/master/CONFIGURATION.md",
        "https://samber.github.io/awesome-prometheus-alerts/rules#blackbox",
        "https://www.rfc-editor.org/rfc/rfc9110.html#name-503-service-unavailable",
        "https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.Probe",
    ],
    labels={
        "alertname": "ProbeFailed",
        "severity": "critical",
        "namespace": "cashdesk",
        "job": "probe/cashdesk/acquirers",
        "instance": "https://api.fjordpay.example/v2/health",
    },
    annotations={
        "summary": "Probe of https://api.fjordpay.example/v2/health has failed for ten minutes.",
        "description": "Card payments need this API. HTTP status 503.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["prometheus-operator objects"],
)

MONITORING = "monitoring.coreos.com"

ROUTES = """\
acquirers:
  fjordpay:
    url: https://api.fjordpay.example/v2
    share: 60
    closed:
    - 2026-11-08T02:00:00Z/2026-11-08T06:00:00Z
  alppay:
    url: https://gateway.alppay.example
    share: 40
    closed: []
refunds: same-acquirer
"""

AGAIN = "    - 2026-11-08T02:00:00Z/2026-11-08T06:00:00Z\n"


def play(stage: Stage) -> None:
    for kind, plural in (("PrometheusRule", "prometheusrules"), ("Probe", "probes")):
        stage.crd(MONITORING, "v1", kind, plural)
    stage.apply([
        *system(),
        deployment("probing/blackbox-exporter", container("blackbox-exporter", "prom/blackbox-exporter:v0.27.0", port=9115, ready="/-/healthy", memory=("32Mi", "64Mi"), mounts={"config": "/etc/blackbox_exporter"}, args=["--config.file=/etc/blackbox_exporter/blackbox.yml", "--log.level=debug"]), replicas=1, pod={"volumes": [{"name": "config", "configMap": {"name": "blackbox-modules"}}]}), service("probing/blackbox-exporter", 9115),
        config_map("probing/blackbox-modules", {"blackbox.yml": "modules:\n  http_2xx:\n    prober: http\n    timeout: 5s\n"}),
        {"apiVersion": f"{MONITORING}/v1", "kind": "Probe", "metadata": {"name": "acquirers", "namespace": "cashdesk"}, "spec": {
            "interval": "30s", "module": "http_2xx", "prober": {"url": "blackbox-exporter.probing.svc:9115"},
            "targets": {"staticConfig": {"static": ["https://api.fjordpay.example/v2/health", "https://gateway.alppay.example/status"]}}}},
        {"apiVersion": f"{MONITORING}/v1", "kind": "PrometheusRule", "metadata": {"name": "probes", "namespace": "probing"}, "spec": {"groups": [{"name": "probes", "rules": [
            {"alert": "ProbeFailed", "expr": "probe_success == 0", "for": "10m", "labels": {"severity": "critical"}, "annotations": {"summary": "Probe of {{ $labels.instance }} has failed for ten minutes."}},
            {"alert": "ProbeSlow", "expr": "probe_duration_seconds > 3", "for": "10m", "labels": {"severity": "warning"}},
        ]}]}},
        config_map("cashdesk/routes", {"routes.yaml": ROUTES}),
        deployment("cashdesk/payment-router", container("router", "cashdesk/payment-router:5.7.1", port=8080, ready="/ready", alive="/alive", mounts={"routes": "/etc/router"}, args=["--routes=/etc/router/routes.yaml", "--reload=1m"], env={"REFUNDS": "amqp://refunds.cashdesk.svc:5672"}), replicas=3, pod={"volumes": [{"name": "routes", "configMap": {"name": "routes"}}]}), service("cashdesk/payment-router", 80, 8080),
        stateful_set("cashdesk/refunds", container("rabbitmq", "rabbitmq:4.1.4", port=5672, memory=("256Mi", "512Mi"))), service("cashdesk/refunds", 5672, headless=True),
        deployment("cashdesk/refunder", container("refunder", "cashdesk/refunder:2.2.0", port=8080, ready="/ready", env={"QUEUE": "amqp://refunds.cashdesk.svc:5672", "ROUTER_URL": "http://payment-router.cashdesk.svc"}), replicas=1), service("cashdesk/refunder", 80, 8080),
        deployment("cashdesk/basements", container("basements", "cashdesk/basements:0.2.0", port=8080, ready="/ready"), replicas=0),
        config_map("cashdesk/parcel-prices", {"prices.csv": "s,4.90\nm,6.90\n"}),
        deployment("web/tills", container("tills", "web/tills:18.1.0", port=3000, ready="/up", env={"ROUTER_URL": "http://payment-router.cashdesk.svc"}), replicas=3), service("web/tills", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 19, 13, 26, tzinfo=UTC))
    stage.edit("configmaps/cashdesk/routes", lambda body: body["data"].update({
        "routes.yaml": ROUTES.replace(AGAIN, AGAIN + AGAIN.replace("11-08", "11-22")),
    }))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 20, 9, 50, tzinfo=UTC))
    stage.kubectl("set", "image", "deployment/tills", "tills=registry.example.com/web/tills:18.1.1", "-n", "web")  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 21, 17, 12, tzinfo=UTC))
    stage.edit("configmaps/cashdesk/parcel-prices", lambda body: body["data"].update({"prices.csv": "s,4.90\nm,7.20\n"}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 22, 2, 51, tzinfo=UTC))
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=40)


def _logs(stage: Stage) -> None:
    two = datetime(2026, 11, 22, 2, 0, 0, tzinfo=UTC)
    paid = "<%Y-%m-%dT%H:%M:%S.%3>Z INFO  router: authorised <5-200>.00 EUR by {} in <60-180>ms"
    refused = "<%Y-%m-%dT%H:%M:%S.%3>Z WARN  router: card refused by its issuer, code 05, answered to caller"
    looked = "<%Y-%m-%dT%H:%M:%S.%3>Z INFO  router: fjordpay answers 503 planned-maintenance, Retry-After: Sun, 22 Nov 2026 06:00:00 GMT"
    since = [looked if number in (4, 19, 34) else line for number, line in enumerate([*[paid.format("alppay")] * 3, refused] * 12)]  # fmt: skip
    for n, pod in enumerate(stage.pods("cashdesk/payment-router")):
        before = [paid.format("fjordpay"), paid.format("alppay"), paid.format("fjordpay"), refused]
        stage.log(f"cashdesk/{pod['metadata']['name']}", "\n".join([
            printed(two - timedelta(minutes=24, seconds=-5 * n), before * 6, every_s=58),
            printed(two + timedelta(milliseconds=40 * n), ["<%Y-%m-%dT%H:%M:%S.%3>Z INFO  router: fjordpay closed until 2026-11-22T06:00:00Z, shares are alppay 100"]),
            printed(two + timedelta(seconds=8 + 5 * n), since, every_s=62),
        ]))  # fmt: skip
    stage.log("cashdesk/refunder", printed(two - timedelta(minutes=20), [
        "<%Y-%m-%dT%H:%M:%S.%3>Z INFO  refunder: refund r-<10000-99999> made by fjordpay",
        "<%Y-%m-%dT%H:%M:%S.%3>Z INFO  refunder: refund r-<10000-99999> made by alppay",
    ], every_s=400) + "\n" + printed(two + timedelta(minutes=9), [
        "<%Y-%m-%dT%H:%M:%S.%3>Z INFO  refunder: refund r-<10000-99999> is for fjordpay, put back until 2026-11-22T06:00:00Z",
        "<%Y-%m-%dT%H:%M:%S.%3>Z INFO  refunder: refund r-<10000-99999> made by alppay",
        "<%Y-%m-%dT%H:%M:%S.%3>Z INFO  refunder: refund r-<10000-99999> is for fjordpay, put back until 2026-11-22T06:00:00Z",
    ], every_s=700))  # fmt: skip
    chatter(stage, "cashdesk/refunds", ["<%Y-%m-%d %H:%M:%S.%3>+00:00 [warning] <0.1711.0> closing AMQP connection <0.1711.0> (10.244.0.1:<30000-60000> -> 10.244.1.6:5672): client unexpectedly closed TCP connection"], count=4, minutes=60)  # fmt: skip
    chatter(stage, "web/tills", ["POST /pay 201 <120-260>ms", "GET /basket 200 <10-30>ms", "POST /pay 402 <120-260>ms"], minutes=60)  # fmt: skip
    answered = 'ts=<%Y-%m-%dT%H:%M:%S.%3>Z caller=handler.go:194 module=http_2xx target=https://api.fjordpay.example/v2/health level=debug msg="{}"'
    stage.log("probing/blackbox-exporter", printed(stage.ago(minutes=10), [
        answered.format("Beginning probe"), answered.format("Received HTTP response status_code=503"),
        answered.format("Invalid HTTP response status code, wanted 2xx status_code=503"), answered.format("Probe failed duration_seconds=0.071"),
    ] * 20, every_s=7.5))  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every ten minutes for seventeen days, with the closed hours of the eighth in them."""
    count, step = 17 * 144, 600
    end = stage.now.replace(microsecond=0)
    times = [end - timedelta(seconds=step * (count - 1 - n)) for n in range(count)]
    closed = [at.day in (8, 22) and 2 <= at.hour < 6 for at in times]
    probe: Body = {"namespace": "cashdesk", "job": "probe/cashdesk/acquirers"}
    one, other = {**probe, "instance": "https://api.fjordpay.example/v2/health"}, {**probe, "instance": "https://gateway.alppay.example/status"}  # fmt: skip
    stage.metric("probe_success", 'probe_success{job="probe/cashdesk/acquirers"}', [
        (one, [0.0 if shut else 1.0 for shut in closed]), (other, [1.0] * count),
    ], step_s=step)  # fmt: skip
    stage.metric("probe_status", 'probe_http_status_code{job="probe/cashdesk/acquirers"}', [
        (one, [503.0 if shut else 200.0 for shut in closed]), (other, [200.0] * count),
    ], step_s=step)  # fmt: skip
    night = [0.15 if at.hour < 6 else 1.0 for at in times]
    paid = [9.2 * dark * n for dark, n in zip(night, about(1, count, noise=0.12, of="paid"), strict=True)]
    by: Body = {"namespace": "cashdesk", "service": "payment-router"}
    stage.metric("authorised", 'sum by (namespace, service, acquirer) (rate(payments_total{result="authorised"}[10m]))', [
        ({**by, "acquirer": "fjordpay"}, [0.0 if shut else 0.6 * p for shut, p in zip(closed, paid, strict=True)]),
        ({**by, "acquirer": "alppay"}, [p if shut else 0.4 * p for shut, p in zip(closed, paid, strict=True)]),
    ], step_s=step)  # fmt: skip
    stage.metric("share-authorised", 'sum by (namespace, service) (rate(payments_total{result="authorised"}[10m])) / sum by (namespace, service) (rate(payments_total[10m]))', [
        (by, about(0.951, count, noise=0.01)),
    ], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[10m])) / sum by (namespace, service) (rate(http_requests_total[10m]))', [
        (by, about(0.0003, count, noise=0.9)), ({"namespace": "web", "service": "tills"}, about(0.0004, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
    stage.metric("p99", "histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket[10m])))", [
        (by, about(0.23, count, noise=0.1)),
    ], step_s=step)  # fmt: skip
