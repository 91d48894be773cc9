"""A certificate that somebody put into a Secret by hand has expired; the alert comes from two hops in front of it."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.certificates import tls_secret
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="The ledger's hand-made certificate expired after 30 days, and the mobile backend cannot show balances",
    half=Half.tuned,
    story=(
        "ledger serves TLS with a certificate mounted from the Secret ledger-serving, made by hand for 30 days."
        " transfers refuses it from that minute on, and mobile-backend, which asks transfers, answers 502."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets",
        "https://pkg.go.dev/crypto/x509#CertificateInvalidError",
    ],
    labels={
        "alertname": "HttpRequestsFailing",
        "namespace": "mobile",
        "deployment": "mobile-backend",
        "route": "/v1/balances",
        "severity": "critical",
    },
    causes=["Secret/treasury/ledger-serving"],
    says=[["ledger-serving"], ["expired"]],
    innocent=["Deployment/mobile/mobile-backend", "Deployment/treasury/transfers"],
    traits=frozenset({Trait.innocent}),
)
HOST = "ledger.treasury.svc.cluster.local"


def play(stage: Stage) -> None:
    begins = stage.now
    ends = begins + timedelta(days=30)
    stage.apply(system())
    tls = {"volumes": [{"name": "serving", "secret": {"secretName": "ledger-serving"}}]}
    stage.apply([
        tls_secret("treasury/ledger-serving", HOST, begins - timedelta(minutes=4), ends),
        deployment(
            "treasury/ledger",
            container("ledger", "treasury/ledger:2.19.0", port=8443, mounts={"serving": "/etc/ledger/tls"},
                      readinessProbe={"tcpSocket": {"port": 8443}, "periodSeconds": 10},
                      args=["--tls-cert=/etc/ledger/tls/tls.crt", "--tls-key=/etc/ledger/tls/tls.key"]),
            replicas=2, pod=tls,
        ),
        service("treasury/ledger", 443, 8443),
        deployment("treasury/transfers", container("transfers", "treasury/transfers:5.7.1", port=8080, ready="/readyz", env={"LEDGER_URL": f"https://{HOST}"})),
        service("treasury/transfers", 80, 8080),
        stateful_set("treasury/entries", container("postgres", "postgres:16.4", port=5432, memory=("512Mi", "1Gi"))),
        service("treasury/entries", 5432, headless=True),
        deployment("mobile/mobile-backend", container("mobile-backend", "mobile/backend:88.1.0", port=3000, ready="/healthz", env={"TRANSFERS_URL": "http://transfers.treasury.svc.cluster.local"}), replicas=3),
        service("mobile/mobile-backend", 80, 3000),
        deployment("mobile/push", container("push", "mobile/push:14.0.2", port=8080, ready="/ready")),
        service("mobile/push", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(seconds=(ends - stage.now).total_seconds() + 26 * 60)
    stage.heartbeat()
    asked = 'ts=<%Y-%m-%dT%H:%M:%S.%3>Z level=info msg="balance read" account=<100000-999999> ms=<8-30>'
    refused = (
        'ts=<%Y-%m-%dT%H:%M:%S.%3>Z level=error msg="ledger not reached" err="Get \\"https://ledger.treasury.svc.cluster.local/v1/'
        'balances/<100000-999999>\\": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: '
        f'current time <%Y-%m-%dT%H:%M:%SZ> is after {ends:%Y-%m-%dT%H:%M:%SZ}"'
    )
    for n, pod in enumerate(stage.pods("treasury/transfers")):
        stage.log(
            f"treasury/{pod['metadata']['name']}",
            printed(ends - timedelta(minutes=11, seconds=9 * n), [asked] * 16, every_s=40)
            + "\n" + printed(ends + timedelta(seconds=3 + n), [refused] * 36, every_s=43),
        )  # fmt: skip
    callers = [pod["status"]["podIP"] for pod in stage.pods("treasury/transfers")]
    for n, pod in enumerate(stage.pods("treasury/ledger")):
        stage.log(
            f"treasury/{pod['metadata']['name']}",
            printed(begins + timedelta(seconds=10), ["<%Y/%m/%d %H:%M:%S> ledger 2.19.0: serving TLS on :8443 with /etc/ledger/tls/tls.crt"]) + "\n"
            + printed(ends + timedelta(seconds=3 + n), [f"<%Y/%m/%d %H:%M:%S> http: TLS handshake error from {caller}:<34000-59999>: remote error: tls: bad certificate" for caller in callers] * 15, every_s=51),
        )  # fmt: skip
    chatter(stage, "mobile/mobile-backend", [
        '{"level":50,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","pid":1,"req":{"method":"GET","url":"/v1/balances"},"res":{"statusCode":502},"err":{"type":"UpstreamError","message":"transfers answered 503"},"msg":"request errored"}',
        '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","pid":1,"req":{"method":"GET","url":"/v1/branches"},"res":{"statusCode":200},"responseTime":<5-30>,"msg":"request completed"}',
    ], count=30, minutes=25)  # fmt: skip
    chatter(
        stage,
        "treasury/entries",
        ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"],
        count=5,
        minutes=25,
    )
    chatter(
        stage,
        "mobile/push",
        ['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"pushed","to":"apns","n":<1-40>}'],
    )
    stage.fire(minutes_ago=18)
