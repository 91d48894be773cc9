"""A node's disk fills up; its kubelet evicts pods, and those that belong to this node cannot come back."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.kubelets import MERGE
from tests.incidents.manifests import deployment, kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import service

INCIDENT = Incident(
    title="Disk pressure on the only media node evicts the transcoder",
    half=Half.tuned,
    story="A node runs low on ephemeral storage. The kubelet sets DiskPressure and evicts pods; the transcoder may run "
    "nowhere else and stays pending.",
    sources=["https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/"],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="video", deployment="transcoder"),
    causes=["Node/_cluster/node-c"],
    says=[["disk", "ephemeral-storage"], ["evict", "taint", "pressure"]],
    innocent=["Deployment/video/transcoder", "Deployment/video/thumbnails"],
    traits=frozenset({Trait.innocent}),
)

MANIFESTS = [
    deployment(
        "video/transcoder", "video/transcoder:6.0.1", port=8080, pod={"nodeSelector": {"pool.example.com/use": "media"}},
    ),
    service("video/transcoder", 8080),
    deployment("video/thumbnails", "video/thumbnails:1.9.0", port=8080, env={"TRANSCODER": "http://transcoder.video:8080"}),
    deployment("search/indexer", "search/indexer:3.2.0", replicas=3),
]  # fmt: skip
LOW = "The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 1312Mi. "


def play(stage: Stage) -> None:
    stage.kubectl("label", "node", "node-c", "pool.example.com/use=media")
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=18, hours=3)
    stage.node_condition(
        "node-c", "DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure",
        taint="node.kubernetes.io/disk-pressure=:NoSchedule",
    )  # fmt: skip
    node = stage.get("nodes/_cluster/node-c")
    stage.event(
        node,
        "NodeHasDiskPressure",
        "Node node-c status is now: NodeHasDiskPressure",
        kind="Normal",
        component="kubelet",
    )
    stage.event(
        node, "FreeDiskSpaceFailed",
        "Failed to garbage collect required amount of images. Attempted to free 9663676416 bytes, but only found 0 bytes eligible to free.",
        component="kubelet", count=6,
    )  # fmt: skip
    here = [
        p for p in (*stage.pods("video/"), *stage.pods("search/")) if p["spec"].get("nodeName") == "node-c"
    ]
    for pod in here:
        name = pod["spec"]["containers"][0]["name"]
        why = f"{LOW}Container {name} was using 96Mi, request is 0, has larger consumption of ephemeral-storage. "
        meta = pod["metadata"]
        stage.kubelets["node-c"].tell(pod, "Evicted", why, at=stage.clock.real(stage.now), type_="Warning")
        now = stage.stamp()
        ended = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "TerminationByKubelet",
            "message": why,
            "lastTransitionTime": now,
        }
        kept = [c for c in pod["status"]["conditions"] if c["type"] not in ("Ready", "ContainersReady")]
        status = {
            "phase": "Failed", "reason": "Evicted", "message": why,
            "conditions": [*kept, ended, {"type": "Ready", "status": "False", "reason": "PodFailed", "lastTransitionTime": now}],
        }  # fmt: skip
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status?fieldManager=kubelet"
        stage.cluster.ask("PATCH", path, {"status": status}, kind=MERGE)
    stage.calm(unfinished=["video/transcoder"])
    stage.wait(minutes=18)
    stage.fire(minutes_ago=2)
