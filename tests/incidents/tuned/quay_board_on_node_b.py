"""Two faults on one node: its root disk is mounted read-only, and a release beside it has lost the program that its probe starts."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import (
    config_map,
    container,
    daemon_set,
    deployment,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="node-b's file system went read-only after an I/O error, so berths cannot write; on the same node the new tides lacks grpc_health_probe and its rollout stands",
    half=Half.tuned,
    story=(
        "The kernel of node-b met an error of its disk and mounted the file system read-only twenty-three minutes ago, as node-problem-detector says. berths keeps its log there and"
        " refuses to answer; the harbour's board shows no berths. Half an hour before, tides 2.9.0 was released from a smaller base image without the program that its readiness"
        " probe starts. Its new pod runs on the same node, by the antenna, and never becomes ready; the old pods go on."
    ),
    sources=[
        "https://github.com/kubernetes/node-problem-detector/blob/master/config/readonly-monitor.json",
        "https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/",
        "https://github.com/grpc-ecosystem/grpc-health-probe",
        "https://kubernetes.io/docs/tasks/debug/debug-cluster/monitor-node-health/",
    ],
    labels={"alertname": "BoardErrorsHigh", "severity": "critical", "namespace": "quay", "service": "board"},
    annotations={"summary": "board answers more than a quarter of its requests with an error."},
    causes=["Node/_cluster/node-b"],
    says=[["read-only", "readonly"], ["node-b"]],
    innocent=["Deployment/quay/board", "Service/quay/board", "StatefulSet/quay/berths"],
    second=["Deployment/quay/tides"],
    traits=frozenset({Trait.two_faults, Trait.innocent}),
    authored=["node-problem-detector"],
)  # fmt: skip

GONE = 'OCI runtime exec failed: exec failed: unable to start container process: exec: "/bin/grpc_health_probe": stat /bin/grpc_health_probe: no such file or directory'
ANTENNA = {"quay.example.com/antenna": "yes"}


def play(stage: Stage) -> None:
    stage.kubectl("label", "node", "node-b", "quay.example.com/antenna=yes")
    asked = {"exec": {"command": ["/bin/grpc_health_probe", "-addr=:9000"]}, "periodSeconds": 10}
    stage.apply([
        *system(),
        daemon_set("kube-system/node-problem-detector", container("node-problem-detector", "node-problem-detector:v1.35.1", memory=("32Mi", "96Mi"), args=["--config.system-log-monitor=/config/kernel-monitor.json,/config/readonly-monitor.json"]), pod={"tolerations": [{"operator": "Exists"}]}),
        stateful_set("quay/berths", container("berths", "quay/berths:4.2.0", port=8080, ready="/ready", mounts={"log": "/var/lib/berths"}), pod={"nodeSelector": {"kubernetes.io/hostname": "node-b"}, "volumes": [{"name": "log", "hostPath": {"path": "/srv/berths", "type": "DirectoryOrCreate"}}]}),
        service("quay/berths", 80, 8080),
        deployment("quay/tides", container("tides", "quay/tides:2.8.3", port=9000, readinessProbe=asked), pod={"nodeSelector": ANTENNA}), service("quay/tides", 9000),
        deployment("quay/weather", container("weather", "quay/weather:7.1.1", port=8080, ready="/ready")), service("quay/weather", 80, 8080),
        deployment("quay/board", container("board", "quay/board:30.1.0", port=3000, ready="/up", env={"BERTHS_URL": "http://berths.quay.svc", "TIDES_ADDR": "tides.quay.svc:9000", "WEATHER_URL": "http://weather.quay.svc"}), replicas=3), service("quay/board", 80, 3000),
        config_map("quay/ships", {"ships.csv": "9074729,Example Star\n"}),
        deployment("yard/cranes", container("cranes", "yard/cranes:5.5.0", port=8080, ready="/ready"), replicas=3), service("yard/cranes", 80, 8080),
        deployment("yard/gates", container("gates", "yard/gates:1.0.8", port=8080, ready="/ready")), service("yard/gates", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=18, hours=4)
    old = {p["metadata"]["name"] for p in stage.pods("quay/tides-")}
    stage.hold("quay/tides-")
    stage.kubectl(
        "set", "image", "deployment/tides", "tides=registry.example.com/quay/tides:2.9.0", "-n", "quay"
    )
    stage.placed("quay/tides-", 3)
    (fresh,) = {p["metadata"]["name"] for p in stage.pods("quay/tides-")} - old
    stage.wait(seconds=6)
    pod = stage.pods(f"quay/{fresh}")[0]
    stage.kubelets["node-b"].begin(pod, at=stage.clock.real(stage.now), pulled="1.904s")
    stage.told(pod, "Unhealthy", f"Readiness probe errored and resulted in unknown state: {GONE}: unknown", kind="Warning", count=18, container="tides")  # fmt: skip
    stage.wait(minutes=14)
    stage.edit("configmaps/quay/ships", lambda body: body["data"].update({"ships.csv": "9074729,Example Star\n9321483,Example Moon\n"}))  # fmt: skip
    stage.wait(minutes=16)
    since = stage.now
    stage.node_condition("node-b", "ReadonlyFilesystem", "True", "FilesystemIsReadOnly", "EXT4-fs (nvme0n1p1): Remounting filesystem read-only")  # fmt: skip
    for kind, why, words in (("KernelDeadlock", "KernelHasNoDeadlock", "kernel has no deadlock"), ("CorruptDockerOverlay2", "NoCorruptDockerOverlay2", "docker overlay2 is functioning properly")):  # fmt: skip
        stage.node_condition("node-b", kind, "False", why, words)
    node = stage.get("nodes/_cluster/node-b")
    stage.event(node, "FilesystemIsReadOnly", "Node condition ReadonlyFilesystem is now: True, reason: FilesystemIsReadOnly, message: \"EXT4-fs (nvme0n1p1): Remounting filesystem read-only\"", component="readonly-monitor")  # fmt: skip
    stage.wait(seconds=20)
    stage.unready("quay/berths", "HTTP probe failed with statuscode: 503", failures=3)
    stage.wait(minutes=22, seconds=40)
    for what in stage.pods("quay/berths"):
        stage.told(what, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", kind="Warning", count=130, container="berths")  # fmt: skip
    stage.told(stage.pods(f"quay/{fresh}")[0], "Unhealthy", f"Readiness probe errored and resulted in unknown state: {GONE}: unknown", kind="Warning", count=300, container="tides")  # fmt: skip
    stage.heartbeat()
    _logs(stage, fresh, since)
    _metrics(stage)
    stage.fire(minutes_ago=18)


def _logs(stage: Stage, fresh: str, since) -> None:
    kept = "<%Y-%m-%dT%H:%M:%S.%3>Z INFO berths::log entry <10000-99999> kept"
    refused = "<%Y-%m-%dT%H:%M:%S.%3>Z ERROR berths::log cannot append to /var/lib/berths/log.0007: Read-only file system (os error 30)"
    stage.log("quay/berths-0", printed(since - timedelta(minutes=10), [*[kept] * 20, *[refused, "<%Y-%m-%dT%H:%M:%S.%3>Z WARN berths::http not ready, answering 503"] * 22], every_s=30))  # fmt: skip
    for pod in stage.pods("quay/tides-"):
        name = pod["metadata"]["name"]
        first = ["tides 2.9.0: serving gRPC on :9000"] if name == fresh else []
        stage.log(f"quay/{name}", printed(stage.ago(minutes=52), [*first, *["INFO tides: gauge read, level <100-400> cm"] * 24], every_s=128))  # fmt: skip
    bad = '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"no berths on the board","err":"Get \\"http://berths.quay.svc/berths\\": dial tcp 10.96.61.14:80: connect: connection refused"}'
    good = '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"GET /board","status":200,"ms":<8-40>}'
    for n, pod in enumerate(stage.pods("quay/board-")):
        stage.log(f"quay/{pod['metadata']['name']}", printed(since - timedelta(minutes=8, seconds=-3 * n), [*[good] * 16, *[bad, good] * 22], every_s=31))  # fmt: skip
    chatter(stage, "quay/weather", ["INFO weather: wind <1-9> m/s"], count=12, minutes=60)
    chatter(stage, "yard/cranes", ["INFO cranes: lift <1000-9999> done"], count=12, minutes=60)
    chatter(stage, "yard/gates", ["INFO gates: lorry <100-999> in"], count=12, minutes=60)


def _metrics(stage: Stage) -> None:
    """Once a minute for two hours."""
    count, since = 120, 23
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "quay", "service": "board"}, [*about(0.0005, count - since, noise=0.9), *about(0.41, since, noise=0.1)]),
        ({"namespace": "quay", "service": "weather"}, about(0.0004, count, noise=0.9)),
        ({"namespace": "yard", "service": "cranes"}, about(0.0004, count, noise=0.9)),
    ])  # fmt: skip
    stage.metric("problem", 'sum by (node, type, reason) (problem_gauge{type="ReadonlyFilesystem"})', [
        ({"node": name, "type": "ReadonlyFilesystem", "reason": "FilesystemIsReadOnly"}, [*[0.0] * (count - since), *[1.0 if name == "node-b" else 0.0] * since]) for name in ("node-a", "node-b", "node-c")
    ])  # fmt: skip
