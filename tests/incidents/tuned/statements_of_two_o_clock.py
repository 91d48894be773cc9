"""One run of an hourly job failed in the night and is kept for its log; all runs since went well, and the alert about it stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.incidents import crons
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import (
    container,
    deployment,
    from_secret,
    secret,
    service,
    stateful_set,
    system,
)

FAILED_AT = datetime(2026, 11, 23, 2, tzinfo=UTC)
FAILED = crons.job_name("statements", FAILED_AT)

INCIDENT = Incident(
    title="The statements of two o'clock failed while their database restarted; every later run made up for it, and the failed Job is still kept",
    half=Half.tuned,
    story=(
        "At two in the night the ledger database was restarted for a new minor version, and the hourly statements run lost its"
        " connection. The next run an hour later printed what was missing, and so did all since. The CronJob keeps its last failed"
        " Job, so KubeJobFailed still fires in the morning. A letter template was changed at breakfast, which is unrelated."
    ),
    sources=[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubejobfailed/",
        "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#jobs-history-limits",
        "https://github.com/kubernetes-monitoring/kubernetes-mixin/pull/816",
        "https://github.com/openshift/managed-cluster-config/pull/1540",
    ],
    labels={
        "alertname": "KubeJobFailed",
        "condition": "true",
        "container": "kube-rbac-proxy-main",
        "instance": "10.244.2.9:8443",
        "job": "kube-state-metrics",
        "job_name": FAILED,
        "namespace": "billing",
        "severity": "warning",
    },
    annotations={"summary": "Job failed to complete.", "description": f"Job billing/{FAILED} failed to complete. Removing failed job after investigation should clear this alert."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["cronjob-controller"],
)  # fmt: skip

LATER_RUNS = 6


def play(stage: Stage) -> None:
    place = "billing/statements"
    stage.apply([
        *system(),
        secret("billing/ledger-login", {"password": ""}),
        stateful_set("billing/ledger", container("postgres", "postgres:17.5", port=5432, memory=("1Gi", "2Gi"))),
        service("billing/ledger", 5432, headless=True),
        {
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "statements", "namespace": "billing", "labels": {"app": "statements"}},
            "spec": {
                "schedule": "0 * * * *", "concurrencyPolicy": "Forbid", "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
                "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"metadata": {"labels": {"app": "statements"}}, "spec": {
                    "restartPolicy": "Never",
                    "containers": [container("statements", "billing/statements:9.2.0", args=["--all-due"], env={
                        "DB_HOST": "ledger.billing.svc.cluster.local", "DB_PASSWORD": from_secret("ledger-login", "password"), "LETTERS": "http://letters.billing.svc.cluster.local"})],
                }}}},
            },
        },
        deployment("billing/letters", container("letters", "billing/letters:4.0.3", port=8080, ready="/ready")),
        service("billing/letters", 80, 8080),
        deployment("billing/payments", container("payments", "billing/payments:17.1.0", port=8080, ready="/ready", env={"DB_HOST": "ledger.billing.svc.cluster.local"}), replicas=3),
        service("billing/payments", 80, 8080),
        deployment("front/account", container("account", "front/account:8.8.1", port=3000, ready="/", env={"PAYMENTS": "http://payments.billing.svc.cluster.local"})),
        service("front/account", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(FAILED_AT - timedelta(seconds=20))
    stage.kubectl(
        "set", "image", "statefulset/ledger", "postgres=registry.example.com/postgres:17.7", "-n", "billing"
    )
    stage.hold("billing/ledger")
    stage.cluster.until(
        "the old pod is to go",
        lambda: any(p["metadata"].get("deletionTimestamp") for p in stage.pods("billing/ledger")),
    )
    stage.calm()
    stage.clock.until(FAILED_AT + timedelta(seconds=1))
    crons.fail(stage, place, crons.start(stage, place, FAILED_AT), lasts_s=31, log=(
        "statements 9.2.0: 1204 accounts are due\nstatements: no answer of ledger.billing.svc.cluster.local:5432, retry in 10 s\n"
        "statements: no answer of ledger.billing.svc.cluster.local:5432, retry in 20 s\nstatements: FATAL: could not connect to server: Connection refused; 1204 accounts left to the next run\n"))  # fmt: skip
    stage.release("billing/ledger")
    stage.calm()
    for hour in range(1, LATER_RUNS + 1):
        at = FAILED_AT + timedelta(hours=hour)
        stage.clock.until(at)
        done = crons.complete(stage, place, crons.start(stage, place, at), lasts_s=140)
        if hour > LATER_RUNS - 3:
            due = 1100 + 7 * hour
            stage.log(f"billing/{done['metadata']['name']}", printed(stage.ago(seconds=139), [
                f"statements 9.2.0: {due} accounts are due", f"statements: {due} statements written, 0 left; done",
            ], every_s=130))  # fmt: skip
        _keep_three(stage, done["metadata"]["labels"]["job-name"], hour)
        if hour == 5:
            stage.kubectl(
                "set",
                "image",
                "deployment/letters",
                "letters=registry.example.com/billing/letters:4.0.4",
                "-n",
                "billing",
            )
            stage.calm()
    stage.wait(minutes=21)
    stage.heartbeat()
    chatter(
        stage, "billing/ledger", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=4
    )
    chatter(
        stage,
        "billing/payments-",
        [
            '{"level":"info","msg":"payment booked","ms":<9-40>}',
            '{"level":"warn","msg":"card declined","code":"insufficient_funds"}',
        ],
    )
    chatter(stage, "billing/letters-", ['level=info msg="letter laid out" pages=<1-4> took=<20-80>ms'])
    chatter(stage, "front/account-", ["GET /account 200 <9-60>ms"])
    stage.fire(minutes_ago=368)


def _keep_three(stage: Stage, newest: str, runs: int) -> None:
    """The CronJob controller keeps the last three that went well."""
    if runs > 3:
        number = int(newest.rsplit("-", 1)[1]) - 180
        stage.kubectl("delete", "job", f"statements-{number}", "-n", "billing", "--wait=false")
