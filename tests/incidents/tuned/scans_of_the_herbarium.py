"""A volume was nearly full when a batch of scans came in; the resizer made it larger at its next round, as its claim allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import (
    config_map,
    container,
    daemon_set,
    deployment,
    from_secret,
    secret,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="KubePersistentVolumeFillingUp of the scans' store: at 2 % free the resizer made its volume 60 GiB of 40, which is done since eleven minutes",
    half=Half.tuned,
    story=(
        "A batch of scans wrote more than 4 GiB within twenty minutes, between two rounds of pvc-autoresizer. Below 3 % the alert went out; a minute later the resizer came round, asked for 20 GiB more, as the claim's"
        " annotations say, and the volume and its file system grew within a minute. Nothing was refused, the batch is in, a third is free, and the claim may grow to 120 GiB. labels was released three hours ago."
    ),
    sources=[
        "https://github.com/topolvm/pvc-autoresizer/blob/main/README.md",
        "https://github.com/topolvm/pvc-autoresizer/issues/73",
        "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepersistentvolumefillingup/",
    ],
    labels={
        "alertname": "KubePersistentVolumeFillingUp", "severity": "critical", "namespace": "herbarium", "persistentvolumeclaim": "data-scans-0", "job": "kubelet", "metrics_path": "/metrics",
        "service": "kubelet", "node": "node-b", "instance": "10.20.0.12:10250",
    },
    annotations={
        "summary": "PersistentVolume is filling up.",
        "description": "The PersistentVolume claimed by data-scans-0 in Namespace herbarium is only 2.32% free.",
        "runbook_url": "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepersistentvolumefillingup",
    },
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["external-resizer status and events", "pvc-autoresizer"],
)  # fmt: skip

DRIVER = "topolvm.io"
VOLUME = "pvc-c4a1f7d2-0b5e-4e9b-9a37-6d1c88e05b10"
CLAIM = "persistentvolumeclaims/herbarium/data-scans-0"
GIB = 2**30


def play(stage: Stage) -> None:
    claim: Body = {
        "metadata": {"name": "data", "annotations": {"resize.topolvm.io/threshold": "10%", "resize.topolvm.io/increase": "20Gi", "resize.topolvm.io/storage_limit": "120Gi"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "local-disks", "resources": {"requests": {"storage": "40Gi"}}},
    }  # fmt: skip
    stage.apply([
        *system(),
        {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": DRIVER}, "spec": {"attachRequired": False, "podInfoOnMount": True}},
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "local-disks", "annotations": {"resize.topolvm.io/enabled": "true"}}, "provisioner": DRIVER, "allowVolumeExpansion": True},
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": VOLUME}, "spec": {
            "capacity": {"storage": "40Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "local-disks",
            "claimRef": {"namespace": "herbarium", "name": "data-scans-0"}, "csi": {"driver": DRIVER, "volumeHandle": "c4a1f7d2-0b5e-4e9b-9a37-6d1c88e05b10"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-b"]}]}]}}}},
        deployment("topolvm-system/pvc-autoresizer", container("pvc-autoresizer", "topolvm/pvc-autoresizer:0.19.0", args=["--prometheus-url=http://prometheus.observing.svc:9090", "--interval=15m"]), replicas=1),
        daemon_set("topolvm-system/topolvm-node", container("topolvm-node", "topolvm/topolvm:0.37.0")),
        secret("herbarium/scans-key", {"user": "", "password": ""}),
        stateful_set("herbarium/scans", container("minio", "minio:2025-09-07", port=9000, ready="/minio/health/ready", alive="/minio/health/live", cpu="200m", memory=("512Mi", "1Gi"), mounts={"data": "/data"}, args=["server", "/data"], env={"MINIO_ROOT_USER": from_secret("scans-key", "user"), "MINIO_ROOT_PASSWORD": from_secret("scans-key", "password")}), volumeClaimTemplates=[claim]),
        service("herbarium/scans", 9000, headless=True),
        deployment("herbarium/intake", container("intake", "herbarium/intake:4.1.0", port=8080, ready="/ready", alive="/alive", env={"STORE": "http://scans.herbarium.svc:9000", "BUCKET": "sheets"})), service("herbarium/intake", 80, 8080),
        deployment("herbarium/labels", container("labels", "herbarium/labels:9.9.2", port=8080, ready="/ready", env={"STORE": "http://scans.herbarium.svc:9000"})), service("herbarium/labels", 80, 8080),
        config_map("herbarium/families", {"families.txt": "Rosaceae\nPoaceae\n"}),
        deployment("readers/reading-room", container("room", "readers/reading-room:31.0.0", port=3000, ready="/up", env={"STORE": "http://scans.herbarium.svc:9000", "LABELS_URL": "http://labels.herbarium.svc"}), replicas=3), service("readers/reading-room", 80, 3000),
        deployment("observing/prometheus", container("prometheus", "prom/prometheus:v3.7.1", port=9090, ready="/-/ready", memory=("512Mi", "2Gi")), replicas=1), service("observing/prometheus", 9090),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 18, 3, 50, tzinfo=UTC))
    stage.recovered(f"herbarium/{stage.pods('herbarium/intake')[1]['metadata']['name']}", restarts=1, code=137, reason="OOMKilled", lived_s=1200000, waited_s=3)  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 25, 10, 44, tzinfo=UTC))
    stage.kubectl("set", "image", "deployment/labels", "labels=registry.example.com/herbarium/labels:9.9.3", "-n", "herbarium")  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 25, 12, 58, tzinfo=UTC))
    stage.edit("configmaps/herbarium/families", lambda body: body["data"].update({"families.txt": "Rosaceae\nPoaceae\nFabaceae\n"}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 25, 13, 45, 2, tzinfo=UTC))
    grown = _grow(stage)
    stage.clock.until(datetime(2026, 11, 25, 13, 57, tzinfo=UTC))
    stage.heartbeat()
    _logs(stage, grown)
    _metrics(stage)
    stage.fire(minutes_ago=13)


def _grow(stage: Stage) -> datetime:
    """What the resizer of claims, the driver's own and the kubelet do; returns when the first of them began."""
    began = stage.now
    stage.edit(CLAIM, lambda body: body["spec"]["resources"]["requests"].update(storage="60Gi"), manager="pvc-autoresizer")  # fmt: skip
    body = stage.get(CLAIM)
    stage.event(body, "Resized", "PVC volume is resized to 60Gi", kind="Normal", component="pvc-autoresizer")
    stage.event(body, "Resizing", f"External resizer is resizing volume {VOLUME}", kind="Normal", component="external-resizer")  # fmt: skip
    stage.wait(seconds=4)
    stage.edit(f"persistentvolumes/_cluster/{VOLUME}", lambda body: body["spec"]["capacity"].update(storage="60Gi"), manager="csi-resizer")  # fmt: skip
    stage.event(stage.get(CLAIM), "FileSystemResizeRequired", "Require file system resize of volume on node", kind="Normal", component="external-resizer")  # fmt: skip
    stage.wait(seconds=31)
    stage.status(CLAIM, {"capacity": {"storage": "60Gi"}}, manager="kubelet")
    words = f'MountVolume.NodeExpandVolume succeeded for volume "{VOLUME}" node-b'
    stage.told(stage.pod("herbarium/scans-0"), "FileSystemResizeSuccessful", words)
    stage.event(stage.get(CLAIM), "FileSystemResizeSuccessful", words, kind="Normal", component="kubelet")
    return began


def _logs(stage: Stage, grown: datetime) -> None:
    front = '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z",'
    claim = '"namespace":"herbarium","name":"data-scans-0"'
    quiet = front + f'"logger":"pvc-autoresizer","msg":"skip: the amount of free space is above the threshold",{claim}}}'  # fmt: skip
    stage.log("topolvm-system/pvc-autoresizer", "\n".join([
        *(printed(grown - timedelta(minutes=m), [quiet]) for m in (60, 45, 30, 15)),
        printed(grown, [
            front + f'"logger":"pvc-autoresizer","msg":"resize started",{claim},"from":{40 * GIB},"to":{60 * GIB},"threshold":{4 * GIB},"available":{int(0.71 * GIB)},"inodesThreshold":0,"inodesAvailable":20911044}}',
            front + '"logger":"pvc-autoresizer","msg":"reconcile done","claims":1,"resized":1,"failed":0}',
        ], every_s=0.3),
    ]))  # fmt: skip
    node = next(p for p in stage.pods("topolvm-system/topolvm-node") if p["spec"]["nodeName"] == "node-b")
    stage.log(f"topolvm-system/{node['metadata']['name']}", printed(grown + timedelta(seconds=20), [
        front + f'"logger":"driver.node","msg":"NodeExpandVolume is called","volume_id":"{VOLUME[4:]}","required":{60 * GIB}}}',
        front + f'"logger":"driver.node","msg":"xfs_growfs finished","volume_id":"{VOLUME[4:]}","error":""}}',
    ], every_s=9))  # fmt: skip
    stage.log("herbarium/scans-0", printed(stage.ago(minutes=58), [
        "API: SYSTEM.scanner Time: <%H:%M:%S> UTC <%m/%d/%Y> DeploymentID: 8a0c one bucket scanned, 0 objects healed",
        "API: PutObject(bucket=sheets) Time: <%H:%M:%S> UTC <%m/%d/%Y> Error: client left before the object was complete (context canceled), the object was sent anew",
    ] * 6, every_s=280))  # fmt: skip
    for n, pod in enumerate(stage.pods("herbarium/intake")):
        began = grown - timedelta(minutes=17, seconds=20 * n)
        stage.log(f"herbarium/{pod['metadata']['name']}", "\n".join([
            printed(began - timedelta(minutes=30), ["<%Y-%m-%d %H:%M:%S.%3> INFO  intake: sheet <100000-999999> stored, <3-6> MiB"] * 6, every_s=250),
            printed(began, ["<%Y-%m-%d %H:%M:%S.%3> INFO  intake: batch 1931-b, sheet <100000-999999> stored, <30-60> MiB", "<%Y-%m-%d %H:%M:%S.%3> WARN  intake: batch 1931-b, sheet <100000-999999> has no barcode, error noted, stored without"] * 30, every_s=20),
            printed(began + timedelta(minutes=21), ["<%Y-%m-%d %H:%M:%S.%3> INFO  intake: batch 1931-b complete, 0 sheets not stored", *["<%Y-%m-%d %H:%M:%S.%3> INFO  intake: sheet <100000-999999> stored, <3-6> MiB"] * 2], every_s=110),
        ]))  # fmt: skip
    chatter(stage, "herbarium/labels", ["INFO  labels: label of sheet <100000-999999> read", "WARN  labels: label of sheet <100000-999999> is in Latin, failed to translate, left as it is"], count=30, minutes=60)  # fmt: skip
    chatter(stage, "readers/reading-room", ["GET /sheets/<100000-999999> 200 <30-90>ms"], count=40, minutes=60)  # fmt: skip
    chatter(stage, "observing/prometheus", ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=head.go:1446 msg="Head GC completed" component=tsdb'], count=2, minutes=60)  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every minute for four hours: the batch came between 29 and 9 minutes ago, the volume grew eleven minutes ago."""
    count, batch, after, grown = 240, 21, 9, 12
    used = [*slope(34.4, 35.5, count - batch - after, noise=0), *slope(35.55, 39.95, batch, noise=0), *slope(39.95, 39.98, after, noise=0)]  # fmt: skip
    size = [40.0] * (count - grown) + [60.0] * grown
    labels: Body = {"namespace": "herbarium", "persistentvolumeclaim": "data-scans-0", "job": "kubelet", "metrics_path": "/metrics", "service": "kubelet", "node": "node-b", "instance": "10.20.0.12:10250"}  # fmt: skip
    for name, values in (("used", used), ("capacity", size), ("available", [s - u for s, u in zip(size, used, strict=True)])):  # fmt: skip
        metric = f"kubelet_volume_stats_{name}_bytes"
        stage.metric(f"volume-{name}", f'{metric}{{namespace="herbarium"}}', [(labels, [v * GIB for v in values])])  # fmt: skip
    stage.metric("resized", "sum by (job) (pvcautoresizer_success_resize_total)", [({"job": "pvc-autoresizer"}, [*[3.0] * (count - grown), *[4.0] * grown])])  # fmt: skip
    stage.metric("not-resized", "sum by (job) (pvcautoresizer_failed_resize_total)", [({"job": "pvc-autoresizer"}, [0.0] * count)])  # fmt: skip
    stage.metric("not-stored", 'sum by (namespace, service) (increase(intake_sheets_not_stored_total[5m]))', [({"namespace": "herbarium", "service": "intake"}, [0.0] * count)])  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "herbarium", "service": "intake"}, about(0.0002, count, noise=0.9)), ({"namespace": "readers", "service": "reading-room"}, about(0.0004, count, noise=0.9)),
    ])  # fmt: skip
