"""Two pods of an import failed as the bank's server was late; the third ended well, and the failed ones are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.incidents import crons
from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.runs import cron_job
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="PodsFailed counts two tries of this morning's statement import, whose third try ended well; a Job keeps its pods",
    half=Half.tuned,
    story=(
        "The bank's SFTP server was a quarter of an hour late. The Job's first two pods could not connect and failed, the third took over all statements, and the Job is complete."
        " Failed pods stay until their Job is removed, so kube_pod_status_phase goes on counting them. booking has restarted once, eleven days ago. The archive's copy is suspended"
        " as long as its bucket is moved."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy",
        "https://samber.github.io/awesome-prometheus-alerts/rules#kubernetes",
        "https://kubernetes.io/docs/concepts/workloads/controllers/job/#clean-up-finished-jobs-automatically",
    ],
    labels={"alertname": "PodsFailed", "severity": "warning", "namespace": "bank", "phase": "Failed", "job": "kube-state-metrics"},
    annotations={"summary": "2 pods of bank are in phase Failed for 15 minutes."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["cronjob-controller"],
)  # fmt: skip

LATE = [
    "<%Y-%m-%d %H:%M:%S> INFO  import: statements of 2026-11-19, account group 4",
    "<%Y-%m-%d %H:%M:%S> ERROR import: ssh: connect to host sftp.bank.example.com port 22: Connection refused",
    "<%Y-%m-%d %H:%M:%S> FATAL import: no statements, giving up",
]


def play(stage: Stage) -> None:
    work = cron_job("bank/import", "40 5 * * *", container("import", "bank/import:3.3.1", env={"SFTP": "sftp.bank.example.com:22", "DB_HOST": "accounts.bank.svc"}))  # fmt: skip
    work["spec"]["jobTemplate"]["spec"]["backoffLimit"] = 4
    stage.apply([
        *system(),
        work,
        cron_job("bank/archive-copy", "0 3 * * *", container("copy", "bank/copy:1.1.0", env={"BUCKET": "bank-archive-2024"}), suspend=True),
        stateful_set("bank/accounts", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))), service("bank/accounts", 5432, headless=True),
        deployment("bank/booking", container("booking", "bank/booking:8.8.0", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "accounts.bank.svc"}), replicas=3), service("bank/booking", 80, 8080),
        deployment("bank/notices", container("notices", "bank/notices:2.4.4", port=8080, ready="/ready", env={"DB_HOST": "accounts.bank.svc"})), service("bank/notices", 80, 8080),
        config_map("bank/holidays", {"holidays.txt": "2026-12-25\n2026-12-26\n"}),
        deployment("web/banking", container("banking", "web/banking:60.0.0", port=3000, ready="/up", env={"BOOKING_URL": "http://booking.bank.svc", "NOTICES_URL": "http://notices.bank.svc"}), replicas=3), service("web/banking", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=5, hours=8)
    stage.recovered(f"bank/{stage.pods('bank/booking')[1]['metadata']['name']}", restarts=1, code=143, lived_s=400000)  # fmt: skip
    stage.clock.until(datetime(2026, 11, 19, 5, 40, 1, tzinfo=UTC))
    crons.complete(stage, "bank/import", crons.start(stage, "bank/import", stage.now), lasts_s=170)
    stage.wait(hours=9)
    stage.edit("configmaps/bank/holidays", lambda body: body["data"].update({"holidays.txt": "2026-12-24\n2026-12-25\n2026-12-26\n"}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 20, 5, 40, 1, tzinfo=UTC))
    job = crons.start(stage, "bank/import", stage.now)
    for tried in (1, 2):
        stage.placed(f"bank/{job}", tried)
        stage.wait(seconds=31)
        before = {
            p["metadata"]["name"] for p in stage.pods(f"bank/{job}") if p["status"]["phase"] == "Failed"
        }
        stage.failed(f"bank/{job}", lives_s=29)
        (name,) = {
            p["metadata"]["name"] for p in stage.pods(f"bank/{job}") if p["status"]["phase"] == "Failed"
        } - before
        stage.log(f"bank/{name}", printed(stage.ago(seconds=29), LATE, every_s=14))
        stage.wait(minutes=8)
    stage.placed(f"bank/{job}", 3)
    _last_one(stage, job)
    stage.wait(minutes=47)
    stage.heartbeat()
    chatter(stage, "bank/accounts", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time", "<%Y-%m-%d %H:%M:%S.%3> UTC [<400-900>] WARNING:  there is already a transaction in progress"], count=12, minutes=60)  # fmt: skip
    chatter(stage, "bank/booking", ["INFO  booking.http POST /bookings 201 <10-40>ms", "WARN  booking.fx rate of CHF is from yesterday, used as it is"], minutes=60)  # fmt: skip
    chatter(stage, "bank/notices", ["INFO  notices: <1-9> notices sent"], minutes=60)
    chatter(
        stage, "web/banking", ["GET /accounts 200 <20-60>ms", "POST /transfers 201 <40-90>ms"], minutes=60
    )
    _metrics(stage)
    stage.fire(minutes_ago=42)


def _last_one(stage: Stage, job: str) -> None:
    """The third pod does its work, the Job is complete, and its CronJob says so."""
    pod = next(p for p in stage.pods(f"bank/{job}") if p["status"]["phase"] == "Pending")
    name, kubelet = pod["metadata"]["name"], stage.kubelets[pod["spec"]["nodeName"]]
    began = stage.now + timedelta(seconds=2)
    kubelet.started(pod, at=stage.clock.real(began))
    stage.wait(seconds=185)
    pod = next(p for p in stage.pods(f"bank/{job}") if p["metadata"]["name"] == name)
    kubelet.complete(pod, began=stage.clock.real(began), ended=stage.clock.real(stage.now))
    stage.log(f"bank/{name}", printed(began, [
        "<%Y-%m-%d %H:%M:%S> INFO  import: statements of 2026-11-19, account group 4",
        "<%Y-%m-%d %H:%M:%S> INFO  import: 18 files fetched",
        *["<%Y-%m-%d %H:%M:%S> INFO  import: <1000-4000> bookings taken over"] * 18,
        "<%Y-%m-%d %H:%M:%S> INFO  import: done, 41877 bookings",
    ], every_s=8))  # fmt: skip
    stage.cluster.until("the Job is complete", lambda: bool(stage.get(f"jobs/bank/{job}").get("status", {}).get("completionTime")))  # fmt: skip
    stage.event(stage.get("cronjobs/bank/import"), "SawCompletedJob", f"Saw completed job: {job}, condition: Complete", kind="Normal", component="cronjob-controller")  # fmt: skip
    stage.status("cronjobs/bank/import", {"active": [], "lastSuccessfulTime": stage.stamp()}, manager=crons.MANAGER)  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Once a minute for three hours."""
    count, failed = 180, 66
    stage.metric("failed-pods", 'sum by (namespace, phase, job) (kube_pod_status_phase{namespace="bank",phase="Failed"})', [
        ({"namespace": "bank", "phase": "Failed", "job": "kube-state-metrics"}, [*[0.0] * (count - failed), *[1.0] * 9, *[2.0] * (failed - 9)]),
    ])  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "bank", "service": "booking"}, about(0.0003, count, noise=0.9)),
        ({"namespace": "web", "service": "banking"}, about(0.0004, count, noise=0.9)),
    ])  # fmt: skip
    stage.metric("p99", "histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket[5m])))", [
        ({"namespace": "bank", "service": "booking"}, about(0.046, count, noise=0.1)),
    ])  # fmt: skip
