"""A namespace gets a baseline NetworkPolicy whose egress forgets port 53: names no longer resolve, CoreDNS is well."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="A baseline NetworkPolicy allows egress to 443 and 5432 and not to port 53, so bookings resolves no name",
    half=Half.tuned,
    story=(
        "Argo CD syncs the NetworkPolicy egress-baseline into the namespace. It selects every pod and allows only the"
        " namespace itself, 443 and 5432: queries to kube-dns are dropped. The alert's text blames CoreDNS, whose pods"
        " answer everybody else."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/services-networking/network-policies/#default-deny-all-egress-traffic",
        "https://github.com/ahmetb/kubernetes-network-policy-recipes/blob/master/11-deny-egress-traffic-from-an-application.md",
    ],
    labels={"alertname": "NamespaceErrorBudgetBurn", "namespace": "bookings", "slo": "availability", "severity": "critical"},
    annotations={
        "summary": "bookings burns its error budget 14 times too fast.",
        "description": "Name resolution fails: CoreDNS is overloaded, scale deployment/coredns.",
    },
    causes=["NetworkPolicy/bookings/egress-baseline"],
    says=[["egress"], ["53", "DNS"]],
    innocent=["Deployment/kube-system/coredns", "Service/kube-system/kube-dns"],
    traits=frozenset({Trait.innocent, Trait.false_narrative}),
)  # fmt: skip

POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {
        "name": "egress-baseline", "namespace": "bookings",
        "annotations": {"argocd.argoproj.io/tracking-id": "baseline:networking.k8s.io/NetworkPolicy:bookings/egress-baseline"},
    },
    "spec": {
        "podSelector": {},
        "policyTypes": ["Egress"],
        "egress": [
            {"to": [{"podSelector": {}}]},
            {"ports": [{"port": 443, "protocol": "TCP"}, {"port": 5432, "protocol": "TCP"}]},
        ],
    },
}  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply(system())
    stage.apply([
        deployment("bookings/agenda", container("agenda", "bookings/agenda:5.0.2", port=3000, ready="/healthz", env={"STORE_HOST": "store"})),
        service("bookings/agenda", 80, 3000),
        deployment("bookings/reserve", container("reserve", "bookings/reserve:2.14.0", port=8080, ready="/readyz", env={"PAYMENTS_URL": "https://payments.partner.example"}), replicas=3),
        service("bookings/reserve", 80, 8080),
        deployment("bookings/notifier", container("notifier", "bookings/notifier:1.7.1", env={"MAIL_URL": "https://mail.partner.example/send"}), replicas=1),
        stateful_set("bookings/store", container("postgres", "postgres:16.4", port=5432, memory=("512Mi", "1Gi"))),
        service("bookings/store", 5432, headless=True),
        deployment("venues/search", container("search", "venues/search:3.1.9", port=8080, ready="/readyz")),
        service("venues/search", 80, 8080),
    ], manager="argocd-controller")  # fmt: skip
    stage.calm()
    stage.wait(days=17, hours=6)
    stage.heartbeat()
    stage.apply([POLICY], manager="argocd-controller")
    synced = stage.now
    stage.wait(minutes=23)
    well = 'ts=<%Y-%m-%dT%H:%M:%S.%3>Z level=info msg="reserved" venue=<100-999> ms=<20-60>'
    lookup = (
        'ts=<%Y-%m-%dT%H:%M:%S.%3>Z level=error msg="reserve failed" venue=<100-999> err="dial tcp: lookup '
        'payments.partner.example on 10.96.0.10:53: read udp ADDRESS:<33000-59999>->10.96.0.10:53: i/o timeout"'
    )
    for n, pod in enumerate(stage.pods("bookings/reserve")):
        stage.log(
            f"bookings/{pod['metadata']['name']}",
            printed(synced - timedelta(minutes=12, seconds=5 * n), [well] * 12, every_s=59)
            + "\n" + printed(synced + timedelta(seconds=21 + 4 * n), [lookup.replace("ADDRESS", pod["status"]["podIP"])] * 26, every_s=51),
        )  # fmt: skip
    chatter(stage, "bookings/agenda", [
        "<%Y-%m-%dT%H:%M:%S.%3>Z error: GET /agenda failed Error: getaddrinfo EAI_AGAIN store\n    at GetAddrInfoReqWrap.onlookupall [as oncomplete] (node:dns:122:26) {\n  errno: -3001,\n  code: 'EAI_AGAIN',\n  syscall: 'getaddrinfo',\n  hostname: 'store'\n}",
    ], minutes=21)  # fmt: skip
    chatter(stage, "bookings/notifier", [
        "<%Y-%m-%d %H:%M:%S,%3> ERROR notifier.mail send failed: HTTPSConnectionPool(host='mail.partner.example', port=443): Max retries exceeded with url: /send (Caused by NameResolutionError(\"<urllib3.connection.HTTPSConnection object>: Failed to resolve 'mail.partner.example' ([Errno -3] Temporary failure in name resolution)\"))",
    ], count=20, minutes=21)  # fmt: skip
    chatter(
        stage,
        "bookings/store",
        ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"],
        count=5,
        minutes=25,
    )
    chatter(
        stage,
        "venues/search",
        [
            '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"search","hits":<1-80>,"upstream":"geo.partner.example","ms":<11-70>}'
        ],
    )
    for pod in stage.pods("kube-system/coredns"):
        stage.log(f"kube-system/{pod['metadata']['name']}", printed(stage.ago(minutes=24500), [
            ".:53",
            "[INFO] plugin/reload: Running configuration SHA512 = 591cf328cccc12bc490481273e738df59329c62c0b729d94e8b61db9961c2fa5f046dd37f1cf888b953814040d180f52594972691cd6ff41be96639138a43908",
            "CoreDNS-1.14.2",
            "linux/amd64, go1.26.1, dd1df4f",
        ], every_s=0.1))  # fmt: skip
    stage.metric("coredns_responses", 'sum by (rcode) (rate(coredns_dns_responses_total[2m]))', [
        ({"rcode": "NOERROR"}, [62, 64, 61, 63, 65, 62, 60, 44, 31, *[29, 30, 28, 31] * 5]),
        ({"rcode": "NXDOMAIN"}, [20, 21, 20, 22, 20, 21, 19, 13, 9, *[8, 9, 8, 9] * 5]),
        ({"rcode": "SERVFAIL"}, [0] * 29),
    ])  # fmt: skip
    stage.fire(minutes_ago=15)
