"""A concert was called off and all its tickets are paid back; a rule on refunds takes that for a fault of the programs."""

from __future__ import annotations

from datetime import datetime

from tests.incidents.curves import about, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="RefundsAboveUsual of cashdesk: the singer of evening 2231 is ill, the house called the evening off and pays 3804 tickets back, as it did with evening 2180",
    half=Half.tuned,
    story=(
        "The house set evening 2231 to called-off and started the Job that pays its tickets back, two a second. Refunds of all other evenings and for all other reasons are as many as ever, the"
        " acquirer takes the orders, tickets are sold as ever. Eleven days ago evening 2180 was paid back in the same way. The rule compares the refunds of ten minutes with those of usual"
        " days. Some cards have expired; the Job writes a transfer for these. cashdesk was released yesterday, and hall plans were edited a little before."
    ),
    sources=[
        "https://sre.google/workbook/monitoring/",
        "https://prometheus.io/docs/practices/alerting/",
        "https://docs.stripe.com/refunds",
    ],
    labels={"alertname": "RefundsAboveUsual", "severity": "critical", "namespace": "concerts", "service": "cashdesk", "team": "payments"},
    annotations={"summary": "cashdesk pays back more than ten times its usual amount.", "description": "2.1 refunds a second in the last ten minutes, 0.02 is usual. Check for a faulty release or for misuse."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["prometheus-operator objects"],
)  # fmt: skip

EVENINGS = """\
- {{id: 2229, title: Winter songs, hall: large, state: on-sale}}
- {{id: 2230, title: Organ at noon, hall: small, state: on-sale}}
- {{id: 2231, title: An evening with M. Laurent, hall: large, state: {state}}}
- {{id: 2232, title: Brass for children, hall: small, state: on-sale}}
"""
CALLED_OFF = "called-off, reason: illness"
RULE = """\
sum by (namespace, service) (rate(refunds_total{namespace="concerts"}[10m]))
  > 10 * sum by (namespace, service) (avg_over_time(concerts:refunds:rate1d[7d] offset 1d))
"""
JOB = "pay-back-2231"


def play(stage: Stage) -> None:
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    listed = {"volumes": [{"name": "evenings", "configMap": {"name": "evenings"}}]}
    stage.apply([
        *system(),
        config_map("concerts/evenings", {"evenings.yaml": EVENINGS.format(state="on-sale")}),
        config_map("concerts/hall-plans", {"large.csv": "row,seats\nA,40\nB,42\n"}),
        deployment("concerts/cashdesk", container("cashdesk", "concerts/cashdesk:17.0.3", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "takings.concerts.svc", "ACQUIRER_URL": "http://acquirer-link.concerts.svc"}, mounts={"evenings": "/etc/evenings"}), replicas=3, pod=listed), service("concerts/cashdesk", 80, 8080),
        deployment("concerts/acquirer-link", container("link", "concerts/acquirer-link:4.6.0", port=8080, ready="/ready", env={"ACQUIRER": "https://acquirer.example.net"})), service("concerts/acquirer-link", 80, 8080),
        stateful_set("concerts/takings", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))), service("concerts/takings", 5432, headless=True),
        deployment("concerts/programme", container("programme", "concerts/programme:3.9.1", port=8080, ready="/ready", mounts={"evenings": "/etc/evenings"}), pod=listed), service("concerts/programme", 80, 8080),
        deployment("letters/postman", container("postman", "letters/postman:7.7.0", port=8080, ready="/ready", env={"SMTP_HOST": "relay.letters.svc"})), service("letters/postman", 80, 8080),
        deployment("web/foyer", container("foyer", "web/foyer:28.1.0", port=3000, ready="/up", env={"CASHDESK_URL": "http://cashdesk.concerts.svc", "PROGRAMME_URL": "http://programme.concerts.svc"}), replicas=3), service("web/foyer", 80, 3000),
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "cashdesk", "namespace": "concerts"}, "spec": {"groups": [{"name": "cashdesk", "rules": [
            {"record": "concerts:refunds:rate1d", "expr": 'sum by (namespace, service) (rate(refunds_total{namespace="concerts"}[1d]))'},
            {"alert": "RefundsAboveUsual", "expr": RULE, "for": "5m", "labels": {"severity": "critical", "team": "payments"}, "annotations": {"summary": "{{ $labels.service }} pays back more than ten times its usual amount."}},
        ]}]}},
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=15, hours=3)
    stage.recovered(f"concerts/{stage.pods('concerts/acquirer-link')[0]['metadata']['name']}", restarts=1, code=143, reason="Error", lived_s=1200000)  # fmt: skip
    stage.calm()
    stage.wait(days=3, hours=22)
    stage.kubectl("set", "image", "deployment/cashdesk", "cashdesk=registry.example.com/concerts/cashdesk:17.0.4", "-n", "concerts")  # fmt: skip
    stage.calm()
    stage.wait(days=1, hours=4, minutes=9)
    stage.edit("configmaps/concerts/hall-plans", lambda body: body["data"].update({"large.csv": "row,seats\nA,40\nB,40\n"}))  # fmt: skip
    stage.wait(minutes=24)
    stage.edit("configmaps/concerts/evenings", lambda body: body["data"].update({"evenings.yaml": EVENINGS.format(state=CALLED_OFF)}))  # fmt: skip
    stage.wait(minutes=6)
    work = container(
        "pay-back", "concerts/cashdesk:17.0.4", args=["pay-back", "--evening=2231", "--reason=called-off", "--per-second=2", "--letter=evening-called-off"],
        env={"DB_HOST": "takings.concerts.svc", "ACQUIRER_URL": "http://acquirer-link.concerts.svc", "LETTERS_URL": "http://postman.letters.svc"},
    )  # fmt: skip
    stage.apply([{
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": JOB, "namespace": "concerts", "labels": {"app": "pay-back", "evening": "2231"}},
        "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": {"app": "pay-back", "evening": "2231"}}, "spec": {"restartPolicy": "Never", "containers": [work]}}},
    }])  # fmt: skip
    stage.calm()
    began = stage.now
    stage.wait(minutes=21)
    stage.heartbeat()
    _logs(stage, began)
    _metrics(stage)
    stage.fire(minutes_ago=13)


def _logs(stage: Stage, began: datetime) -> None:
    lines = ["<%Y-%m-%d %H:%M:%S> INFO  pay-back: evening 2231, 3804 tickets of 1733 orders, 2 a second, reason called-off"]  # fmt: skip
    for n in range(1, 21):
        lines.append(
            f"<%Y-%m-%d %H:%M:%S> INFO  pay-back: {n * 122} of 3804 tickets paid back, {n // 4} by transfer"
        )
        if n % 4 == 0:
            lines.append("<%Y-%m-%d %H:%M:%S> WARN  pay-back: order <100000-999999>: refund to card refused, card has expired (54); transfer written instead")  # fmt: skip
    stage.log(f"concerts/{JOB}", printed(began, lines, every_s=47))
    chatter(stage, "concerts/cashdesk-", [
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"sold","evening":<2229-2230>,"tickets":<1-4>,"ms":<80-210>}',
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"sold","evening":2232,"tickets":<1-5>,"ms":<80-210>}',
        '{"level":"warn","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"sale refused: evening is called off","evening":2231}',
        '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"payment failed: declined by issuer","code":"51"}',
    ], count=40, minutes=28)  # fmt: skip
    chatter(stage, "concerts/acquirer-link", ["INFO  link: refund <1000000-1999999> taken by acquirer in <60-150>ms", "INFO  link: refund <1000000-1999999> taken by acquirer in <60-150>ms", "INFO  link: charge <1000000-1999999> authorised in <60-150>ms", "WARN  link: acquirer asks for at most 10 a second, 2 are sent"], count=48, minutes=20)  # fmt: skip
    chatter(stage, "concerts/takings", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time", "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint complete: wrote <900-2900> buffers"], count=10, minutes=50)  # fmt: skip
    chatter(stage, "concerts/programme", ["INFO  programme: GET /evenings 200 <3-12>ms", "INFO  programme: evenings read again, 4 known, 1 called off"], count=20, minutes=25)  # fmt: skip
    chatter(stage, "letters/postman", ["INFO  postman: letter evening-called-off to <100000-999999> sent", "WARN  postman: mailbox of <100000-999999> is full, tried again in an hour"], count=30, minutes=20)  # fmt: skip
    chatter(stage, "web/foyer", ["GET /evenings/2231 200 <12-40>ms", "GET /evenings/2229 200 <12-40>ms", "POST /basket 201 <40-120>ms"], count=36, minutes=40)  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every ten minutes for fourteen days; evening 2180 was paid back eleven days ago within twenty-five minutes."""
    count, step = 14 * 144, 600
    before = count - 11 * 144
    here: Body = {"namespace": "concerts", "service": "cashdesk"}
    off = [0.0] * count
    off[before : before + 3] = [1.9, 2.0, 1.1]
    off[-2:] = [2.0, 2.04]
    usual = about(0.02, count, noise=0.5, of="wish")
    stage.metric("refunds", 'sum by (namespace, service) (rate(refunds_total{namespace="concerts"}[10m]))', [(here, [a + b for a, b in zip(off, usual, strict=True)])], step_s=step)  # fmt: skip
    stage.metric("refunds-by-reason", 'sum by (namespace, service, reason) (rate(refunds_total{namespace="concerts"}[10m]))', [
        ({**here, "reason": "called-off"}, off), ({**here, "reason": "customer-wish"}, usual), ({**here, "reason": "charged-twice"}, [0.0] * count),
    ], step_s=step)  # fmt: skip
    stage.metric("refunds-by-evening", 'sum by (namespace, service, evening) (increase(refunds_total{namespace="concerts",reason="called-off"}[10m]))', [
        ({**here, "evening": "2231"}, whole([0.0, 1210.0, 1224.0])),
    ], step_s=step)  # fmt: skip
    stage.metric("sales", 'sum by (namespace, service) (rate(tickets_sold_total{namespace="concerts"}[10m]))', [(here, about(0.34, count, noise=0.25, of="sold"))], step_s=step)  # fmt: skip
    stage.metric("taken", 'sum by (namespace, service) (rate(acquirer_orders_total{namespace="concerts",result="taken"}[10m])) / sum by (namespace, service) (rate(acquirer_orders_total{namespace="concerts"}[10m]))', [
        ({"namespace": "concerts", "service": "acquirer-link"}, about(0.982, count, noise=0.006)),
    ], step_s=step)  # fmt: skip
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{namespace="concerts",code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total{namespace="concerts"}[5m]))', [
        (here, about(0.0003, count, noise=0.9)), ({"namespace": "concerts", "service": "acquirer-link"}, about(0.0004, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
