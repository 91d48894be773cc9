"""A DaemonSet's new arguments name a port of the host that another exporter holds; its update stops at the first node."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import container, daemon_set, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="node-exporter moves to a port of the host that process-exporter listens on",
    half=Half.tuned,
    story=(
        "Argo CD syncs node-exporter with --web.listen-address=:9256 in the place of :9100. Both exporters use the"
        " host's network and neither declares the port, so the scheduler places the pod and its listen call fails."
        " maxUnavailable is 1: two nodes keep the old pod."
    ),
    sources=[
        "https://kubernetes.io/docs/tasks/manage-daemon/update-daemon-set/#daemonset-rollout-is-stuck",
        "https://github.com/prometheus/node_exporter",
        "https://github.com/prometheus/prometheus/wiki/Default-port-allocations",
    ],
    labels={
        "alertname": "TargetDown",
        "namespace": "monitoring",
        "job": "node-exporter",
        "service": "node-exporter",
        "severity": "warning",
    },
    annotations={
        "description": "33.33% of the node-exporter/node-exporter targets in monitoring namespace are down."
    },
    causes=["DaemonSet/monitoring/node-exporter"],
    says=[["9256"], ["address already in use"]],
)


def play(stage: Stage) -> None:
    host = {
        "hostNetwork": True,
        "hostPID": True,
        "tolerations": [{"operator": "Exists", "effect": "NoSchedule"}],
    }
    one_at_a_time = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    exporter = daemon_set(
        "monitoring/node-exporter",
        container("node-exporter", "prometheus/node-exporter:v1.10.2", memory=("64Mi", "128Mi"),
                  args=["--path.rootfs=/host/root", "--web.listen-address=:9100", "--no-collector.wifi"]),
        pod=host, updateStrategy=one_at_a_time,
    )  # fmt: skip
    exporter["metadata"]["annotations"] = {
        "argocd.argoproj.io/tracking-id": "monitoring:apps/DaemonSet:monitoring/node-exporter"
    }
    processes = daemon_set(
        "monitoring/process-exporter",
        container("process-exporter", "ncabatoff/process-exporter:0.8.7", memory=("64Mi", "128Mi"), args=["--procfs=/host/proc", "-web.listen-address=:9256"]),
        pod=host,
    )  # fmt: skip
    stage.apply(system())
    stage.apply([
        exporter, processes, service("monitoring/node-exporter", 9100, headless=True), service("monitoring/process-exporter", 9256, headless=True),
        stateful_set("monitoring/prometheus", container("prometheus", "prometheus/prometheus:v3.8.0", port=9090, ready="/-/ready", memory=("2Gi", "4Gi"))),
        service("monitoring/prometheus", 9090),
        deployment("monitoring/grafana", container("grafana", "grafana/grafana:12.3.0", port=3000, ready="/api/health"), replicas=1),
        service("monitoring/grafana", 3000),
    ], manager="argocd-controller")  # fmt: skip
    stage.calm()
    stage.wait(days=26, hours=2)
    stage.heartbeat()

    def move(body: Body) -> None:
        body["spec"]["template"]["spec"]["containers"][0]["args"][1] = "--web.listen-address=:9256"

    before = {p["metadata"]["uid"] for p in stage.pods("monitoring/node-exporter")}
    stage.hold("monitoring/node-exporter")
    stage.edit("daemonsets/monitoring/node-exporter", move, manager="argocd-controller")
    stage.cluster.until(
        "an old pod is going",
        lambda: any(p["metadata"].get("deletionTimestamp") for p in stage.pods("monitoring/node-exporter")),
    )
    stage.calm()
    stage.cluster.until(
        "a new pod is placed",
        lambda: any(
            p["metadata"]["uid"] not in before and p["spec"].get("nodeName")
            for p in stage.pods("monitoring/node-exporter")
        ),
    )
    fresh = next(
        p["metadata"]["name"]
        for p in stage.pods("monitoring/node-exporter")
        if p["metadata"]["uid"] not in before
    )
    stage.release("monitoring/node-exporter")
    stage.hold(f"monitoring/{fresh}")
    stage.stuck(f"monitoring/{fresh}", "ContainerCreating", "")
    stage.crash(
        f"monitoring/{fresh}",
        restarts=6,
        lives_s=1,
    )
    run = [
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=node_exporter.go:216 msg="Starting node_exporter" version="(version=1.10.2, branch=HEAD, revision=654f19dee6a0c41de78a8d6d870e8c742cdb43b9)"',
        *[f"time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=node_exporter.go:118 msg={name}" for name in ("cpu", "filesystem", "netdev")],
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=ERROR source=node_exporter.go:223 msg="listen tcp :9256: bind: address already in use"',
    ]  # fmt: skip
    for previous in (False, True):
        stage.log(f"monitoring/{fresh}", printed(stage.ago(seconds=13), run, every_s=0.01), previous=previous)
    stage.wait(minutes=4)
    for pod in stage.pods("monitoring/process-exporter"):
        stage.log(f"monitoring/{pod['metadata']['name']}", printed(
            stage.ago(minutes=37500),
            ["<%Y/%m/%d %H:%M:%S> Reading metrics from /host/proc based on \"/config/process.yml\"",
             'ts=<%Y-%m-%dT%H:%M:%S.%3>Z caller=tls_config.go:313 level=info msg="Listening on" address=[::]:9256'],
        ))  # fmt: skip
    for pod in stage.pods("monitoring/node-exporter"):
        if pod["metadata"]["name"] != fresh:
            stage.log(f"monitoring/{pod['metadata']['name']}", printed(stage.ago(minutes=37500), [
                'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=node_exporter.go:216 msg="Starting node_exporter" version="(version=1.10.2, branch=HEAD, revision=654f19dee6a0c41de78a8d6d870e8c742cdb43b9)"',
                'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=tls_config.go:346 msg="Listening on" address=[::]:9100',
            ], every_s=0.1))  # fmt: skip
    chatter(stage, "monitoring/prometheus", [
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=compact.go:615 msg="write block" component=tsdb duration=<1-3>.<100-999>s',
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=head.go:1384 msg="Head GC completed" component=tsdb duration=<20-60>ms',
    ], count=6)  # fmt: skip
    chatter(
        stage,
        "monitoring/grafana",
        [
            'logger=context userId=1 orgId=1 t=<%Y-%m-%dT%H:%M:%S.%3>Z level=info msg="Request Completed" method=GET path=/api/ds/query status=200'
        ],
    )
    stage.fire(minutes_ago=3)
