"""A worker's scratch files fill a node's disk; the kubelet evicts pods that did nothing."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import container, daemon_set, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="A transcoding worker without a limit on its scratch space fills the disk of a node",
    half=Half.blind,
    story="A release of transcode keeps intermediate files in an emptyDir without a limit. On node-c the disk runs low; "
    "the kubelet evicts the worker and, while its files are still being deleted, the catalogue. The node takes no pod yet, and "
    "the catalogue is tied to it by a label.",
    sources=[
        "https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/",
        "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#local-ephemeral-storage",
        "https://kubernetes.io/docs/concepts/storage/volumes/#emptydir",
    ],
    labels={
        "alertname": "ServiceWithoutEndpoints",
        "namespace": "library",
        "service": "catalogue",
        "job": "kube-state-metrics",
        "severity": "critical",
    },
    annotations={
        "summary": "A Service has no ready endpoint",
        "description": "Service library/catalogue has had no ready endpoint for 2 minutes.",
    },
    causes=["Deployment/media/transcode"],
    says=[["ephemeral-storage", "disk"], ["71Gi", "KEEP_INTERMEDIATE", "emptyDir", "scratch"], ["node-c"]],
    innocent=["Deployment/library/catalogue", "Service/library/catalogue"],
    traits=frozenset({Trait.innocent}),
)  # fmt: skip


def play(stage: Stage) -> None:
    stage.kubectl("label", "node", "node-c", "pool=large-disk")
    worker = container(
        "ffmpeg", "media/transcode:8.0.3", memory=("1Gi", "2Gi"), cpu="1", mounts={"scratch": "/scratch"},
        env={"WORK_DIR": "/scratch", "QUEUE": "nats://queue.media.svc:4222"},
    )  # fmt: skip
    stage.apply([
        *system(),
        deployment("media/transcode", worker, replicas=1, pod={"nodeSelector": {"pool": "large-disk"}, "volumes": [{"name": "scratch", "emptyDir": {}}]}),
        stateful_set("media/queue", container("nats", "library/nats:2.12.1", port=4222), pod={"nodeSelector": {"kubernetes.io/hostname": "node-a"}}),
        service("media/queue", 4222, headless=True),
        deployment("library/catalogue", container("catalogue", "library/catalogue:20.4", port=8080, ready="/health", mounts={"index": "/var/index"}), pod={"nodeSelector": {"pool": "large-disk"}, "volumes": [{"name": "index", "emptyDir": {"sizeLimit": "4Gi"}}]}),
        service("library/catalogue", 80, 8080),
        deployment("library/loans", container("loans", "library/loans:7.7", port=8080, ready="/health"), pod={"nodeSelector": {"kubernetes.io/hostname": "node-b"}}),
        service("library/loans", 80, 8080),
        daemon_set("observability/node-exporter", container("node-exporter", "prometheus/node-exporter:v1.10.2", port=9100, memory=("32Mi", "64Mi")), pod={"tolerations": [{"operator": "Exists"}]}),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=29, hours=3)

    def release(body: Body) -> None:
        first = body["spec"]["template"]["spec"]["containers"][0]
        first["image"] = "registry.example.com/media/transcode:8.1.0"
        first["env"].append({"name": "KEEP_INTERMEDIATE", "value": "true"})

    stage.edit("deployment/media/transcode", release, manager="argocd-controller")
    stage.calm()
    stage.wait(hours=6, minutes=40)
    chatter(stage, "media/transcode", [
        "<%Y-%m-%d %H:%M:%S> INFO job=<10000-99999> pass 1/2 done pass1.mkv size=<2100-5900>MiB",
        "<%Y-%m-%d %H:%M:%S> INFO job=<10000-99999> pass 2/2 done out.mp4 size=<400-900>MiB",
        "<%Y-%m-%d %H:%M:%S> INFO job=<10000-99999> uploaded; keeping intermediate files (KEEP_INTERMEDIATE=true)",
    ], count=36, minutes=50)  # fmt: skip
    place = "node.kubernetes.io/disk-pressure"
    stage.node_condition(
        "node-c", "DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure", taint=f"{place}=:NoSchedule"
    )  # fmt: skip
    node = stage.get("node/_cluster/node-c")
    stage.event(node, "NodeHasDiskPressure", "Node node-c status is now: NodeHasDiskPressure", kind="Normal", component="kubelet")  # fmt: skip
    stage.event(
        node, "EvictionThresholdMet", "Attempting to reclaim ephemeral-storage", component="kubelet", count=9
    )
    low = "The node was low on resource: ephemeral-storage. Threshold quantity: 10737418240, available: {available}Ki. Container {name} was using {used}, request is 0, has larger consumption of ephemeral-storage. "  # fmt: skip
    stage.evicted("media/transcode", low.format(available=8214532, name="ffmpeg", used="71Gi"))
    for pod in stage.pods("library/catalogue"):
        # The eviction manager waits so long for the files of the pod before.
        stage.wait(seconds=40)
        stage.evicted(
            f"library/{pod['metadata']['name']}",
            low.format(available=9120348, name="catalogue", used="1843Mi"),
        )
    late = ["library/catalogue", "media/transcode"]
    stage.calm(unfinished=late)
    # The node stays closed for five minutes after the last sign of pressure.
    stage.wait(minutes=3, seconds=10)
    stage.calm(unfinished=late)
    chatter(stage, "library/loans", ['level=INFO time=<%Y-%m-%dT%H:%M:%S.%3Z> msg=handled method=POST path=/loans status=201 took=<8-40>ms'])  # fmt: skip
    chatter(stage, "media/queue", ["[1] <%Y/%m/%d %H:%M:%S.%f> [INF] JetStream cluster consumer 'TRANSCODE > workers' pending <10-60>"], count=6)  # fmt: skip
    stage.metric("node-disk-free", 'node_filesystem_avail_bytes{mountpoint="/"}', [
        ({"instance": "node-a"}, [64e9 + n % 3 * 1e8 for n in range(30)]),
        ({"instance": "node-b"}, [61e9 + n % 4 * 1e8 for n in range(30)]),
        ({"instance": "node-c"}, [84e9 - 2.7e9 * n for n in range(29)] + [81e9]),
    ], step_s=900)  # fmt: skip
    stage.heartbeat()
    stage.fire(minutes_ago=1.5)
