"""A node was rebooted for its kernel, undrained; callers saw errors for four minutes, and everything is back."""

from __future__ import annotations

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="node-c was rebooted and bookings failed for four minutes; all pods are back and the slow budget alert still fires",
    half=Half.tuned,
    story=(
        "A person rebooted node-c for a new kernel. For four minutes a third of the requests met pods that did not answer."
        " The node came back, its pods were started again, and for half an hour all requests have been answered. An alert"
        " over six hours and thirty minutes takes that long to end. A ConfigMap's new greeting is of no consequence."
    ),
    sources=[
        "https://sre.google/workbook/alerting-on-slos/#6-multiwindow-multi-burn-rate-alerts",
        "https://kubernetes.io/docs/reference/node/node-status/",
        "https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kubelet_node_status.go",
    ],
    labels={
        "alertname": "ErrorBudgetBurn", "namespace": "travel", "service": "bookings", "severity": "warning", "slo": "bookings-availability",
        "long": "6h", "short": "30m",
    },
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip


def play(stage: Stage) -> None:
    apart = {"topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"tier": "api"}},
    }]}  # fmt: skip
    stage.apply(system())
    stage.apply([
        config_map("travel/texts", {"greeting": "Where to?"}),
        deployment("travel/bookings", container("bookings", "travel/bookings:21.3.0", port=8080, ready="/readyz", alive="/livez", env={
            "SEATS": "http://seats.travel.svc.cluster.local:8080", "DB": "bookings-db.travel.svc.cluster.local:5432",
        }, envFrom=[{"configMapRef": {"name": "texts"}}]), replicas=3, labels={"tier": "api"}, pod=apart),
        service("travel/bookings", 80, 8080),
        deployment("travel/seats", container("seats", "travel/seats:8.0.4", port=8080, ready="/readyz"), replicas=3, labels={"tier": "api"}, pod=apart),
        service("travel/seats", 8080),
        stateful_set("travel/bookings-db", container("postgres", "postgres:17.2", port=5432, memory=("1Gi", "2Gi")), pod={"nodeSelector": {"kubernetes.io/hostname": "node-a"}}),
        service("travel/bookings-db", 5432, headless=True),
        deployment("edge/front", container("envoy", "envoy:v1.36.2", port=8080, ready="/ready", env={"UPSTREAM": "bookings.travel.svc.cluster.local:80"}), replicas=2, pod={"nodeSelector": {"kubernetes.io/hostname": "node-a"}}),
        service("edge/front", 80, 8080),
        deployment("tools/wiki", container("wiki", "tools/wiki:2.5.9", port=3000, ready="/"), replicas=1),
        service("tools/wiki", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=27, hours=6)
    stage.edit("configmaps/travel/texts", lambda body: body["data"].update(greeting="Where to next?"))
    stage.wait(minutes=40)
    _reboot(stage)
    stage.wait(minutes=31)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=32)


def _reboot(stage: Stage) -> None:
    """Down for less than the node controller's grace of forty seconds and a bit: no pod is moved."""
    stage.node_condition("node-c", "Ready", "False", "KubeletNotReady", "container runtime is down")
    stage.wait(minutes=3, seconds=40)
    node = stage.get("nodes/_cluster/node-c")
    stage.event(node, "Starting", "Starting kubelet.", kind="Normal", component="kubelet")
    stage.event(
        node,
        "Rebooted",
        "Node node-c has been rebooted, boot id: 7b1f5a52-3c0e-4a26-9a0b-0d2c8f6e91aa",
        component="kubelet",
    )
    there = [
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for namespace in ("kube-system", "travel", "edge", "tools")
        for pod in stage.pods(f"{namespace}/")
        if pod["spec"].get("nodeName") == "node-c"
    ]
    stage.hold(*there)
    stage.node_condition("node-c", "Ready", "True", "KubeletReady", "kubelet is posting ready status")
    stage.event(node, "NodeReady", "Node node-c status is now: NodeReady", kind="Normal", component="kubelet")
    for place in there:
        stage.recovered(place, restarts=1, code=255, reason="Unknown", lived_s=27 * 86400, waited_s=225)
    stage.calm()


def _logs(stage: Stage) -> None:
    good = "<%Y-%m-%dT%H:%M:%S.%3>Z info  POST /v1/bookings 201 <30-70>ms"
    bad = '[<%Y-%m-%dT%H:%M:%S.%3>Z] "POST /v1/bookings HTTP/1.1" 503 UF,URX upstream_reset_before_response_started{connection_timeout} - 145 91 3003 - "-" "10.244.2.<4-9>:8080"'
    fine = '[<%Y-%m-%dT%H:%M:%S.%3>Z] "POST /v1/bookings HTTP/1.1" 201 - via_upstream - 145 412 <30-80> <30-80> "-" "10.244.<0-2>.<4-9>:8080"'
    for pod in stage.pods("edge/front"):
        # The outage lay between 35 and 31 minutes ago.
        stage.log(
            f"edge/{pod['metadata']['name']}",
            printed(
                stage.ago(minutes=36),
                [fine, fine, fine, *([bad, fine, fine] * 3), *([fine] * 60)],
                every_s=29,
            ),
        )
    for pod in stage.pods("travel/bookings-"):
        if not pod["metadata"]["name"].startswith("bookings-db"):
            begin = stage.ago(minutes=30 if pod["spec"]["nodeName"] == "node-c" else 40)
            stage.log(f"travel/{pod['metadata']['name']}", printed(begin, [good] * 50, every_s=35))
    chatter(stage, "travel/seats", ["<%Y-%m-%dT%H:%M:%S.%3>Z info  GET /v1/seats 200 <6-12>ms"], count=24)
    chatter(
        stage,
        "travel/bookings-db",
        ["<%Y-%m-%d %H:%M:%S.%3> UTC [31] LOG:  checkpoint starting: time"],
        count=5,
    )
    chatter(stage, "tools/wiki", ["<%Y-%m-%dT%H:%M:%S.%3>Z [MASTER] info: GET / 200"], count=6)


def _metrics(stage: Stage) -> None:
    ratio = 'sum by (service) (rate(http_requests_total{service="bookings",code=~"5.."}[1m])) / sum by (service) (rate(http_requests_total{service="bookings"}[1m]))'
    stage.metric("bookings_error_ratio", ratio, [
        ({"namespace": "travel", "service": "bookings"}, [*about(0.0003, 145, noise=0.3), 0.21, *about(0.31, 3, noise=0.1), *slope(0.12, 0.0004, 2), *about(0.0003, 29, noise=0.3)]),
    ])  # fmt: skip
    usage = "sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total[5m]))"
    series = [
        (
            {
                "namespace": "travel",
                "pod": pod["metadata"]["name"],
                "container": pod["spec"]["containers"][0]["name"],
            },
            about(0.21, 180, of=pod["metadata"]["name"]),
        )
        for pod in stage.pods("travel/")
    ]
    stage.metric("cpu", usage, series)
