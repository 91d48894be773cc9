"""A node was short of disk for some minutes and put pods out; they run elsewhere or have ended well, and the old ones are still listed."""

from __future__ import annotations

from datetime import datetime

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
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
    title="PodsEvicted of relief: a node that was short of disk for six minutes put two pods out three quarters of an hour ago; the Job's second pod has ended well",
    half=Half.tuned,
    story=(
        "The contours of a valley were drawn by a Job that writes some 20 GiB into a scratch directory, on a node whose disk was four fifths full of images. Its kubelet put the Job's pod and one of"
        " sheets out, deleted images of former versions, and six minutes later had room again. sheets had another pod within a minute; the Job's second pod ran on another node and is complete."
        " Evicted pods are kept as Failed, and the rule counts them. The sheets' legend was edited in the morning, and relief-search has restarted once last week."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/",
        "https://kubernetes.io/docs/concepts/architecture/garbage-collection/#containers-images",
        "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection",
    ],
    labels={"alertname": "PodsEvicted", "severity": "warning", "namespace": "relief", "reason": "Evicted", "job": "kube-state-metrics"},
    annotations={"summary": "2 pods of relief were evicted.", "description": "kube_pod_status_reason{reason=\"Evicted\"} of namespace relief is 2 for 5 minutes."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip

JOB = "contours-valley-11"
PRESSURE = "node.kubernetes.io/disk-pressure"
LOW = "The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 9871Mi. Container {name} was using {used}, request is 0, has larger consumption of ephemeral-storage. "


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        daemon_set("watch/node-exporter", container("node-exporter", "prom/node-exporter:v1.9.1", port=9100), pod={"tolerations": [{"operator": "Exists"}]}),
        deployment("relief/sheets", container("sheets", "relief/sheets:9.3.0", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "heights.relief.svc", "LEGEND": "/etc/sheets/legend.yaml"}, mounts={"legend": "/etc/sheets"}), replicas=5,
                   pod={"volumes": [{"name": "legend", "configMap": {"name": "legend"}}]}), service("relief/sheets", 80, 8080),
        config_map("relief/legend", {"legend.yaml": "forest: green\nrock: grey\n"}),
        stateful_set("relief/heights", container("postgres", "postgis:17-3.5", port=5432, memory=("1Gi", "2Gi"))), service("relief/heights", 5432, headless=True),
        deployment("relief/relief-search", container("search", "relief/search:2.7.1", port=8080, ready="/ready")), service("relief/relief-search", 80, 8080),
        deployment("hikers/routes", container("routes", "hikers/routes:16.0.2", port=3000, ready="/up", env={"SHEETS_URL": "http://sheets.relief.svc", "SEARCH_URL": "http://relief-search.relief.svc"}), replicas=3), service("hikers/routes", 80, 3000),
        deployment("hikers/huts", container("huts", "hikers/huts:4.4.0", port=8080, ready="/ready")), service("hikers/huts", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=9, hours=3)
    stage.recovered(f"relief/{stage.pods('relief/relief-search')[0]['metadata']['name']}", restarts=1, code=143, lived_s=700000)  # fmt: skip
    stage.wait(days=7, hours=21)
    stage.edit("configmaps/relief/legend", lambda body: body["data"].update({"legend.yaml": "forest: green\nrock: grey\nglacier: blue\n"}))  # fmt: skip
    stage.wait(hours=4, minutes=12)
    stage.apply([_job()])
    stage.placed(f"relief/{JOB}")
    stage.calm()
    began = stage.now
    stage.wait(minutes=9)
    node = _short_of_disk(stage, began)
    again = stage.now
    stage.wait(minutes=6)
    _room_again(stage, node)
    stage.wait(minutes=15)
    other = _second(stage, again)
    stage.wait(minutes=25)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage, node, other)
    stage.fire(minutes_ago=41)


def _job() -> Body:
    work = container("contours", "relief/contours:1.9.0", cpu="500m", memory=("512Mi", "1Gi"), args=["--area=valley-11", "--scratch=/scratch"], mounts={"scratch": "/scratch"})  # fmt: skip
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": JOB, "namespace": "relief", "labels": {"app": "contours"}},
        "spec": {"backoffLimit": 4, "template": {
            "metadata": {"labels": {"app": "contours"}},
            "spec": {"restartPolicy": "Never", "containers": [work], "volumes": [{"name": "scratch", "emptyDir": {}}]},
        }},
    }  # fmt: skip


def _short_of_disk(stage: Stage, began: datetime) -> str:
    """The kubelet of the Job's node puts two pods out; returns that node's name."""
    (pod,) = stage.pods(f"relief/{JOB}")
    node, first = pod["spec"]["nodeName"], pod["metadata"]["name"]
    stage.log(f"relief/{first}", printed(began, ["INFO contours: area valley-11, 400 tiles", *["INFO contours: tile <1-90> of 400 done, <100-400> lines"] * 24], every_s=21))  # fmt: skip
    stage.node_condition(node, "DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure", taint=f"{PRESSURE}=:NoSchedule")  # fmt: skip
    body = stage.get(f"nodes/_cluster/{node}")
    stage.event(
        body, "EvictionThresholdMet", "Attempting to reclaim ephemeral-storage", component="kubelet", count=3
    )
    stage.event(body, "NodeHasDiskPressure", f"Node {node} status is now: NodeHasDiskPressure", kind="Normal", component="kubelet")  # fmt: skip
    other = next(p for p in stage.pods("relief/sheets-") if p["spec"]["nodeName"] == node)["metadata"]["name"]
    stage.evicted(f"relief/{first}", LOW.format(name="contours", used="13894Mi"))
    stage.evicted(f"relief/{other}", LOW.format(name="sheets", used="212Mi"))
    stage.calm()
    stage.placed(f"relief/{JOB}", 2)
    stage.calm()
    return node


def _room_again(stage: Stage, node: str) -> None:
    def untainted(body: Body) -> None:
        body["spec"]["taints"] = [one for one in body["spec"].get("taints", []) if one["key"] != PRESSURE]

    stage.node_condition(
        node, "DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"
    )
    stage.edit(f"nodes/_cluster/{node}", untainted, manager="kube-controller-manager")
    body = stage.get(f"nodes/_cluster/{node}")
    stage.event(body, "NodeHasNoDiskPressure", f"Node {node} status is now: NodeHasNoDiskPressure", kind="Normal", component="kubelet")  # fmt: skip


def _second(stage: Stage, began: datetime) -> str:
    """The Job's second pod has done its work; returns the name of its node."""
    pod = next(p for p in stage.pods(f"relief/{JOB}") if p["status"]["phase"] != "Failed")
    stage.kubelets[pod["spec"]["nodeName"]].complete(pod, began=stage.clock.real(began), ended=stage.clock.real(stage.now))  # fmt: skip
    stage.cluster.until("the Job is complete", lambda: bool(stage.get(f"jobs/relief/{JOB}").get("status", {}).get("completionTime")))  # fmt: skip
    stage.log(f"relief/{pod['metadata']['name']}", printed(began, [
        "INFO contours: area valley-11, 400 tiles", "WARN contours: tile 211 has no heights along its edge, taken from its neighbour",
        *["INFO contours: <8-12> tiles done, <1000-4000> lines"] * 38, "INFO contours: 400 of 400 tiles done, stored as valley-11; scratch 19.6 GiB",
    ], every_s=30))  # fmt: skip
    return pod["spec"]["nodeName"]


def _logs(stage: Stage) -> None:
    for pod in stage.pods("relief/sheets-"):
        if pod["status"]["phase"] == "Running":
            chatter(stage, f"relief/{pod['metadata']['name']}", ["INFO  sheets: GET /sheets/<100-900>.pdf 200 <40-160>ms", "INFO  sheets: GET /sheets/<100-900>.pdf 200 <40-160>ms", "WARN  sheets: sheet <100-900> has no name, number taken"], minutes=42)  # fmt: skip
    chatter(stage, "relief/heights", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time", "<%Y-%m-%d %H:%M:%S.%3> UTC [<300-900>] ERROR:  canceling statement due to user request"], count=12, minutes=58)  # fmt: skip
    chatter(stage, "relief/relief-search", ["INFO search: GET /?q 200 <8-30>ms"], minutes=58)
    chatter(stage, "hikers/routes", ["GET /routes/<100-900> 200 <20-70>ms"], minutes=58)
    chatter(stage, "hikers/huts", ["INFO  huts: GET /huts 200 <3-12>ms"], minutes=58)


def _metrics(stage: Stage, node: str, other: str) -> None:
    """Once a minute for four hours: the Job began 56 minutes ago, was put out 47 minutes ago, and there was room six minutes later."""
    count = 240
    here: Body = {"namespace": "relief"}
    (third,) = {"node-a", "node-b", "node-c"} - {node, other}
    stage.metric("disk", '1 - node_filesystem_avail_bytes{mountpoint="/var/lib/containerd"} / node_filesystem_size_bytes{mountpoint="/var/lib/containerd"}', [
        ({"node": node, "mountpoint": "/var/lib/containerd"}, [*about(0.79, count - 56, noise=0.002), *slope(0.79, 0.912, 9), *slope(0.81, 0.47, 6), *about(0.46, 41, noise=0.002)]),
        ({"node": other, "mountpoint": "/var/lib/containerd"}, [*about(0.44, count - 46, noise=0.002), *slope(0.44, 0.63, 21), *about(0.45, 25, noise=0.002)]),
        ({"node": third, "mountpoint": "/var/lib/containerd"}, about(0.48, count, noise=0.002)),
    ])  # fmt: skip
    stage.metric("pressure", 'kube_node_status_condition{condition="DiskPressure",status="true"}', [
        ({"node": node, "condition": "DiskPressure", "status": "true"}, [*[0.0] * (count - 47), *[1.0] * 6, *[0.0] * 41]),
        *(({"node": one, "condition": "DiskPressure", "status": "true"}, [0.0] * count) for one in (other, third)),
    ])  # fmt: skip
    stage.metric("evicted", 'sum by (namespace, reason) (kube_pod_status_reason{reason="Evicted"})', [
        ({**here, "reason": "Evicted"}, [*[0.0] * (count - 47), *[2.0] * 47]),
    ])  # fmt: skip
    stage.metric("available", "kube_deployment_status_replicas_available", [
        ({**here, "deployment": "sheets"}, [*[5.0] * (count - 47), 4.0, *[5.0] * 46]),
    ])  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({**here, "service": "sheets"}, about(0.0003, count, noise=0.9)),
        ({"namespace": "hikers", "service": "routes"}, about(0.0004, count, noise=0.9)),
    ])  # fmt: skip
