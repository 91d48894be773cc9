"""Somebody sends the monthly drill through Alertmanager; near its service lie things that are broken and that nobody uses."""

from __future__ import annotations

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.runs import cron_job
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="The drill of the month is sent for checkout, which is well; what is broken in its namespace has been left over and is used by nobody",
    half=Half.tuned,
    story=(
        "On the first working day of a month the on-call team is paged with an alert made by hand, which names some service, this time checkout. Nothing is wrong with it."
        " A claim of a class that was removed in spring, a Service of the version before last, a trial with a tag that was never built and scaled to zero, and a suspended"
        " report whose settings are gone have been there for months; no pod mounts, calls or runs them."
    ),
    sources=[
        "https://github.com/prometheus/alertmanager/blob/main/README.md#amtool",
        "https://sre.google/sre-book/accelerating-sre-on-call/",
        "https://prometheus.io/docs/alerting/latest/clients/",
    ],
    labels={"alertname": "PagingDrill", "severity": "critical", "namespace": "payments", "service": "checkout", "team": "payments"},
    annotations={"summary": "Paging drill, please acknowledge within five minutes.", "description": "This is a drill. Nothing is wrong with checkout."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip


def play(stage: Stage) -> None:
    report = cron_job("payments/quarterly-report", "0 6 1 */3 *", container("report", "payments/report:1.9.0", envFrom=[{"configMapRef": {"name": "report-settings"}}]), suspend=True)  # fmt: skip
    stage.apply([
        *system(),
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "refund-slips", "namespace": "payments"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "spinning", "resources": {"requests": {"storage": "20Gi"}}}},
        service("payments/checkout-v1", 80, 8080, selector={"app": "checkout", "version": "v1"}),
        deployment("payments/fraud-trial", container("fraud", "payments/fraud:0.9.0-trial", port=8080, ready="/ready", env={"MODEL": {"configMapKeyRef": {"name": "fraud-model", "key": "name"}}}), replicas=0),
        report,
        deployment("payments/checkout", container("checkout", "payments/checkout:70.1.0", port=8080, ready="/ready", alive="/alive", env={"CARDS_URL": "http://cards.payments.svc", "DB_HOST": "orders.payments.svc", "FRAUD_URL": "http://fraud.payments.svc"}), replicas=3), service("payments/checkout", 80, 8080),
        deployment("payments/cards", container("cards", "payments/cards:21.0.2", port=8080, ready="/ready", env={"ACQUIRER_URL": "https://acquirer.example.net"})), service("payments/cards", 80, 8080),
        deployment("payments/fraud", container("fraud", "payments/fraud:0.8.4", port=8080, ready="/ready")), service("payments/fraud", 80, 8080),
        stateful_set("payments/orders", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))), service("payments/orders", 5432, headless=True),
        config_map("payments/limits", {"limits.yaml": "single: 5000\nday: 20000\n"}),
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "orders", "namespace": "payments"}, "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "orders"}}}},
        deployment("web/shop", container("shop", "web/shop:9.9.0", port=3000, ready="/up", env={"CHECKOUT_URL": "http://checkout.payments.svc"}), replicas=3), service("web/shop", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=9, hours=4)
    pod = stage.pods("payments/cards")[0]["metadata"]["name"]
    stage.recovered(f"payments/{pod}", restarts=3, code=1, lived_s=40)
    stage.wait(days=18, hours=20)
    stage.edit("configmaps/payments/limits", lambda body: body["data"].update({"limits.yaml": "single: 5000\nday: 25000\n"}))  # fmt: skip
    stage.wait(minutes=26)
    claim = stage.get("persistentvolumeclaims/payments/refund-slips")
    stage.event(claim, "ProvisioningFailed", 'storageclass.storage.k8s.io "spinning" not found', component="persistentvolume-controller", count=4120)  # fmt: skip
    stage.wait(minutes=3)
    stage.heartbeat()
    chatter(stage, "payments/checkout-", [
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"POST /checkout","status":201,"ms":<60-190>}',
        '{"level":"warn","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"card declined by issuer","code":"51"}',
        '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"client went away before the answer","err":"context canceled"}',
    ], count=45, minutes=60)  # fmt: skip
    chatter(stage, "payments/cards", ["INFO  cards: authorised <10-900>.00 EUR in <40-120>ms", "WARN  cards: DEPRECATED: TLS 1.2 towards acquirer.example.net, ends 2027-06-30"], minutes=60)  # fmt: skip
    chatter(stage, "payments/fraud-", ["INFO  fraud: score 0.<10-40> in <3-9>ms"], minutes=60)
    chatter(stage, "payments/orders", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time", '<%Y-%m-%d %H:%M:%S.%3> UTC [<300-900>] ERROR:  duplicate key value violates unique constraint "idempotency_key"'], count=14, minutes=60)  # fmt: skip
    chatter(stage, "web/shop", ["POST /pay 201 <80-220>ms"], minutes=60)
    _metrics(stage)
    stage.fire(minutes_ago=2)


def _metrics(stage: Stage) -> None:
    """Once a minute for four hours."""
    count = 240
    here = {"namespace": "payments"}
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({**here, "service": "checkout"}, about(0.0006, count, noise=0.9)),
        ({**here, "service": "cards"}, about(0.0009, count, noise=0.9)),
        ({"namespace": "web", "service": "shop"}, about(0.0007, count, noise=0.9)),
    ])  # fmt: skip
    stage.metric("requests", "sum by (namespace, service) (rate(http_requests_total[5m]))", [
        ({**here, "service": "checkout"}, about(33, count, noise=0.12)),
        ({**here, "service": "cards"}, about(29, count, noise=0.12)),
    ])  # fmt: skip
    stage.metric("p99", "histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket[5m])))", [
        ({**here, "service": "checkout"}, about(0.31, count, noise=0.1)),
        ({**here, "service": "cards"}, about(0.19, count, noise=0.1)),
    ])  # fmt: skip
