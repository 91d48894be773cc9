"""Two faults at once: a broker's memory mark is a tenth of what it was since its restart, and a hardened Deployment's image runs as root."""

from __future__ import annotations

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="RabbitMQ blocks publishers above 150 MB since a restart made an edit of four days ago hold, and courier's new pod may not run as root",
    half=Half.tuned,
    story=(
        "Four days ago the broker's settings were tidied up and vm_memory_high_watermark.absolute lost a zero. Nothing happened until the broker was restarted for a patch 35 minutes"
        " ago: since then it is above its mark at all times and blocks who publishes. The checkout waits for confirmations and answers 503. In the same hour courier was told to run"
        " as somebody else than root, which its image does not: the new pod is not created, the old ones go on."
    ),
    sources=[
        "https://www.rabbitmq.com/docs/memory",
        "https://www.rabbitmq.com/docs/alarms",
        "https://kubernetes.io/docs/tasks/configure-pod-container/security-context/",
    ],
    labels={"alertname": "ErrorBudgetBurn", "severity": "critical", "namespace": "market", "service": "checkout", "long_window": "1h", "short_window": "5m"},
    annotations={"summary": "checkout burns its error budget 14 times too fast."},
    causes=["ConfigMap/market/mq-conf", "StatefulSet/market/mq"],
    says=[["watermark", "memory alarm", "memory resource limit", "memory limit"], ["150MB", "150 MB", "mq-conf"]],
    innocent=["Deployment/market/checkout", "Service/market/checkout", "Deployment/web/front"],
    second=["Deployment/market/courier"],
    traits=frozenset({Trait.two_faults, Trait.innocent}),
)  # fmt: skip

CONF = """\
cluster_name = market
vm_memory_high_watermark.absolute = {mark}
disk_free_limit.absolute = 2GB
consumer_timeout = 3600000
"""


def play(stage: Stage) -> None:
    broker = {"AMQP_URL": "amqp://mq.market.svc.cluster.local:5672"}
    stage.apply([
        *system(),
        config_map("market/mq-conf", {"rabbitmq.conf": CONF.format(mark="1500MB")}),
        stateful_set("market/mq", container("rabbitmq", "rabbitmq:4.1.4", port=5672, memory=("1Gi", "2Gi"), mounts={"conf": "/etc/rabbitmq/conf.d"}), pod={"volumes": [{"name": "conf", "configMap": {"name": "mq-conf"}}]}),
        service("market/mq", 5672, headless=True),
        deployment("market/checkout", container("checkout", "market/checkout:31.4.0", port=8080, ready="/ready", alive="/alive", env={**broker, "PRICES_URL": "http://prices.market.svc"}), replicas=3), service("market/checkout", 80, 8080),
        deployment("market/prices", container("prices", "market/prices:6.2.0", port=8080, ready="/ready")), service("market/prices", 80, 8080),
        deployment("market/mailer", container("mailer", "market/mailer:4.4.2", env=broker)),
        deployment("market/courier", container("courier", "market/courier:2.7.0", port=8080, ready="/ready", env={"CARRIER_URL": "https://carrier.example.net"})), service("market/courier", 80, 8080),
        deployment("web/front", container("front", "web/front:18.0.0", port=3000, ready="/up", env={"CHECKOUT_URL": "http://checkout.market.svc", "PRICES_URL": "http://prices.market.svc"}), replicas=3), service("web/front", 80, 3000),
        config_map("web/texts", {"thanks": "Thank you"}),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=13, hours=2)
    stage.edit("configmaps/market/mq-conf", lambda body: body["data"].update({"rabbitmq.conf": CONF.format(mark="150MB")}))  # fmt: skip
    stage.wait(days=4, hours=1, minutes=20)
    stage.edit("deployments/market/courier", _not_root)
    old = {p["metadata"]["name"] for p in stage.pods("market/courier-")}
    stage.hold("market/courier-")
    stage.placed("market/courier-", 3)
    (fresh,) = {p["metadata"]["name"] for p in stage.pods("market/courier-")} - old
    why = f'container has runAsNonRoot and image will run as root (pod: "{fresh}_market({_uid(stage, fresh)})", container: courier)'
    stage.stuck(f"market/{fresh}", "CreateContainerConfigError", why, event=("Failed", f"Error: {why}"))
    stage.wait(minutes=12)
    stage.kubectl("set", "image", "statefulset/mq", "rabbitmq=registry.example.com/rabbitmq:4.1.5", "-n", "market")  # fmt: skip
    stage.calm(unfinished=["market/courier"])
    restarted = stage.now
    stage.wait(minutes=9)
    stage.kubectl("set", "image", "deployment/prices", "prices=registry.example.com/market/prices:6.2.1", "-n", "market")  # fmt: skip
    stage.calm(unfinished=["market/courier"])
    stage.wait(minutes=25)
    stage.stuck(f"market/{fresh}", "CreateContainerConfigError", why, event=("Failed", f"Error: {why}"))
    stage.heartbeat()
    _logs(stage, restarted)
    _metrics(stage)
    stage.fire(minutes_ago=28)


def _not_root(body: Body) -> None:
    (one,) = body["spec"]["template"]["spec"]["containers"]
    one["securityContext"] = {"runAsNonRoot": True, "allowPrivilegeEscalation": False}


def _uid(stage: Stage, name: str) -> str:
    uid: str = stage.get(f"pods/market/{name}")["metadata"]["uid"]
    return uid


def _logs(stage: Stage, restarted) -> None:
    stars = "**********************************************************"
    stage.log("market/mq-0", printed(restarted, [
        "<%Y-%m-%d %H:%M:%S.%3>105+00:00 [info] <0.9.0> Server startup complete; 4 plugins started.",
        "<%Y-%m-%d %H:%M:%S.%3>412+00:00 [info] <0.481.0> Memory high watermark set to 143 MiB (150000000 bytes) of 16037 MiB (16816197632 bytes) total",
        f"<%Y-%m-%d %H:%M:%S.%3>640+00:00 [info] <0.481.0> vm_memory_high_watermark set. Memory used:298844160 allowed:150000000\n<%Y-%m-%d %H:%M:%S.%3>641+00:00 [warning] <0.479.0> memory resource limit alarm set on node rabbit@mq-0.\n{stars}\n*** Publishers will be blocked until this alarm clears ***\n{stars}",
        *["<%Y-%m-%d %H:%M:%S.%3>021+00:00 [info] <0.<2000-9000>.0> connection 10.244.<0-2>.<3-20>:<40000-60000> -> 10.244.1.7:5672: user 'market' authenticated and granted access to vhost '/'"] * 12,
    ], every_s=120))  # fmt: skip
    fine = '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"POST /checkout","status":201,"ms":<60-190>}'
    waits = '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"confirmation not sent","err":"amqp: publish to orders timed out after 5s, connection is blocked: low on memory"}'
    failed = '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"POST /checkout","status":503,"ms":<5002-5040>}'
    for n, pod in enumerate(stage.pods("market/checkout-")):
        stage.log(f"market/{pod['metadata']['name']}", printed(stage.ago(minutes=60, seconds=-5 * n), [*[fine] * 24, *[waits, failed] * 34], every_s=38))  # fmt: skip
    chatter(stage, "market/mailer", ["INFO mailer: queue mails is empty, waiting"], count=8, minutes=60)
    chatter(stage, "market/prices", ["INFO prices: GET /prices 200 <3-15>ms"], minutes=25)
    for pod in stage.pods("market/courier-"):
        if pod["status"]["phase"] == "Running":
            stage.log(f"market/{pod['metadata']['name']}", printed(stage.ago(minutes=60), ["INFO courier: label <100000-999999> fetched in <200-600>ms"] * 20, every_s=170))  # fmt: skip
    chatter(stage, "web/front", ['{"level":50,"req":{"method":"POST","url":"/pay"},"res":{"statusCode":503},"responseTime":<5010-5060>,"err":"POST http://checkout.market.svc/checkout: 503 Service Unavailable","msg":"request errored"}', '{"level":30,"req":{"method":"GET","url":"/"},"res":{"statusCode":200},"responseTime":<9-30>,"msg":"request completed"}'], minutes=28)  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Once a minute for two hours; the broker was restarted 35 minutes ago."""
    count, since = 120, 35
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "market", "service": "checkout"}, [*about(0.0005, count - since, noise=0.9), *about(0.94, since, noise=0.03)]),
        ({"namespace": "market", "service": "prices"}, about(0.0004, count, noise=0.9)),
        ({"namespace": "web", "service": "front"}, [*about(0.0005, count - since, noise=0.9), *about(0.21, since, noise=0.1)]),
    ])  # fmt: skip
    stage.metric("published", 'sum by (namespace, job) (rate(rabbitmq_global_messages_received_total{namespace="market"}[5m]))', [
        ({"namespace": "market", "job": "mq"}, [*about(21, count - since, noise=0.15), *[0.0] * since]),
    ])  # fmt: skip
    stage.metric("alarm", 'max by (namespace, pod) (rabbitmq_alarms_memory_used_watermark{namespace="market"})', [
        ({"namespace": "market", "pod": "mq-0"}, [*[0.0] * (count - since), *[1.0] * since]),
    ])  # fmt: skip
    stage.metric("memory", 'sum by (namespace, pod) (container_memory_working_set_bytes{namespace="market",container="rabbitmq"})', [
        ({"namespace": "market", "pod": "mq-0"}, [*about(4.6e8, count - since, noise=0.06), *about(3.0e8, since, noise=0.02)]),
    ])  # fmt: skip
