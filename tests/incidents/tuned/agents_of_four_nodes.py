"""A Windows node has joined; a rule counts nodes and pods of the agent for Linux, and another agent runs there."""

from __future__ import annotations

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.kubelets import MERGE
from tests.incidents.logs import chatter, printed
from tests.incidents.manifests import kube_prometheus
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, daemon_set, deployment, service, system

INCIDENT = Incident(
    title="AgentNotOnEveryNode of collector, which is for Linux: the fourth node runs Windows since this morning and has the collector for it",
    half=Half.tuned,
    story=(
        "Drafting needs a program that there is for Windows only, so a Windows node was added 52 minutes ago. collector and node-exporter select Linux nodes, collector-windows selects Windows,"
        " and so each of the four nodes has its agent. The rule subtracts the ready pods of collector from the number of nodes. Lines of all four nodes arrive. The collector's settings were edited"
        " and its pods restarted three hours ago; one of them had ended by itself a week before."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/windows/user-guide/#ensuring-os-specific-workloads-land-on-the-appropriate-container-host",
        "https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#running-pods-on-select-nodes",
        "https://github.com/kubernetes/kube-state-metrics/blob/main/docs/metrics/workload/daemonset-metrics.md",
    ],
    labels=kube_prometheus("AgentNotOnEveryNode", namespace="watchtower", daemonset="collector"),
    annotations={"summary": "1 node has no ready pod of watchtower/collector, its lines are lost."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip

LINUX = {"nodeSelector": {"kubernetes.io/os": "linux"}, "tolerations": [{"operator": "Exists"}]}
WINDOWS = {"nodeSelector": {"kubernetes.io/os": "windows"}, "tolerations": [{"key": "os", "operator": "Equal", "value": "windows", "effect": "NoSchedule"}]}  # fmt: skip
SETTINGS = "output: http://store.watchtower.svc:9428/insert\nbatch: {lines}\ncompression: zstd\n"


def play(stage: Stage) -> None:
    for node in ("node-a", "node-b", "node-c"):
        stage.kubectl("label", "node", node, "kubernetes.io/os=linux", "--overwrite")
    parts = list(system())
    for part in parts:
        if part["kind"] in ("DaemonSet", "Deployment"):
            part["spec"]["template"]["spec"]["nodeSelector"] = {"kubernetes.io/os": "linux"}
    settings = {"volumes": [{"name": "settings", "configMap": {"name": "collector-settings"}}]}
    stage.apply([
        *parts,
        daemon_set("kube-system/kube-proxy-windows", container("kube-proxy", "sig-windows/kube-proxy:v1.36.3-ltsc2025"), pod={**WINDOWS, "priorityClassName": "system-node-critical"}),
        config_map("watchtower/collector-settings", {"collector.yaml": SETTINGS.format(lines=500)}),
        daemon_set("watchtower/collector", container("collector", "watchtower/collector:1.44.0", mounts={"settings": "/etc/collector"}), pod={**LINUX, **settings}),
        daemon_set("watchtower/collector-windows", container("collector", "watchtower/collector:1.44.0-ltsc2025", mounts={"settings": "/etc/collector"}), pod={**WINDOWS, **settings}),
        daemon_set("watchtower/node-exporter", container("node-exporter", "prom/node-exporter:v1.9.1", port=9100), pod=LINUX),
        daemon_set("watchtower/windows-exporter", container("windows-exporter", "prom/windows-exporter:0.31.3", port=9182), pod=WINDOWS),
        deployment("watchtower/store", container("store", "victoria/logs:v1.36.1", port=9428, ready="/health", memory=("512Mi", "1Gi")), replicas=1, pod={"nodeSelector": {"kubernetes.io/os": "linux"}}), service("watchtower/store", 9428),
        deployment("drafting/desk", container("desk", "drafting/desk:8.2.0", port=8080, ready="/ready", env={"PLOTTER_URL": "http://plotter.drafting.svc"}), pod={"nodeSelector": {"kubernetes.io/os": "linux"}}), service("drafting/desk", 80, 8080),
        deployment("garages/slots", container("slots", "garages/slots:2.0.9", port=8080, ready="/ready"), replicas=3, pod={"nodeSelector": {"kubernetes.io/os": "linux"}}), service("garages/slots", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=14, hours=2)
    stage.recovered(f"watchtower/{stage.pods('watchtower/node-exporter')[2]['metadata']['name']}", restarts=1, code=2, lived_s=900000)  # fmt: skip
    stage.wait(days=6, hours=21)
    stage.edit("configmaps/watchtower/collector-settings", lambda body: body["data"].update({"collector.yaml": SETTINGS.format(lines=1000)}))  # fmt: skip
    stage.restart("daemonsets/watchtower/collector")
    stage.calm()
    stage.wait(hours=2, minutes=8)
    _joins(stage)
    stage.wait(minutes=11)
    stage.apply([
        deployment("drafting/plotter", container("plotter", "drafting/plotter:4.1.0-ltsc2025", port=8080, ready="/ready", cpu="500m", memory=("512Mi", "1Gi")), replicas=1, pod=WINDOWS), service("drafting/plotter", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(minutes=41)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=21)


def _joins(stage: Stage) -> None:
    """A machine of another kind, with the taint that its pool is given."""
    stage.add_node(
        "node-d", labels={"kubernetes.io/os": "windows", "node.kubernetes.io/windows-build": "10.0.26100"}
    )
    stage.kubectl("label", "node", "node-d", "kubernetes.io/os=windows", "--overwrite")
    stage.kubectl("taint", "node", "node-d", "os=windows:NoSchedule", "--overwrite")
    body = stage.get("nodes/_cluster/node-d")
    info = {
        **body["status"].get("nodeInfo", {}), "operatingSystem": "windows", "osImage": "Windows Server 2025 Datacenter", "kernelVersion": "10.0.26100.7171",
        "containerRuntimeVersion": "containerd://2.1.4",
    }  # fmt: skip
    stage.cluster.ask(
        "PATCH",
        "/api/v1/nodes/node-d/status?fieldManager=kubelet",
        {"status": {"nodeInfo": info}},
        kind=MERGE,
    )
    stage.event(body, "Starting", "Starting kubelet.", kind="Normal", component="kubelet")
    stage.calm()


def _logs(stage: Stage) -> None:
    sent = "<%Y-%m-%dT%H:%M:%SZ>\tinfo\tcollector\tsent <200-900> lines to http://store.watchtower.svc:9428/insert in <3-20>ms"
    for pod in stage.pods("watchtower/collector-"):
        name = f"watchtower/{pod['metadata']['name']}"
        if pod["spec"]["nodeName"] == "node-d":
            stage.log(name, printed(stage.ago(minutes=51), [
                "<%Y-%m-%dT%H:%M:%SZ>\tinfo\tcollector\tcollector 1.44.0 (windows/amd64) started on node-d",
                "<%Y-%m-%dT%H:%M:%SZ>\twarn\tcollector\tevent log channel Microsoft-Windows-Hyper-V-Compute-Admin: Access is denied., channel left out",
                *[sent] * 46,
            ], every_s=62))  # fmt: skip
        else:
            chatter(stage, name, [sent, sent, sent, "<%Y-%m-%dT%H:%M:%SZ>\twarn\tcollector\tfile /var/log/pods/<100000-999999>/0.log is gone, was rotated"], minutes=55)  # fmt: skip
    chatter(stage, "watchtower/node-exporter", ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=ERROR source=collector.go:168 msg="collector failed" name=rapl duration_seconds=0.000<100-900> err="open /sys/class/powercap: permission denied"'], count=12, minutes=55)  # fmt: skip
    chatter(stage, "watchtower/windows-exporter", ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="scrape done" duration=<100-300>ms'], count=12, minutes=45)  # fmt: skip
    chatter(stage, "watchtower/store", ["<%Y-%m-%dT%H:%M:%S.%3>Z\tinfo\tVictoriaLogs/lib/logstorage/datadb.go:<400-700>\tmerged <3-9> parts in <20-90>ms"], count=12, minutes=55)  # fmt: skip
    chatter(stage, "drafting/plotter", ["<%Y-%m-%d %H:%M:%S,%3> INFO  Plotter.Jobs - sheet <1000-9999> drawn in <2-9>s", "<%Y-%m-%d %H:%M:%S,%3> WARN  Plotter.Fonts - font ISOCPEUR not found, Arial taken"], count=20, minutes=38)  # fmt: skip
    chatter(stage, "drafting/desk", ["INFO desk: POST /sheets 202 <9-30>ms"], minutes=50)
    chatter(stage, "garages/slots", ["INFO slots: GET /garages/<1-40> 200 <3-12>ms"], minutes=50)


def _metrics(stage: Stage) -> None:
    """Once a minute for four hours; the fourth node joined 53 minutes ago."""
    count, joined = 240, 53
    before = count - joined
    here: Body = {"namespace": "watchtower"}
    stage.metric("nodes", "count(kube_node_info)", [({}, [*[3.0] * before, *[4.0] * joined])])
    for name, query in (("agents-wanted", "kube_daemonset_status_desired_number_scheduled"), ("agents-ready", "kube_daemonset_status_number_ready")):  # fmt: skip
        stage.metric(name, f'{query}{{namespace="watchtower"}}', [
            ({**here, "daemonset": "collector"}, [3.0] * count),
            ({**here, "daemonset": "collector-windows"}, [*[0.0] * before, *[1.0] * joined]),
            ({**here, "daemonset": "node-exporter"}, [3.0] * count),
            ({**here, "daemonset": "windows-exporter"}, [*[0.0] * before, *[1.0] * joined]),
        ])  # fmt: skip
    stage.metric("lines", "sum by (namespace, node) (rate(collector_lines_sent_total[5m]))", [
        *(({**here, "node": node}, about(42, count, noise=0.2, of=node)) for node in ("node-a", "node-b", "node-c")),
        ({**here, "node": "node-d"}, about(7, joined - 2, noise=0.2)),
    ])  # fmt: skip
    stage.metric("dropped", "sum by (namespace, node) (rate(collector_lines_dropped_total[5m]))", [
        *(({**here, "node": node}, [0.0] * count) for node in ("node-a", "node-b", "node-c")),
        ({**here, "node": "node-d"}, [0.0] * (joined - 2)),
    ])  # fmt: skip
