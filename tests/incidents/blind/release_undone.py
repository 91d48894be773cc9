"""A release answered with errors and was taken back; the alert still looks back over the hour."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="A faulty release was undone before anybody looked",
    half=Half.blind,
    story="quote-api 3.0.0 is rolled out, starts well and answers every fourth request with 500. Its owner undoes the "
    "rollout a quarter of an hour later. The budget alert has an hour's window and fires on.",
    sources=[
        "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-back-a-deployment",
        "https://sre.google/workbook/alerting-on-slos/",
    ],
    labels={
        "alertname": "ErrorBudgetBurn",
        "namespace": "insurance",
        "service": "quote-api",
        "deployment": "quote-api",
        "long": "1h",
        "severity": "critical",
    },
    annotations={
        "summary": "quote-api burns its error budget",
        "description": "insurance/quote-api has used 2% of its 30 days' error budget within the last hour.",
    },
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip


def play(stage: Stage) -> None:
    api = container(
        "api", "insurance/quote-api:2.41.0", port=8080, ready="/actuator/health/readiness", memory=("768Mi", "1Gi"),
        env={"TARIFF_FILE": "/etc/tariffs/tariffs.yaml"}, mounts={"tariffs": "/etc/tariffs"},
    )  # fmt: skip
    stage.apply([
        *system(),
        config_map("insurance/tariffs", {"tariffs.yaml": "home: 0.0021\nbike: 0.034\nphone: 0.051\n"}),
        deployment("insurance/quote-api", api, replicas=4, pod={"volumes": [{"name": "tariffs", "configMap": {"name": "tariffs"}}]}),
        service("insurance/quote-api", 80, 8080),
        deployment("insurance/policy-web", container("web", "insurance/policy-web:512", port=3000, ready="/up")),
        service("insurance/policy-web", 80, 3000),
        stateful_set("insurance/policy-db", container("mariadb", "library/mariadb:11.8.3", port=3306, memory=("512Mi", "1Gi"))),
        service("insurance/policy-db", 3306, headless=True),
        deployment("documents/pdf", container("pdf", "documents/pdf:4.2", port=8080, ready="/health")),
        service("documents/pdf", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=18, hours=2)
    stage.kubectl("set", "image", "deployment/quote-api", "api=registry.example.com/insurance/quote-api:3.0.0", "-n", "insurance")  # fmt: skip
    stage.calm()
    stage.wait(minutes=15)
    stage.kubectl("rollout", "undo", "deployment/quote-api", "-n", "insurance")
    stage.calm()
    stage.wait(minutes=14)
    chatter(stage, "insurance/quote-api", [
        "<%Y-%m-%dT%H:%M:%S.%3Z>  INFO 1 --- [quote-api] [nio-8080-exec-<1-9>] c.e.quote.QuoteController                : quoted product=home premium=<10-90>.<10-99>",
        "<%Y-%m-%dT%H:%M:%S.%3Z>  INFO 1 --- [quote-api] [nio-8080-exec-<1-9>] c.e.quote.QuoteController                : quoted product=bike premium=<10-90>.<10-99>",
    ], count=26, minutes=13)  # fmt: skip
    chatter(stage, "insurance/policy-web", [
        '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3Z>","pid":7,"req":{"method":"POST","url":"/quotes"},"res":{"statusCode":201},"responseTime":<40-140>,"msg":"request completed"}',
    ], count=20, minutes=12)  # fmt: skip
    chatter(stage, "documents/pdf", ["<%Y/%m/%d %H:%M:%S> rendered policy-<10000-99999>.pdf pages=<2-9> in <120-800>ms"])  # fmt: skip
    stage.metric("quote-api-status", 'sum by (code) (rate(http_requests_total{namespace="insurance",service="quote-api"}[2m]))', [
        ({"code": "200"}, [41, 42, 40, 41, 39, 33, 31, 30, 31, 30, 32, 31, 36, 41, 42, 40, 41, 42, 41, 40]),
        ({"code": "500"}, [0, 0, 0, 0, 2.1, 9.3, 10.2, 10.4, 10.1, 10.6, 10.2, 9.8, 4.4, 0, 0, 0, 0, 0, 0, 0]),
    ], step_s=120)  # fmt: skip
    stage.heartbeat()
    stage.fire(minutes_ago=21)
