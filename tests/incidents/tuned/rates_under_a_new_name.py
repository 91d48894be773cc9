"""An alert about the absence of a job that was retired this morning; its successor serves everybody."""

from __future__ import annotations

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="A rule still asks for the targets of rates-v1, which was retired after everybody had moved to rates",
    half=Half.tuned,
    story=(
        "Callers were moved from rates-v1 to rates over two days. When nothing asked it any more, rates-v1 was removed with its Service and"
        " its monitor. The rule about it was forgotten and fires. Nothing has to be repaired in the service."
    ),
    sources=[
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#absent",
        "https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PrometheusRule",
        "https://sre.google/sre-book/monitoring-distributed-systems/",
    ],
    labels={"alertname": "NoTargetUp", "namespace": "treasury", "job": "rates-v1", "severity": "critical"},
    annotations={"summary": "No target of job rates-v1 in treasury is up.", "description": "Prices cannot be converted while rates-v1 is away."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["prometheus-operator objects"],
)  # fmt: skip


def play(stage: Stage) -> None:
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    stage.crd("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors")
    stage.apply(system())
    stage.apply([
        deployment("treasury/rates-v1", container("rates", "treasury/rates:1.44.0", port=8080, ready="/ready")),
        service("treasury/rates-v1", 80, 8080),
        deployment("treasury/rates", container("rates", "treasury/rates:2.1.0", port=8080, ready="/ready", alive="/alive", env={"STORE": "redis://quotes-store:6379"})),
        service("treasury/rates", 80, 8080),
        stateful_set("treasury/quotes-store", container("redis", "redis:8.2.1", port=6379, memory=("256Mi", "512Mi"))),
        service("treasury/quotes-store", 6379, headless=True),
        *(deployment(f"treasury/{name}", container(name, f"treasury/{name}:{version}", port=8080, ready="/ready", env={"RATES_URL": "http://rates-v1.treasury.svc"}))
          for name, version in (("invoices", "7.7.1"), ("travel", "3.0.5"))),
        service("treasury/invoices", 80, 8080),
        service("treasury/travel", 80, 8080),
        deployment("web/till", container("till", "web/till:12.0.0", port=3000, ready="/up", env={"INVOICES_URL": "http://invoices.treasury.svc", "RATES_URL": "http://rates-v1.treasury.svc"}), replicas=3),
        service("web/till", 80, 3000),
        config_map("web/till-texts", {"texts.json": '{"greeting": "Good morning"}'}),
        _monitor("rates-v1"), _monitor("rates"), _monitor("invoices"),
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "targets", "namespace": "monitoring"},
         "spec": {"groups": [{"name": "targets", "rules": [
             {"alert": "NoTargetUp", "expr": f'absent(up{{namespace="treasury", job="{job}"}} == 1)', "for": "5m", "labels": {"severity": "critical"},
              "annotations": {"summary": "No target of job {{ $labels.job }} in {{ $labels.namespace }} is up."}} for job in ("rates-v1", "invoices", "travel")
         ]}]}},
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=33, hours=20)
    for place in ("treasury/invoices", "treasury/travel", "web/till"):
        namespace, name = place.split("/")
        stage.kubectl(
            "set", "env", f"deployment/{name}", "RATES_URL=http://rates.treasury.svc", "-n", namespace
        )
        stage.calm()
        stage.wait(hours=15)
    for what in (
        "servicemonitors/treasury/rates-v1",
        "deployments/treasury/rates-v1",
        "services/treasury/rates-v1",
    ):
        stage.delete(what)
    stage.calm()
    stage.wait(hours=2, minutes=30)
    # Two things of this hour that have nothing to do with it.
    stage.edit(
        "configmaps/web/till-texts",
        lambda body: body["data"].update({"texts.json": '{"greeting": "Good afternoon"}'}),
    )
    stage.kubectl(
        "set",
        "image",
        "deployment/travel",
        "travel=registry.example.com/treasury/travel:3.0.6",
        "-n",
        "treasury",
    )
    stage.calm()
    stage.wait(minutes=31)
    stage.heartbeat()
    chatter(stage, "treasury/rates", [
        "INFO  rates.http GET /rates?base=EUR 200 <2-9>ms",
        "INFO  rates.http GET /rates?base=USD 200 <2-9>ms",
        "INFO  rates.feed 168 quotes taken over, the oldest of <1-4> s ago",
        "WARN  rates.feed quote XAU is older than 60 s, kept",
    ])  # fmt: skip
    chatter(
        stage,
        "treasury/invoices",
        [
            "INFO  invoices - written <10000-99999> total=<100-900>.<10-99> EUR rate=http://rates.treasury.svc",
            "INFO  invoices.http POST /invoices 201 <30-80>ms",
        ],
    )
    chatter(stage, "treasury/travel", ["INFO  travel.http GET /trips/<100-999> 200 <10-30>ms"])
    chatter(
        stage,
        "web/till",
        [
            '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"POST","url":"/pay"},"res":{"statusCode":200},"responseTime":<60-140>,"msg":"request completed"}'
        ],
    )
    chatter(
        stage,
        "treasury/quotes-store",
        [
            "1:M <%d %b %Y %H:%M:%S.%3> * 100 changes in 300 seconds. Saving...",
            "1:M <%d %b %Y %H:%M:%S.%3> * Background saving terminated with success",
        ],
        count=8,
    )
    _metrics(stage)
    stage.fire(minutes_ago=172)


def _monitor(name: str) -> Body:
    return {
        "apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": name, "namespace": "treasury"},
        "spec": {"selector": {"matchLabels": {"app": name}}, "endpoints": [{"port": "main", "path": "/metrics", "interval": "30s"}]},
    }  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every half hour for two days; rates-v1 has no value since three hours."""
    count, since = 96, 6
    here = {"namespace": "treasury"}
    stage.metric("up", 'sum by (namespace, job) (up{namespace="treasury"})', [
        ({**here, "job": "rates"}, [2.0] * count), ({**here, "job": "invoices"}, [2.0] * count),
    ], step_s=1800)  # fmt: skip
    stage.metric("requests", 'sum by (namespace, service) (rate(http_requests_total{namespace="treasury"}[30m]))', [
        ({**here, "service": "rates"}, [*slope(4, 118, count - since - 20), *about(121, 20 + since)]),
        ({**here, "service": "invoices"}, about(16, count, noise=0.2)),
        ({**here, "service": "travel"}, about(3, count, noise=0.3)),
    ], step_s=1800)  # fmt: skip
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[30m])) / sum by (namespace, service) (rate(http_requests_total[30m]))', [
        ({**place, "service": name}, about(0.0004, count, noise=0.9, of=name))
        for place, name in ((here, "rates"), (here, "invoices"), (here, "travel"), ({"namespace": "web"}, "till"))
    ], step_s=1800)  # fmt: skip
