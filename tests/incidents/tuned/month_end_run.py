"""A job gave up after its retries: the table that it reads has another name this month."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident
from tests.incidents.manifests import deployment, kube_prometheus, stateful_set
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import service
from tests.testbed.kubelet import Container, terminated

INCIDENT = Incident(
    title="The month's closing ends with its retries used up",
    half=Half.tuned,
    story="The closing job reads a partition that has not been made for this month, fails, is retried and is given up.",
    sources=["https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy"],
    labels=kube_prometheus("KubeJobFailed", namespace="ledger", job_name="close-2026-11", condition="true"),
    causes=["Job/ledger/close-2026-11"],
    says=[["BackoffLimitExceeded", "backoff limit", "back-off limit"], ["entries_2026_11"]],
    innocent=["StatefulSet/ledger/books", "Deployment/ledger/api"],
)

JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "close-2026-11", "namespace": "ledger"},
    "spec": {
        "backoffLimit": 1,
        "template": {
            "metadata": {"labels": {"app": "close"}},
            "spec": {
                "restartPolicy": "Never",
                "containers": [
                    {
                        "name": "close",
                        "image": "registry.example.com/ledger/close:2.0.4",
                        "env": [{"name": "DSN", "value": "postgres://books.ledger:5432/books"}],
                    }
                ],
            },
        },
    },
}
MANIFESTS = [
    stateful_set("ledger/books", "postgres:16.4", ports=[{"containerPort": 5432}]),
    service("ledger/books", 5432),
    deployment(
        "ledger/api", "ledger/api:7.7.0", port=8080, env={"DSN": "postgres://books.ledger:5432/books"}
    ),
    service("ledger/api", 8080),
]
LOG = """
2026-11-28 01:00:02,114 INFO close starting for 2026-11
2026-11-28 01:00:02,870 ERROR close psycopg.errors.UndefinedTable: relation "entries_2026_11" does not exist
2026-11-28 01:00:02,871 ERROR close aborted, nothing was written
"""


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=24, hours=15)
    stage.hold("ledger/close")
    stage.apply([JOB])
    for attempt in (1, 2):
        stage.cluster.until(f"attempt {attempt}", lambda: bool(_waiting(stage)))
        stage.wait(seconds=8)
        (pod,) = _waiting(stage)
        began, ended = stage.clock.real(stage.ago(seconds=5)), stage.clock.real(stage.ago(seconds=2))
        stage.kubelets[pod["spec"]["nodeName"]].report(
            pod, {"close": Container(terminated(1, began, ended))}, at=ended, phase="Failed"
        )
        stage.log(f"ledger/{pod['metadata']['name']}", LOG)
    stage.cluster.until(
        "the job given up",
        lambda: any(
            c["type"] == "Failed"
            for c in stage.get("jobs/ledger/close-2026-11")["status"].get("conditions", [])
        ),
    )
    stage.wait(minutes=21)
    stage.fire(minutes_ago=5)


def _waiting(stage: Stage) -> list[Body]:
    """Its pods that have a node and did not begin."""
    pods = stage.pods("ledger/close")
    return [p for p in pods if p["spec"].get("nodeName") and p["status"]["phase"] == "Pending"]
