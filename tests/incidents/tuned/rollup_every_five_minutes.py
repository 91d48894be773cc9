"""A CronJob's schedule was edited; its runs overlap, fill the nodes, and somebody else's rollout finds no room."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import container, deployment, service, system

INCIDENT = Incident(
    title="A nightly rollup runs every five minutes, and its overlapping runs take the CPU that a rollout needs",
    half=Half.tuned,
    story=(
        "`kubectl edit` changes the CronJob from `15 2 * * *` to `*/5 * * * *` for a test and leaves it. A run takes"
        " more than an hour and concurrencyPolicy is Allow, so six of them request 9 CPUs. The rollout of"
        " reception, in another namespace, stays at one pending pod. Unrelated: points never had its ConfigMap."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#concurrency-policy",
    ],
    labels={
        "alertname": "KubeDeploymentRolloutStuck",
        "namespace": "frontdesk",
        "deployment": "reception",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    causes=["CronJob/analytics/daily-rollup"],
    says=[["*/5 * * * *"], ["15 2 * * *"], ["Insufficient cpu"]],
    innocent=["Deployment/frontdesk/reception"],
    second=["Deployment/loyalty/points", "ConfigMap/loyalty/points-tiers"],
    traits=frozenset({Trait.innocent, Trait.two_faults}),
    authored=["cronjob-controller"],
)

CRON = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "daily-rollup", "namespace": "analytics", "labels": {"app": "daily-rollup"}},
    "spec": {
        "schedule": "15 2 * * *",
        "concurrencyPolicy": "Allow",
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {
            "spec": {
                "backoffLimit": 2,
                "template": {
                    "metadata": {"labels": {"app": "daily-rollup"}},
                    "spec": {
                        "restartPolicy": "Never",
                        "containers": [
                            container("rollup", "analytics/rollup:2.6.0", cpu="1500m", memory=("1Gi", "2Gi"),
                                      args=["--window=24h", "--out=s3://rollups"]),
                        ],
                    },
                },
            }
        },
    },
}  # fmt: skip


def _run(stage: Stage) -> Body:
    """Start a run as the CronJob controller does: the Job, its event, the CronJob's status."""
    cron = stage.get("cronjobs/analytics/daily-rollup")
    owner = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": "daily-rollup",
        "uid": cron["metadata"]["uid"],
    }
    name = f"daily-rollup-{int(stage.now.timestamp()) // 60}"
    job = stage.cluster.ask("POST", "/apis/batch/v1/namespaces/analytics/jobs?fieldManager=kube-controller-manager", {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": name, "namespace": "analytics",
            "annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": stage.stamp()},
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": cron["spec"]["jobTemplate"]["spec"],
    })  # fmt: skip
    stage.event(
        cron, "SuccessfulCreate", f"Created job {name}", kind="Normal", component="cronjob-controller"
    )
    active = [
        {"apiVersion": "batch/v1", "kind": "Job", "namespace": "analytics", "name": name, "uid": job["metadata"]["uid"], "resourceVersion": job["metadata"]["resourceVersion"]}
    ]  # fmt: skip
    before = cron.get("status", {}).get("active", [])
    stage.status(
        "cronjobs/analytics/daily-rollup", {"active": before + active, "lastScheduleTime": stage.stamp()},
        manager="kube-controller-manager",
    )  # fmt: skip
    return job


def _until_five(stage: Stage) -> None:
    """The schedule's next minute."""
    stage.wait(seconds=300 - stage.now.timestamp() % 300)


def _looked_at(stage: Stage) -> bool:
    """Jobs have their pods, and the scheduler has placed or refused each."""
    pods = stage.pods("analytics/daily-rollup")
    jobs = stage.cluster.ask("GET", "/apis/batch/v1/namespaces/analytics/jobs")["items"]
    return len(pods) == len(jobs) and all(
        p["spec"].get("nodeName") or p["status"].get("conditions") for p in pods
    )


def play(stage: Stage) -> None:
    stage.apply(system())
    stage.apply([
        CRON,
        deployment("analytics/explorer", container("explorer", "analytics/explorer:0.44.1", port=3000, ready="/api/health"), replicas=1),
        service("analytics/explorer", 80, 3000),
        deployment(
            "frontdesk/reception",
            container("reception", "frontdesk/reception:2.2.0", port=8080, ready="/ready", cpu="600m", memory=("512Mi", "512Mi")),
            replicas=3, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}, progressDeadlineSeconds=300,
        ),
        service("frontdesk/reception", 80, 8080),
        deployment("frontdesk/badges", container("badges", "frontdesk/badges:1.3.7", port=8080, ready="/ready", cpu="50m")),
        service("frontdesk/badges", 80, 8080),
        deployment("loyalty/members", container("members", "loyalty/members:6.0.1", port=8080, ready="/ready", cpu="50m")),
        service("loyalty/members", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=16, hours=22)
    # Somebody's first try of a new service; its ConfigMap was never applied.
    stage.hold("loyalty/points")
    stage.apply([
        deployment("loyalty/points", container("points", "loyalty/points:0.1.0", port=8080, cpu="50m", envFrom=[{"configMapRef": {"name": "points-tiers"}}]), replicas=1),
    ])  # fmt: skip
    stage.stuck(
        "loyalty/points", "CreateContainerConfigError", 'configmap "points-tiers" not found',
        event=("Failed", 'Error: configmap "points-tiers" not found'),
    )  # fmt: skip
    stage.wait(hours=3)

    def often(body: Body) -> None:
        body["spec"]["schedule"] = "*/5 * * * *"

    stage.edit("cronjobs/analytics/daily-rollup", often)
    began = []
    for _ in range(6):
        _until_five(stage)
        name = _run(stage)["metadata"]["name"]
        stage.placed(f"analytics/{name}")
        stage.calm(unfinished=["loyalty/points"])
        began.append((name, stage.now))
    stage.wait(minutes=2, seconds=10)
    stage.kubectl(
        "set",
        "image",
        "deployment/reception",
        "reception=registry.example.com/frontdesk/reception:2.2.1",
        "-n",
        "frontdesk",
    )
    stage.cluster.until("the new pod is there", lambda: len(stage.pods("frontdesk/reception")) == 4)
    for _ in range(5):
        _until_five(stage)
        _run(stage)
        stage.cluster.until("the run's pod was looked at", lambda: _looked_at(stage))
    stage.wait(minutes=4)
    stage.heartbeat()
    stuck = next(p for p in stage.pods("loyalty/points"))
    stage.told(
        stuck,
        "Failed",
        'Error: configmap "points-tiers" not found',
        kind="Warning",
        count=70,
        container="points",
    )
    for name, since in began:
        stage.log(f"analytics/{name}", printed(since + timedelta(seconds=2), [
            "<%y/%m/%d %H:%M:%S> INFO rollup: reading window of 24h, 288 partitions",
            *[f"<%y/%m/%d %H:%M:%S> INFO rollup: partition {n} of 288 done in <6-9>.<1-9> s" for n in range(1, 150)],
        ], every_s=8))  # fmt: skip
    for pod in stage.placed("frontdesk/reception", 3):
        chatter(
            stage,
            f"frontdesk/{pod['metadata']['name']}",
            [
                '{"level":"info","time":"<%Y-%m-%dT%H:%M:%S>Z","msg":"visitor signed in","desk":"<1-9>","ms":<11-48>}'
            ],
        )
    chatter(
        stage,
        "loyalty/members",
        [
            "<%Y-%m-%d %H:%M:%S.%3>  INFO 1 --- [nio-8080-exec-<1-9>] l.members.BalanceController : balance read for member <10000-99999>"
        ],
    )
    stage.fire(minutes_ago=3)
