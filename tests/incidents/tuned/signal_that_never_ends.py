"""The alert that is always on by design reaches the receiver; the cluster has the small untidiness that each one has."""

from __future__ import annotations

from datetime import datetime

from tests.incidents import crons
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.runs import cron_job
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
    title="Watchdog was sent to the receiver of everything: it fires as long as alerting works, and asks for nothing",
    half=Half.tuned,
    story=(
        "A new route sends every alert to the receiver, and so Watchdog too, whose rule is vector(1). Nothing is wrong. What is not tidy"
        " in the cluster is known and harmless: pressing rests until the next harvest, a Job needed a second try, scales had restarts weeks"
        " ago, the resolver's line is cut to three servers on each node, and pods of this morning's rollout were not ready in their first seconds."
    ),
    sources=[
        "https://runbooks.prometheus-operator.dev/runbooks/general/watchdog/",
        "https://github.com/prometheus-operator/kube-prometheus/blob/main/manifests/kubePrometheus-prometheusRule.yaml",
        "https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/network/dns/dns.go",
    ],
    labels={"alertname": "Watchdog", "severity": "none"},
    annotations={
        "summary": "An alert that should always be firing to certify that Alertmanager is working properly.",
        "description": (
            "This is an alert meant to ensure that the entire alerting pipeline is functional.\nThis alert is always firing, therefore it should"
            " always be firing in Alertmanager\nand always fire against a receiver. There are integrations with various notification\nmechanisms"
            ' that send a notification when this alert is not firing. For example the\n"DeadMansSnitch" integration in PagerDuty.\n'
        ),
        "runbook_url": "https://runbooks.prometheus-operator.dev/runbooks/general/watchdog",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["cronjob-controller", "prometheus-operator objects"],
)

CUT = (
    "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is:"
    " 10.20.0.2 10.20.0.3 10.20.0.4"
)


def play(stage: Stage) -> None:
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    stage.apply([
        *system(),
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "general", "namespace": "monitoring"},
         "spec": {"groups": [{"name": "general.rules", "rules": [
             {"alert": "Watchdog", "expr": "vector(1)", "labels": {"severity": "none"}, "annotations": {"summary": "An alert that should always be firing to certify that Alertmanager is working properly."}},
             {"alert": "TargetDown", "expr": "100 * (count(up == 0) BY (cluster, job, namespace, service) / count(up) BY (cluster, job, namespace, service)) > 10", "for": "10m", "labels": {"severity": "warning"}},
         ]}]}},
        config_map("monitoring/alertmanager-routes", {"alertmanager.yaml": "route:\n  receiver: team\n  routes:\n  - matchers: ['alertname = Watchdog']\n    receiver: heartbeat\nreceivers:\n- name: team\n- name: heartbeat\n"}),
        stateful_set("monitoring/alertmanager", container("alertmanager", "prom/alertmanager:v0.34.0", port=9093, ready="/-/ready", alive="/-/healthy"), replicas=2,
                     pod={"volumes": [{"name": "routes", "configMap": {"name": "alertmanager-routes"}}]}),
        service("monitoring/alertmanager", 9093),
        stateful_set("monitoring/prometheus", container("prometheus", "prom/prometheus:v3.7.1", port=9090, ready="/-/ready", alive="/-/healthy", memory=("1Gi", "2Gi"))),
        service("monitoring/prometheus", 9090),
        daemon_set("monitoring/node-exporter", container("node-exporter", "prom/node-exporter:v1.9.1", port=9100), pod={"tolerations": [{"operator": "Exists"}]}),
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "share", "namespace": "harvest"}, "spec": {"hard": {"requests.memory": "1Gi", "pods": "20"}}},
        deployment("harvest/scales", container("scales", "harvest/scales:2.11.0", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "weights.harvest.svc.cluster.local"})),
        service("harvest/scales", 80, 8080),
        stateful_set("harvest/weights", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))),
        service("harvest/weights", 5432, headless=True),
        deployment("harvest/pressing", container("pressing", "harvest/pressing:1.4.2", port=8080, ready="/ready")),
        service("harvest/pressing", 80, 8080),
        cron_job("harvest/tally", "0 4 * * *", container("tally", "harvest/tally:3.0.1", env={"DB_HOST": "weights.harvest.svc.cluster.local"}), successfulJobsHistoryLimit=1),
        cron_job("harvest/labels", "30 5 * * 1", container("labels", "harvest/labels:0.9.0"), suspend=True),
        deployment("market/stalls", container("stalls", "market/stalls:7.3.0", port=8080, ready="/up", alive="/up", env={"SCALES_URL": "http://scales.harvest.svc"}), replicas=3),
        service("market/stalls", 80, 8080),
        deployment("market/prices", container("prices", "market/prices:1.2.6", port=8080, ready="/up")),
        service("market/prices", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=2)
    # What was restarted when the weights' volume hung for some minutes, three weeks ago.
    stage.recovered("harvest/scales", restarts=5, code=2, lived_s=40, waited_s=160)
    stage.wait(days=4, hours=5)

    def rests(body: Body) -> None:
        body["metadata"].setdefault("annotations", {})["example.com/season"] = "closed until August"
        body["spec"]["replicas"] = 0

    stage.edit("deployments/harvest/pressing", rests)
    stage.calm()
    stage.wait(days=17, hours=12)
    _tally(stage)
    stage.wait(hours=4, minutes=9)
    stage.kubectl(
        "set", "image", "deployment/stalls", "stalls=registry.example.com/market/stalls:7.3.1", "-n", "market"
    )
    stage.calm()
    for pod in stage.pods("market/stalls"):
        words = f'Readiness probe failed: Get "http://{pod["status"]["podIP"]}:8080/up": dial tcp {pod["status"]["podIP"]}:8080: connect: connection refused'
        up = datetime.fromisoformat(pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"])
        ago = (stage.clock.real(stage.now) - up).total_seconds() / 60 - 0.05
        stage.told(pod, "Unhealthy", words, kind="Warning", container="stalls", minutes_ago=ago)
    stage.wait(minutes=8)
    _cut(stage, 3)
    stage.wait(minutes=18)
    _cut(stage, 9)
    stage.heartbeat()
    _logs(stage)
    stage.fire(minutes_ago=31)


def _cut(stage: Stage, count: int) -> None:
    """What a kubelet says at every second look at pods with such a resolver; the same events, counted on."""
    for place in ("harvest/scales", "market/prices", "kube-system/kube-proxy"):
        stage.told(stage.pods(place)[0], "DNSConfigForming", CUT, kind="Warning", count=count)


def _tally(stage: Stage) -> None:
    """The first pod of the run meets a locked table, the second one does the work."""
    name = crons.start(stage, "harvest/tally", stage.now)
    stage.placed(f"harvest/{name}")
    stage.wait(seconds=9)
    stage.failed(
        f"harvest/{name}",
        log="tally 3.0.1\npsycopg.errors.LockNotAvailable: canceling statement due to lock timeout",
        lives_s=7,
    )
    stage.wait(seconds=14)
    stage.placed(f"harvest/{name}", 2)
    (second,) = [p for p in stage.pods(f"harvest/{name}") if p["status"]["phase"] != "Failed"]
    kubelet = stage.kubelets[second["spec"]["nodeName"]]
    began = stage.now
    kubelet.started(second, at=stage.clock.real(began))
    stage.wait(seconds=51)
    again = next(
        p for p in stage.pods(f"harvest/{name}") if p["metadata"]["name"] == second["metadata"]["name"]
    )
    kubelet.complete(again, began=stage.clock.real(began), ended=stage.clock.real(stage.now))
    stage.cluster.until(
        "the run is complete",
        lambda: bool(stage.get(f"jobs/harvest/{name}").get("status", {}).get("completionTime")),
    )
    stage.status(
        "cronjobs/harvest/tally",
        {"active": [], "lastSuccessfulTime": stage.stamp()},
        manager=crons.MANAGER,
    )
    stage.log(f"harvest/{second['metadata']['name']}", printed(began, ["tally 3.0.1", "tally: 2210 deliveries added up, done"], every_s=48))  # fmt: skip


def _logs(stage: Stage) -> None:
    chatter(stage, "monitoring/alertmanager", [
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=cluster.go:698 msg="gossip settled; proceeding" component=cluster elapsed=10.00<1000-9999>s',
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=coordinator.go:125 msg="Completed loading of configuration file" component=configuration file=/etc/alertmanager/alertmanager.yaml',
    ], count=4, minutes=40)  # fmt: skip
    chatter(stage, "monitoring/prometheus", [
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=head.go:1446 msg="Head GC completed" component=tsdb caller=truncateMemory duration=<20-60>.<100-999>ms',
    ], count=3, minutes=50)  # fmt: skip
    chatter(stage, "harvest/scales", [
        "INFO  scales - POST /weighings 201 <5-14>ms",
        "ERROR scales.printer - no printer at this desk, label kept for later",
        "INFO  scales - GET /weighings 200 <3-9>ms",
    ], count=36)  # fmt: skip
    chatter(stage, "harvest/weights", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=4)  # fmt: skip
    chatter(stage, "market/stalls", ["[<%Y-%m-%d %H:%M:%S> +0000] INFO GET /stalls/<1-90> 200 <8-30>ms"])
    chatter(stage, "market/prices", ["[<%Y-%m-%d %H:%M:%S> +0000] INFO GET /prices 200 <2-9>ms", "[<%Y-%m-%d %H:%M:%S> +0000] WARN price of quince is of yesterday"])  # fmt: skip
