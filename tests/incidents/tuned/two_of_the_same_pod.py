"""While kube-state-metrics was replaced, two of it told Prometheus the same things, and rules that join on them could not be reckoned."""

from __future__ import annotations

from datetime import datetime

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import (
    config_map,
    container,
    daemon_set,
    deployment,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="RuleEvaluationsFailed of Prometheus: for a minute two pods of kube-state-metrics were scraped, and joins found two partners; every evaluation since went well",
    half=Half.tuned,
    story=(
        "kube-state-metrics was rolled out from 2.17.0 to 2.18.0. Until the old pod was gone Prometheus scraped both, and rules that join container metrics with kube_pod_info failed twice each:"
        " many-to-many matching. For a quarter of an hour all rules have been reckoned and the recorded series go on after a gap of a minute. The rule looks back over half an hour."
        " node-exporter was restarted for its flags an hour before, a config reload took place in the morning, and somebody's rule of the past week is slow and well."
    ),
    sources=[
        "https://runbooks.prometheus-operator.dev/runbooks/prometheus/prometheusrulefailures/",
        "https://prometheus.io/docs/prometheus/latest/querying/operators/#vector-matching",
        "https://github.com/kubernetes-monitoring/kubernetes-mixin/blob/master/rules/apps.libsonnet",
        "https://github.com/prometheus/prometheus/blob/main/documentation/prometheus-mixin/alerts.libsonnet",
    ],
    labels={
        "alertname": "RuleEvaluationsFailed", "severity": "critical", "namespace": "observe", "job": "prometheus-k8s",
        "pod": "prometheus-k8s-0", "rule_group": "/etc/prometheus/rules/prometheus-k8s-rulefiles-0/observe-containers.yaml;k8s.rules.containers",
    },
    annotations={"summary": "Prometheus is failing rule evaluations.", "description": "Prometheus observe/prometheus-k8s-0 has failed to evaluate 6 rules in the last 30m."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["prometheus-operator objects"],
)  # fmt: skip

MONITORING = "monitoring.coreos.com"
RECORDS = {
    "node_namespace_pod_container:container_cpu_usage_seconds_total:sum_rate5m": "container_cpu_usage_seconds_total",
    "node_namespace_pod_container:container_memory_working_set_bytes": "container_memory_working_set_bytes",
    "node_namespace_pod_container:container_memory_rss": "container_memory_rss",
}


def _expression(metric: str) -> str:
    inner = f"sum by (cluster, namespace, pod, container) (rate({metric}[5m]))" if metric.endswith("total") else metric  # fmt: skip
    return f'{inner} * on (cluster, namespace, pod) group_left(node) max by (cluster, namespace, pod, node, instance) (kube_pod_info{{node!=""}})'


def _rules(name: str, *groups: Body) -> Body:
    return {"apiVersion": f"{MONITORING}/v1", "kind": "PrometheusRule", "metadata": {"name": name, "namespace": "observe", "labels": {"role": "alert-rules"}}, "spec": {"groups": list(groups)}}  # fmt: skip


def play(stage: Stage) -> None:
    for kind, plural in (
        ("Prometheus", "prometheuses"),
        ("PrometheusRule", "prometheusrules"),
        ("ServiceMonitor", "servicemonitors"),
    ):
        stage.crd(MONITORING, "v1", kind, plural)
    stage.apply([
        *system(),
        {"apiVersion": f"{MONITORING}/v1", "kind": "Prometheus", "metadata": {"name": "k8s", "namespace": "observe"}, "spec": {"replicas": 1, "version": "v3.7.3", "evaluationInterval": "30s", "scrapeInterval": "30s", "ruleSelector": {"matchLabels": {"role": "alert-rules"}}, "serviceMonitorSelector": {}}},
        stateful_set("observe/prometheus-k8s", container("prometheus", "prometheus/prometheus:v3.7.3", port=9090, ready="/-/ready", alive="/-/healthy", cpu="500m", memory=("1Gi", "3Gi"))), service("observe/prometheus-k8s", 9090),
        deployment("observe/prometheus-operator", container("prometheus-operator", "prometheus-operator/prometheus-operator:v0.86.1", port=8080), replicas=1),
        stateful_set("observe/alertmanager-main", container("alertmanager", "prometheus/alertmanager:v0.29.0", port=9093, ready="/-/ready"), replicas=2), service("observe/alertmanager-main", 9093),
        deployment("observe/kube-state-metrics", container("kube-state-metrics", "k8s/kube-state-metrics:v2.17.0", port=8080, ready="/readyz", alive="/livez"), replicas=1), service("observe/kube-state-metrics", 8080),
        daemon_set("observe/node-exporter", container("node-exporter", "prometheus/node-exporter:v1.10.2", ports=[{"name": "main", "containerPort": 9100}], args=["--path.rootfs=/host/root"]), pod={"tolerations": [{"operator": "Exists"}]}), service("observe/node-exporter", 9100),
        *(
            {"apiVersion": f"{MONITORING}/v1", "kind": "ServiceMonitor", "metadata": {"name": name, "namespace": "observe"}, "spec": {"selector": {"matchLabels": {"app": name}}, "endpoints": [{"port": "main", "honorLabels": name == "kube-state-metrics"}]}}
            for name in ("kube-state-metrics", "node-exporter")
        ),
        _rules("containers", {"name": "k8s.rules.containers", "rules": [{"record": record, "expr": _expression(metric)} for record, metric in RECORDS.items()]}),
        _rules(
            "prometheus",
            {"name": "prometheus", "rules": [
                {"alert": "RuleEvaluationsFailed", "expr": 'sum by (namespace, job, pod, rule_group) (increase(prometheus_rule_evaluation_failures_total{job="prometheus-k8s"}[30m])) > 0', "labels": {"severity": "critical"}, "annotations": {"summary": "Prometheus is failing rule evaluations."}},
            ]},
        ),
        deployment("ferries/berths", container("berths", "ferries/berths:4.2.0", port=8080, ready="/ready", env={"TIDES_URL": "http://tidetable.ferries.svc"})), service("ferries/berths", 80, 8080),
        deployment("ferries/tidetable", container("tidetable", "ferries/tidetable:1.1.6", port=8080, ready="/ready")), service("ferries/tidetable", 80, 8080),
        config_map("ferries/harbours", {"harbours.yaml": "north: 4\nsouth: 2\n"}),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=15, hours=2)
    stage.recovered("observe/alertmanager-main-1", restarts=1, code=2, lived_s=500000)
    stage.calm()
    stage.wait(days=2, hours=6)
    stage.apply([_rules("ferries", {"name": "ferries", "interval": "2m", "rules": [{"record": "ferries:departures:rate1d", "expr": "sum by (harbour) (rate(ferries_departures_total[1d]))"}]})])  # fmt: skip
    stage.wait(days=4, hours=19, minutes=12)
    stage.edit("configmaps/ferries/harbours", lambda body: body["data"].update({"harbours.yaml": "north: 4\nsouth: 3\n"}))  # fmt: skip
    stage.wait(hours=2)

    def quieter(body: Body) -> None:
        body["spec"]["template"]["spec"]["containers"][0]["args"] = ["--path.rootfs=/host/root", "--no-collector.wifi"]  # fmt: skip

    stage.edit("daemonsets/observe/node-exporter", quieter)
    stage.calm()
    stage.wait(minutes=61)
    (old,) = stage.pods("observe/kube-state-metrics")
    began = stage.now
    stage.kubectl("set", "image", "deployment/kube-state-metrics", "kube-state-metrics=registry.example.com/k8s/kube-state-metrics:v2.18.0", "-n", "observe")  # fmt: skip
    stage.calm()
    (new,) = [pod for pod in stage.pods("observe/kube-state-metrics") if pod["metadata"]["name"] != old["metadata"]["name"]]  # fmt: skip
    stage.wait(minutes=17)
    stage.heartbeat()
    _logs(stage, began, old["status"]["podIP"], new["status"]["podIP"])
    _metrics(stage)
    stage.fire(minutes_ago=16)


def _logs(stage: Stage, began: datetime, old: str, new: str) -> None:
    lines = []
    for _ in range(2):
        for record in RECORDS:
            pod = 'namespace=\\"ferries\\", pod=\\"tidetable-0\\"'.replace("tidetable-0", stage.pods("ferries/tidetable")[0]["metadata"]["name"])  # fmt: skip
            lines.append(
                'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=WARN source=group.go:544 msg="Evaluating rule failed" component="rule manager" file=/etc/prometheus/rules/prometheus-k8s-rulefiles-0/observe-containers.yaml'
                f' group=k8s.rules.containers name={record} index={list(RECORDS).index(record)} err="found duplicate series for the match group {{{pod}}} on the right hand-side of the operation:'
                f' [{{{pod}, node=\\"node-b\\", instance=\\"{new}:8080\\"}}, {{{pod}, node=\\"node-b\\", instance=\\"{old}:8080\\"}}];many-to-many matching not allowed: matching labels must be unique on one side"'
            )
    front = "time=<%Y-%m-%dT%H:%M:%S.%3>Z level="
    stage.log("observe/prometheus-k8s-0", "\n".join([
        printed(began, lines, every_s=9.7),
        printed(stage.ago(minutes=15), [
            front + 'INFO source=compact.go:606 msg="write block" component=tsdb mint=<1000-9999> maxt=<1000-9999> duration=<2-4>.<100-900>s ooo=false',
            front + 'INFO source=head.go:1355 msg="Head GC completed" component=tsdb caller=truncateMemory duration=<100-400>ms',
            front + 'ERROR source=api.go:2107 msg="error writing response" component=web url="/api/v1/query_range" bytesWritten=0 err="write tcp 127.0.0.1:9090->127.0.0.1:<30000-60000>: write: broken pipe"',
            front + 'INFO source=checkpoint.go:101 msg="Creating checkpoint" component=tsdb from_segment=<400-430> to_segment=<431-460>',
        ], every_s=190),
    ]))  # fmt: skip
    chatter(stage, "observe/kube-state-metrics", [
        'I<%m%d %H:%M:%S.%3>100       1 builder.go:<200-300>] "Active resources" activeStoreNames="deployments,nodes,pods,services"',
        'W<%m%d %H:%M:%S.%3>100       1 reflector.go:<300-500>] watch of *v1.Pod ended with: too old resource version, a new one is started',
    ], count=4, minutes=15)  # fmt: skip
    chatter(stage, "observe/prometheus-operator", ['ts=<%Y-%m-%dT%H:%M:%S.%3>Z level=info caller=/go/pkg/mod/operator.go:<700-800> msg="sync prometheus" component=prometheus-controller key=observe/k8s'], count=6, minutes=55)  # fmt: skip
    chatter(stage, "observe/alertmanager-main", ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=notify.go:868 msg="Notify success" component=dispatcher receiver=day-team attempts=1'], count=6, minutes=55)  # fmt: skip
    chatter(stage, "observe/node-exporter", ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=ERROR source=collector.go:168 msg="collector failed" name=rapl duration_seconds=0.000<100-900> err="open /host/sys/class/powercap: permission denied"'], count=10, minutes=55)  # fmt: skip
    chatter(stage, "ferries/berths", ["INFO  berths: GET /berths 200 <5-20>ms", "WARN  berths: ferry <10-60> is late, its berth is kept"], count=24, minutes=55)  # fmt: skip
    chatter(
        stage, "ferries/tidetable", ["INFO  tidetable: GET /tides/north 200 <2-9>ms"], count=20, minutes=55
    )


def _metrics(stage: Stage) -> None:
    """Every half a minute for three hours; two evaluations failed seventeen minutes ago."""
    count, since = 360, 32
    group = "/etc/prometheus/rules/prometheus-k8s-rulefiles-0/observe-{0}.yaml;{1}"
    mine, theirs = group.format("containers", "k8s.rules.containers"), group.format("ferries", "ferries")
    one: Body = {"namespace": "observe", "job": "prometheus-k8s", "pod": "prometheus-k8s-0"}
    before = count - since - 2
    stage.metric("failures", 'sum by (namespace, job, pod, rule_group) (prometheus_rule_evaluation_failures_total{job="prometheus-k8s"})', [
        ({**one, "rule_group": mine}, [*[0.0] * before, 3.0, 6.0, *[6.0] * since]), ({**one, "rule_group": theirs}, [0.0] * count),
    ], step_s=30)  # fmt: skip
    stage.metric("evaluations", 'sum by (namespace, job, pod, rule_group) (rate(prometheus_rule_evaluations_total{job="prometheus-k8s"}[5m]))', [
        ({**one, "rule_group": mine}, [0.1] * count), ({**one, "rule_group": theirs}, [1 / 120] * count),
    ], step_s=30)  # fmt: skip
    stage.metric("duration", 'sum by (namespace, job, pod, rule_group) (prometheus_rule_group_last_duration_seconds{job="prometheus-k8s"})', [
        ({**one, "rule_group": mine}, about(0.11, count, noise=0.2)), ({**one, "rule_group": theirs}, about(4.1, count, noise=0.1)),
    ], step_s=30)  # fmt: skip
    stage.metric("targets", 'count by (namespace, job) (up{job="kube-state-metrics"} == 1)', [({"namespace": "observe", "job": "kube-state-metrics"}, [*[1.0] * before, 2.0, 2.0, *[1.0] * since])], step_s=30)  # fmt: skip
    stage.metric("up", 'min by (namespace, job) (up{namespace="observe"})', [({"namespace": "observe", "job": name}, [1.0] * count) for name in ("kube-state-metrics", "node-exporter", "prometheus-k8s", "alertmanager-main")], step_s=30)  # fmt: skip
    recorded = "count(node_namespace_pod_container:container_memory_working_set_bytes)"
    stage.metric("recorded", recorded, [({}, [41.0] * count)], step_s=30)
    stage.metric("notified", 'sum by (namespace, job) (rate(prometheus_notifications_errors_total{job="prometheus-k8s"}[5m]))', [({"namespace": "observe", "job": "prometheus-k8s"}, [0.0] * count)], step_s=30)  # fmt: skip
