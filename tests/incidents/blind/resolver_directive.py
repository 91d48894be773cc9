"""A Corefile edited two days ago is read for the first time when CoreDNS is restarted; applications lose their names."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import COREFILE, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="CoreDNS does not start with a Corefile that uses a plugin removed long ago",
    half=Half.blind,
    story="Somebody adds a stub domain with `proxy`, a directive that CoreDNS has not had since 1.5. `reload` refuses it "
    "and keeps the old configuration, so nobody notices. Two days later both CoreDNS pods are deleted to "
    "restart them; neither starts, and every application that looks up a name fails.",
    sources=[
        "https://coredns.io/2019/04/06/coredns-1.5.0-release/",
        "https://kubernetes.io/docs/tasks/administer-cluster/dns-debugging-resolution/",
        "https://coredns.io/plugins/reload/",
        "https://kubernetes-on-aws.readthedocs.io/en/latest/postmortems/jan-2019-dns-outage.html",
    ],
    labels={
        "alertname": "KubeDeploymentReplicasMismatch",
        "namespace": "checkout",
        "deployment": "cart-api",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    annotations={
        "summary": "Deployment has not matched the expected number of replicas.",
        "description": "Deployment checkout/cart-api has not matched the expected number of replicas for longer than 15 minutes.",
    },
    causes=["ConfigMap/kube-system/coredns"],
    says=[["proxy"], ["Corefile"], ["Unknown directive", "parsing", "not known", "unknown plugin", "does not know"]],
    innocent=["Deployment/checkout/cart-api"],
    traits=frozenset({Trait.innocent}),
)  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        deployment("checkout/cart-api", container("api", "checkout/cart-api:3.61.0", port=3000, ready="/ready", env={"PAYMENTS_URL": "http://payments.payments.svc.cluster.local", "REDIS_HOST": "carts.checkout.svc.cluster.local"}), replicas=3),
        service("checkout/cart-api", 80, 3000),
        stateful_set("checkout/carts", container("valkey", "library/valkey:9.0.0", port=6379)),
        service("checkout/carts", 6379, headless=True),
        deployment("payments/payments", container("payments", "payments/payments:8.8.1", port=8080, ready="/healthz")),
        service("payments/payments", 80, 8080),
        deployment("geo/tiles", container("tiles", "geo/tiles:1.44", port=8080, ready="/health")),
        service("geo/tiles", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=20, hours=5)

    def stub(body: Body) -> None:
        body["data"]["Corefile"] = (
            COREFILE + "corp.example.com:53 {\n    errors\n    cache 30\n    proxy . 10.60.0.53\n}\n"
        )

    stage.edit("configmap/kube-system/coredns", stub)
    stage.wait(days=2, hours=4)
    stage.hold("kube-system/coredns")
    stage.kubectl("delete", "pods", "-l", "k8s-app=kube-dns", "-n", "kube-system", "--wait=false")
    stage.calm()
    stage.wait(seconds=40)
    stage.unready("checkout/cart-api", "HTTP probe failed with statuscode: 503", count=3, failures=4)
    stage.crash(
        "kube-system/coredns", code=1, restarts=8, lives_s=1, count=2,
        log="/etc/coredns/Corefile:24 - Error during parsing: Unknown directive 'proxy'",
    )  # fmt: skip
    stage.unready("checkout/cart-api", "HTTP probe failed with statuscode: 503", count=3, failures=128)
    chatter(stage, "checkout/cart-api", [
        '{"level":"error","time":"<%Y-%m-%dT%H:%M:%S.%3Z>","pid":1,"err":{"message":"getaddrinfo EAI_AGAIN carts.checkout.svc.cluster.local","code":"EAI_AGAIN","syscall":"getaddrinfo","hostname":"carts.checkout.svc.cluster.local"},"msg":"redis: connection error"}',
        '{"level":"error","time":"<%Y-%m-%dT%H:%M:%S.%3Z>","pid":1,"err":{"message":"getaddrinfo EAI_AGAIN payments.payments.svc.cluster.local","code":"EAI_AGAIN","syscall":"getaddrinfo","hostname":"payments.payments.svc.cluster.local"},"msg":"payment session failed"}',
        '{"level":"warn","time":"<%Y-%m-%dT%H:%M:%S.%3Z>","pid":1,"msg":"readiness: redis not connected","attempts":<20-160>}',
    ], count=42)  # fmt: skip
    stage.log("checkout/carts", printed(stage.ago(minutes=19), [
        "1:M <%d %b %Y %H:%M:%S.%3> * 100 changes in 300 seconds. Saving...",
        "1:M <%d %b %Y %H:%M:%S.%3> * Background saving terminated with success",
    ], every_s=2))  # fmt: skip
    chatter(stage, "geo/tiles", [
        'ts=<%Y-%m-%dT%H:%M:%S.%3Z> level=info msg=request method=GET path=/12/<2000-2200>/<1300-1400>.pbf status=200 bytes=<9000-40000> took=<2-9>ms',
    ])  # fmt: skip
    chatter(stage, "payments/payments", [
        "<%Y-%m-%dT%H:%M:%S.%3Z> ERROR 1 --- [payments] [    scheduling-1] c.e.p.acquirer.SettlementPoller          : poll failed: I/O error on GET request for \"https://acquirer.example.com/settlements\": acquirer.example.com: Temporary failure in name resolution",
        "<%Y-%m-%dT%H:%M:%S.%3Z>  INFO 1 --- [payments] [nio-8080-exec-<1-9>] c.e.p.web.HealthController               : liveness ok",
    ], count=14)  # fmt: skip
    stage.heartbeat()
    stage.fire(minutes_ago=5)
