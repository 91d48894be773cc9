"""More than half of the DNS answers are NXDOMAIN while reports are sent, as every morning: search suffixes are tried."""

from __future__ import annotations

from tests.incidents.curves import about, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import (
    COREFILE,
    config_map,
    container,
    deployment,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="Many NXDOMAIN answers while reports go out, as every weekday: hosts outside the cluster are tried with its suffixes first",
    half=Half.tuned,
    story=(
        "With ndots:5 a resolver tries each outside host with the cluster's search suffixes before it asks for the name"
        " itself. The courier looks up hundreds of customers' hosts at eight o'clock, so that three of four answers are"
        " NXDOMAIN. It was so on all days before; no server fails, nothing is slow, and all reports go out. The cache"
        " was lengthened last week and the courier was scaled up this morning, both for good reasons."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-config",
        "https://coredns.io/plugins/metrics/",
        "https://man7.org/linux/man-pages/man5/resolv.conf.5.html",
    ],
    labels={
        "alertname": "CoreDNSNXDomainRatioHigh", "namespace": "kube-system", "job": "coredns", "service": "kube-dns", "severity": "warning",
    },
    annotations={"summary": "More than half of the answers of CoreDNS are NXDOMAIN."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply(system())
    stage.apply([
        config_map("reports/courier", {"window": "08:00-08:40", "retries": "3"}),
        deployment("reports/courier", container("courier", "reports/courier:5.6.0", port=8080, ready="/healthz", env={"QUEUE": "amqp://queue.reports.svc.cluster.local:5672"}, envFrom=[{"configMapRef": {"name": "courier"}}]), replicas=2),
        service("reports/courier", 8080),
        stateful_set("reports/queue", container("rabbitmq", "rabbitmq:4.0.5", port=5672, memory=("512Mi", "1Gi"))),
        service("reports/queue", 5672, headless=True),
        deployment("shop/web", container("web", "shop/web:55.0.1", port=3000, ready="/", env={"CART": "http://cart.shop.svc.cluster.local:8080"}), replicas=3),
        service("shop/web", 80, 3000),
        deployment("shop/cart", container("cart", "shop/cart:11.0.2", port=8080, ready="/healthz"), replicas=2),
        service("shop/cart", 8080),
        deployment("shop/preview", container("preview", "shop/preview:0.3.0", port=3000), replicas=0),
        service("shop/preview", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=41)
    stage.edit(
        "configmaps/kube-system/coredns",
        lambda body: body["data"].update(Corefile=COREFILE.replace("cache 30", "cache 60")),
    )
    stage.wait(days=6, hours=22, minutes=18)
    stage.kubectl("scale", "deployment/courier", "--replicas=3", "-n", "reports")
    stage.calm()
    stage.wait(minutes=44)
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=12)


def _logs(stage: Stage) -> None:
    sent = "<%Y-%m-%dT%H:%M:%S.%3>Z INFO  sent report r-<100000-999999> to <10-99>.customers.example.net in <200-900>ms"
    again = "<%Y-%m-%dT%H:%M:%S.%3>Z WARN  report r-<100000-999999>: 451 4.7.1 greylisted, second try in 300s"
    for pod in stage.pods("reports/courier"):
        stage.log(
            f"reports/{pod['metadata']['name']}",
            printed(stage.ago(minutes=28), [*[sent] * 17, again, *[sent] * 14] * 2, every_s=25),
        )
    for pod in stage.pods("kube-system/coredns"):
        begin = [
            ".:53",
            "[INFO] plugin/reload: Running configuration SHA512 = 0d2f1f1c0d<1000-9999>e1b7c3f0",
            "CoreDNS-1.14.2",
            "linux/amd64, go1.25.3, 5f1a2c3",
        ]
        stage.log(
            f"kube-system/{pod['metadata']['name']}",
            printed(stage.ago(minutes=60 * 24 * 6), begin, every_s=1),
        )
    chatter(stage, "shop/web", ["[<%d/%b/%Y:%H:%M:%S> +0000] GET /basket 200 <10-40>ms"], count=24)
    chatter(
        stage,
        "shop/cart",
        ['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"served","n":<90-140>}'],
        count=16,
    )
    chatter(
        stage,
        "reports/queue",
        [
            "<%Y-%m-%d %H:%M:%S.%3>+00:00 [info] <0.711.0> closing AMQP connection (10.244.1.7:<30000-60000> -> 10.244.2.5:5672)"
        ],
        count=4,
    )


def _metrics(stage: Stage) -> None:
    """Three days, a value every ten minutes; reports go out for forty minutes each day, the last time just now."""
    rates = {
        "NOERROR": [
            line for _ in range(3) for line in [*about(210.0, 140, of="n"), *about(330.0, 4, of="nm")]
        ],
        "NXDOMAIN": [
            line for _ in range(3) for line in [*about(46.0, 140, of="x"), *about(905.0, 4, of="xm")]
        ],
        "SERVFAIL": [0.0] * 432,
    }
    answers = "sum by (rcode) (rate(coredns_dns_responses_total[5m]))"
    stage.metric(
        "coredns_dns_responses_total",
        answers,
        [({"rcode": code}, values) for code, values in rates.items()],
        step_s=600,
    )
    slow = "histogram_quantile(0.99, sum by (le) (rate(coredns_dns_request_duration_seconds_bucket[5m])))"
    stage.metric(
        "coredns_p99", slow, [({"job": "coredns"}, about(0.0031, 432, noise=0.1, of="p99"))], step_s=600
    )
    queue = "sum by (queue) (rabbitmq_queue_messages_ready)"
    waits = [line for _ in range(3) for line in [*[0.0] * 140, 900.0, 520.0, 240.0, 60.0]]
    stage.metric("queue", queue, [({"queue": "reports"}, whole(waits))], step_s=600)
