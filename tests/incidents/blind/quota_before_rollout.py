"""A worker was scaled up a week ago and took the namespace's memory; the next rollout gets no pod."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="A rollout makes no pod because the namespace's memory quota is used up",
    half=Half.blind,
    story="export-worker was scaled from 2 to 5 by hand; since then 11.5 of 12 GiB are taken. report-api wants one pod "
    "more than it has during a rollout (maxUnavailable 0), and the quota refuses it.",
    sources=[
        "https://kubernetes.io/docs/concepts/policy/resource-quotas/",
        "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment",
    ],
    labels={
        "alertname": "KubeDeploymentRolloutStuck",
        "namespace": "reports",
        "deployment": "report-api",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    annotations={
        "summary": "Deployment rollout is not progressing.",
        "description": "Rollout of deployment reports/report-api is not progressing for longer than 15 minutes.",
    },
    causes=["ResourceQuota/reports/team-compute", "Deployment/reports/export-worker"],
    says=[["team-compute"], ["requests.memory"], ["12Gi"]],
    innocent=["Deployment/reports/report-api"],
    traits=frozenset({Trait.innocent}),
)  # fmt: skip

QUOTAS = """
apiVersion: v1
kind: ResourceQuota
metadata: {name: team-compute, namespace: reports}
spec:
  hard: {requests.cpu: "6", requests.memory: 12Gi, limits.memory: 24Gi}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: team-objects, namespace: reports}
spec:
  hard: {pods: "40", services: "10", persistentvolumeclaims: "8"}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: team-compute, namespace: forms}
spec:
  hard: {requests.cpu: "4", requests.memory: 8Gi, limits.memory: 16Gi}
"""


def play(stage: Stage) -> None:
    api = container(
        "api", "reports/report-api:6.1.0", port=8080, ready="/health/ready", alive="/health/live",
        memory=("1Gi", "1536Mi"), cpu="250m",
    )  # fmt: skip
    worker = container("worker", "reports/export-worker:3.3.1", memory=("1536Mi", "2Gi"), cpu="300m")
    stage.namespace("reports")
    stage.namespace("forms")
    stage.apply(QUOTAS)
    stage.apply([
        *system(),
        deployment("reports/report-api", api, replicas=3, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
        service("reports/report-api", 80, 8080),
        deployment("reports/export-worker", worker),
        stateful_set("reports/queue", container("rabbitmq", "library/rabbitmq:4.1.4", port=5672, memory=("1Gi", "1Gi"))),
        service("reports/queue", 5672, headless=True),
        deployment("forms/forms-web", container("web", "forms/forms-web:202", port=3000, ready="/"), replicas=3),
        service("forms/forms-web", 80, 3000),
        deployment("forms/mailer", container("mailer", "forms/mailer:1.9.0"), replicas=1),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=8)
    stage.kubectl(
        "set", "image", "deployment/mailer", "mailer=registry.example.com/forms/mailer:1.9.1", "-n", "forms"
    )
    stage.calm()
    stage.wait(days=6)
    stage.kubectl("scale", "deployment/export-worker", "--replicas=5", "-n", "reports")
    stage.calm()
    stage.wait(days=7, hours=1)
    stage.kubectl(
        "set",
        "image",
        "deployment/report-api",
        "api=registry.example.com/reports/report-api:6.2.0",
        "-n",
        "reports",
    )
    stage.cluster.until(
        "the quota's refusal",
        lambda: "exceeded quota" in stage.kubectl("get", "events", "-n", "reports", "-o", "jsonpath={.items[*].message}"),
    )  # fmt: skip
    stage.wait(minutes=11)
    stage.calm(unfinished=["reports/report-api"])
    stage.wait(minutes=20)
    stage.calm(unfinished=["reports/report-api"])
    chatter(stage, "reports/report-api", [
        "[<%H:%M:%S> INF] HTTP GET /api/reports/<10000-99999> responded 200 in <12-180>.<1000-9999> ms",
        "[<%H:%M:%S> INF] HTTP POST /api/reports responded 202 in <20-70>.<1000-9999> ms",
        "[<%H:%M:%S> INF] Published export request <100000-999999> to queue exports",
    ])  # fmt: skip
    chatter(stage, "reports/export-worker", [
        "<%Y-%m-%d %H:%M:%S,%3> [INFO] celery.worker.strategy: Task exports.render[<100000-999999>] received",
        "<%Y-%m-%d %H:%M:%S,%3> [INFO] celery.app.trace: Task exports.render[<100000-999999>] succeeded in <3-22>.<10-99>s: None",
    ])  # fmt: skip
    chatter(stage, "reports/queue", [
        "<%Y-%m-%d %H:%M:%S.%3>000+00:00 [info] <0.<20000-29999>.0> accepting AMQP connection 10.244.<0-2>.<5-20>:<33000-60000> -> 10.244.2.2:5672",
    ], count=6)  # fmt: skip
    stage.heartbeat()
    stage.fire(minutes_ago=4)
