"""Prometheus selects monitors by a label that most of them do not have; an absent() rule says a healthy program is down."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.incidents.curves import about, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, daemon_set, deployment, service, stateful_set, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="An upgrade of the monitoring chart lets Prometheus select labelled monitors only, and points seems to be down",
    half=Half.tuned,
    story=(
        "The chart's new values leave serviceMonitorSelectorNilUsesHelmValues at its default, so the Prometheus resource"
        " asks for monitors with release=kps. Monitors of other teams have no such label and are dropped without a word."
        " The rule on absent(up{job=\"points\"}) fires; its text blames the release of points an hour ago, which is well."
    ),
    sources=[
        "https://prometheus-operator.dev/docs/platform/troubleshooting/",
        "https://github.com/prometheus-community/helm-charts/blob/main/charts/kube-prometheus-stack/values.yaml",
        "https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PrometheusSpec",
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#absent",
    ],
    labels={"alertname": "PointsDown", "job": "points", "namespace": "loyalty", "severity": "critical", "team": "loyalty"},
    annotations={
        "summary": "points is down",
        "description": "No instance of points answers. Usually its last release is to blame: roll back deployment/points.",
    },
    causes=["Prometheus/monitoring/kps", "ServiceMonitor/loyalty/points"],
    says=[["serviceMonitorSelector", "selector", "selects"], ["release"]],
    innocent=["Deployment/loyalty/points", "Service/loyalty/points", "{pod:loyalty/points}"],
    traits=frozenset({Trait.innocent, Trait.false_narrative, Trait.metrics_only}),
    authored=["prometheus-operator resources", "prometheus-operator status"],
)  # fmt: skip

GROUP = "monitoring.coreos.com"
APPS = (("loyalty", "points"), ("loyalty", "vouchers"), ("tills", "register"), ("tills", "receipts"))


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1", "Prometheus", "prometheuses")
    stage.crd(GROUP, "v1", "ServiceMonitor", "servicemonitors")
    stage.crd(GROUP, "v1", "PrometheusRule", "prometheusrules")
    stage.apply([
        *system(),
        {"apiVersion": f"{GROUP}/v1", "kind": "Prometheus", "metadata": {"name": "kps", "namespace": "monitoring", "labels": {"release": "kps"}}, "spec": {
            "replicas": 2, "version": "v3.6.0", "serviceMonitorSelector": {}, "serviceMonitorNamespaceSelector": {}, "ruleSelector": {}, "ruleNamespaceSelector": {}, "retention": "15d"}},
        *(_monitor("monitoring", name, labels={"release": "kps"}) for name in ("kube-state-metrics", "node-exporter", "kps-operator")),
        *(_monitor(*app, labels={"team": app[0]}) for app in APPS),
        {"apiVersion": f"{GROUP}/v1", "kind": "PrometheusRule", "metadata": {"name": "points", "namespace": "loyalty"}, "spec": {"groups": [{"name": "points", "rules": [
            {"alert": "PointsDown", "expr": 'absent(up{job="points",namespace="loyalty"} == 1)', "for": "10m", "labels": {"severity": "critical", "team": "loyalty"}}]}]}},
        deployment("monitoring/kps-operator", container("operator", "prometheus-operator/operator:v0.86.1", port=8080), replicas=1),
        deployment("monitoring/kube-state-metrics", container("kube-state-metrics", "kube-state-metrics:v2.17.0", port=8080), replicas=1),
        daemon_set("monitoring/node-exporter", container("node-exporter", "prometheus/node-exporter:v1.10.2", port=9100)),
        *(service(f"monitoring/{name}", port) for name, port in (("kps-operator", 8080), ("kube-state-metrics", 8080), ("node-exporter", 9100))),
        *(each for (namespace, name), version in zip(APPS, ("3.3.2", "1.20.0", "9.4.1", "5.5.6"), strict=True) for each in (
            deployment(f"{namespace}/{name}", container(name, f"{namespace}/{name}:{version}", port=8080, ready="/ready", alive="/live")),
            service(f"{namespace}/{name}", 8080))),
    ])  # fmt: skip
    owner = stage.get(f"prometheuses.{GROUP}/monitoring/kps")
    mine = [{"apiVersion": owner["apiVersion"], "kind": "Prometheus", "name": "kps", "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}]  # fmt: skip
    server = container("prometheus", "prometheus/prometheus:v3.6.0", port=9090, memory=("1Gi", "3Gi"), readinessProbe={"httpGet": {"path": "/-/ready", "port": 9090}})  # fmt: skip
    reloader = container("config-reloader", "prometheus-operator/config-reloader:v0.86.1")
    made = [stateful_set("monitoring/prometheus-kps", server, reloader, replicas=2), service("monitoring/prometheus-operated", 9090, selector={"app": "prometheus-kps"}, headless=True)]  # fmt: skip
    for each in made:
        each["metadata"]["ownerReferences"] = mine
    stage.apply(made, manager="PrometheusOperator")
    stage.calm()
    stage.status(f"prometheuses.{GROUP}/monitoring/kps", {
        "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "unavailableReplicas": 0, "paused": False, "shards": 1,
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": stage.stamp(), "observedGeneration": 1} for kind in ("Available", "Reconciled")],
    }, manager="PrometheusOperator")  # fmt: skip
    stage.wait(days=66, hours=3)
    stage.kubectl("set", "image", "deployment/points", "points=registry.example.com/loyalty/points:3.4.0", "-n", "loyalty")  # fmt: skip
    stage.calm()
    stage.wait(minutes=22)

    def labelled(prometheus: Body) -> None:
        prometheus["spec"]["serviceMonitorSelector"] = {"matchLabels": {"release": "kps"}}
        prometheus["spec"]["retention"] = "21d"

    stage.edit(f"prometheuses.{GROUP}/monitoring/kps", labelled, manager="helm")
    changed = stage.now
    stage.wait(minutes=38)
    stage.heartbeat()
    stage.log("monitoring/kps-operator", printed(changed + timedelta(seconds=2), [
        "ts=<%Y-%m-%dT%H:%M:%S.%3>Z level=info caller=/workspace/pkg/prometheus/server/operator.go:814 msg=\"sync prometheus\" component=prometheus-controller key=monitoring/kps",
    ] * 4, every_s=540))  # fmt: skip
    for pod in stage.pods("monitoring/prometheus-kps"):
        place = f"monitoring/{pod['metadata']['name']}"
        stage.log(place, printed(changed + timedelta(seconds=41), [
            'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=main.go:1511 msg="Loading configuration file" filename=/etc/prometheus/config_out/prometheus.env.yaml',
            'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=main.go:1552 msg="Completed loading of configuration file" filename=/etc/prometheus/config_out/prometheus.env.yaml totalDuration=<60-99>.4ms',
        ]))  # fmt: skip
        stage.log(place, printed(changed + timedelta(seconds=40), [
            "ts=<%Y-%m-%dT%H:%M:%S.%3>Z level=info caller=reloader.go:548 msg=\"Reload triggered\" cfg_in=/etc/prometheus/config/prometheus.yaml.gz cfg_out=/etc/prometheus/config_out/prometheus.env.yaml cfg_dirs= watched_dirs=/etc/prometheus/rules/prometheus-kps-rulefiles-0",
        ]), container="config-reloader")  # fmt: skip
    chatter(stage, "loyalty/points", [
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"points credited","customer":<10000-99999>,"points":<5-90>,"ms":<4-15>}',
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"request","path":"/v1/balance","status":200,"ms":<2-9>}',
    ], count=40)  # fmt: skip
    chatter(stage, "loyalty/vouchers", ['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"voucher checked","status":200,"ms":<2-9>}'])  # fmt: skip
    chatter(stage, "tills/register", ['<%Y-%m-%d %H:%M:%S,%3> INFO tills.register credited points for receipt <100000-999999>, 200 in <9-30> ms'])  # fmt: skip
    stage.metric("targets", "sum by (prometheus) (scrape_samples_scraped > bool 0)", [
        ({"prometheus": "monitoring/kps"}, whole([*about(43, 30, noise=0.01, of="a"), *about(21, 38, noise=0.01, of="b")])),
    ])  # fmt: skip
    stage.metric("points_requests_at_gateway", 'sum by (code) (rate(gateway_requests_total{upstream="loyalty/points"}[5m]))', [
        ({"upstream": "loyalty/points", "code": "200"}, about(61, 68, of="ok")),
        ({"upstream": "loyalty/points", "code": "503"}, [0.0] * 68),
    ])  # fmt: skip
    stage.metric("points_absent", 'absent(up{job="points",namespace="loyalty"} == 1)', [({"job": "points", "namespace": "loyalty"}, [1.0] * 37)])  # fmt: skip
    stage.fire(minutes_ago=26)


def _monitor(namespace: str, name: str, *, labels: dict[str, str]) -> Body:
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "ServiceMonitor", "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"selector": {"matchLabels": {"app": name}}, "endpoints": [{"port": "main", "path": "/metrics", "interval": "30s"}]},
    }  # fmt: skip
