"""Every pod of a release is ready, and one route of it answers with errors: the error budget burns."""

from __future__ import annotations

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, from_secret, secret, service, system

INCIDENT = Incident(
    title="Release 2.18.0 of the payment API answers refunds with errors and burns the error budget",
    half=Half.tuned,
    story="The release passes its probes, which ask no more than whether the program is up. Refunds are a twelfth of the requests, and all of them fail since.",
    sources=[
        "https://sre.google/workbook/alerting-on-slos/",
        "https://sre.google/sre-book/service-level-objectives/",
        "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-back-a-deployment",
    ],
    labels={
        "alertname": "ErrorBudgetBurn",
        "severity": "critical",
        "namespace": "settlement",
        "service": "payments",
        "slo": "requests-availability",
        "long_window": "1h",
        "short_window": "5m",
    },
    annotations={"summary": "payments burns its 99.9 % budget more than 14.4 times too fast."},
    causes=["Deployment/settlement/payments"],
    says=[["2.18.0"], ["5xx", "500", "error"]],
    traits=frozenset({Trait.metrics_only}),
)

PAST, SINCE = 60, 24
ROUTES = {"/v1/charges": 118.0, "/v1/refunds": 11.0, "/v1/balances": 6.5}


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        secret("settlement/payments-db", {"password": "example"}),
        deployment(
            "settlement/payments",
            container("payments", "settlement/payments:2.17.3", port=8080, ready="/ready", alive="/alive",
                      env={"DB_HOST": "payments-db.settlement.svc", "DB_PASSWORD": from_secret("payments-db", "password")}),
            replicas=4,
        ),
        service("settlement/payments", 8080),
        deployment("settlement/statements", container("statements", "settlement/statements:5.0.1", port=8080, ready="/ready")),
        service("settlement/statements", 8080),
        deployment("settlement/webhooks", container("webhooks", "settlement/webhooks:1.12.0", port=8080, ready="/ready"), replicas=3),
        service("settlement/webhooks", 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=16, hours=3)
    stage.kubectl(
        "set", "image", "deployment/payments", "payments=registry.example.com/settlement/payments:2.18.0",
        "-n", "settlement",
    )  # fmt: skip
    stage.calm()
    stage.wait(minutes=SINCE)
    fails = 'level=error msg="request failed" route=/v1/refunds status=500 err="json: cannot unmarshal string into Go struct field Refund.amount of type int64" took=<3-9>ms'
    chatter(stage, "settlement/payments", [
        'level=info msg="request" route=/v1/charges status=201 took=<40-120>ms',
        'level=info msg="request" route=/v1/charges status=201 took=<40-120>ms',
        fails,
        'level=info msg="request" route=/v1/balances status=200 took=<8-20>ms',
    ], count=40)  # fmt: skip
    chatter(stage, "settlement/statements", ['level=info msg="statement made" pages=<1-14>'])
    chatter(stage, "settlement/webhooks", ['level=info msg="delivered" attempt=1 took=<60-300>ms'])
    _metrics(stage)
    stage.fire(minutes_ago=11)


def _metrics(stage: Stage) -> None:
    count = PAST + SINCE
    rates = []
    for route, rate in ROUTES.items():
        labels = {"namespace": "settlement", "service": "payments", "route": route}
        broken = route == "/v1/refunds"
        good = [
            *about(rate, PAST, of=route),
            *(about(rate, SINCE, of=route) if not broken else [0.0] * SINCE),
        ]
        bad = [
            *about(rate * 0.0002, PAST, of=route),
            *about(rate if broken else rate * 0.0002, SINCE, of=route),
        ]
        rates += [
            ({**labels, "code": "201" if route == "/v1/charges" else "200"}, good),
            ({**labels, "code": "500"}, bad),
        ]
    stage.metric(
        "requests", 'sum by (namespace, service, route, code) (rate(http_requests_total{namespace="settlement",service="payments"}[5m]))', rates
    )  # fmt: skip
    share = ROUTES["/v1/refunds"] / sum(ROUTES.values())
    stage.metric("error-ratio", "slo:sli_error:ratio_rate5m", [
        ({"namespace": "settlement", "service": "payments", "slo": "requests-availability"},
         [*about(0.0002, PAST), *about(share, SINCE)]),
    ])  # fmt: skip
    stage.metric("available", 'kube_deployment_status_replicas_available{namespace="settlement"}', [
        ({"namespace": "settlement", "deployment": name}, [number] * count)
        for name, number in (("payments", 4.0), ("statements", 2.0), ("webhooks", 3.0))
    ])  # fmt: skip
    stage.metric("latency", 'histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket{namespace="settlement"}[5m])))', [
        ({"namespace": "settlement", "service": name}, about(level, count, of=name))
        for name, level in (("payments", 0.21), ("statements", 0.6), ("webhooks", 0.34))
    ])  # fmt: skip
