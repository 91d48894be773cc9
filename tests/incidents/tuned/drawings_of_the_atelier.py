"""A file system that makes inodes when it needs them says that it has as many as are used; new rules ask for free ones."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.incidents.curves import about, slope, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
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
    title="KubePersistentVolumeInodesFillingUp of the drawings' CephFS volume, which has had as many inodes as files on every day, and three tenths of its bytes in use",
    half=Half.tuned,
    story=(
        "CephFS has no number of inodes that could be used up; asked for one it names the files that there are, and none free. The driver of this cluster is of an age that passes this on. The monitoring's rules"
        " were brought to a newer release this morning and have an alert about inodes since. Drawings are stored and read as ever, 131 of 400 GiB are in use. The catalogue's volume is on a block device with"
        " plenty of inodes. easel was released an hour ago; the metadata server restarted once last week."
    ),
    sources=[
        "https://github.com/ceph/ceph-csi/issues/3713",
        "https://github.com/ceph/ceph-csi/pull/3407",
        "https://github.com/kubernetes-sigs/kubernetes-mixin/pull/820",
        "https://github.com/minio/minio/issues/16815",
    ],
    labels={
        "alertname": "KubePersistentVolumeInodesFillingUp", "severity": "critical", "namespace": "atelier", "persistentvolumeclaim": "drawings", "job": "kubelet", "metrics_path": "/metrics",
        "service": "kubelet", "node": "node-a", "instance": "10.20.0.11:10250",
    },
    annotations={
        "summary": "PersistentVolumeInodes are filling up.",
        "description": "The PersistentVolume claimed by drawings in Namespace atelier only has 0% free inodes.",
        "runbook_url": "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepersistentvolumeinodesfillingup",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["rules of Prometheus"],
)  # fmt: skip

FILES, BLOCKS = "cephfs.csi.ceph.com", "rbd.csi.ceph.com"
BYTES = {
    "alert": "KubePersistentVolumeFillingUp", "for": "1m", "labels": {"severity": "critical"},
    "expr": "(kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes) < 0.03 and kubelet_volume_stats_used_bytes > 0",
}  # fmt: skip
INODES = {
    "alert": "KubePersistentVolumeInodesFillingUp", "for": "1m", "labels": {"severity": "critical"},
    "expr": "(kubelet_volume_stats_inodes_free / kubelet_volume_stats_inodes) < 0.03 and kubelet_volume_stats_inodes_used > 0",
    "annotations": {"summary": "PersistentVolumeInodes are filling up."},
}  # fmt: skip


def _volume(name: str, place: str, driver: str, storage_class: str, size: str, mode: str) -> Body:
    namespace, claim = place.split("/")
    return {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": size}, "accessModes": [mode], "persistentVolumeReclaimPolicy": "Delete", "storageClassName": storage_class,
            "claimRef": {"namespace": namespace, "name": claim}, "csi": {"driver": driver, "volumeHandle": f"0001-0009-rook-ceph-{name[4:]}"},
        },
    }  # fmt: skip


def _rules(*rules: Body) -> Body:
    return {
        "apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "kubernetes-storage", "namespace": "observatory", "labels": {"app.kubernetes.io/managed-by": "Helm"}},
        "spec": {"groups": [{"name": "kubernetes-storage", "rules": list(rules)}]},
    }  # fmt: skip


def play(stage: Stage) -> None:
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    drawings = {"volumes": [{"name": "drawings", "persistentVolumeClaim": {"claimName": "drawings"}}]}
    stage.apply([
        *system(),
        *({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": name}, "spec": {"attachRequired": False, "podInfoOnMount": False}} for name in (FILES, BLOCKS)),
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "files"}, "provisioner": FILES, "allowVolumeExpansion": True},
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "blocks"}, "provisioner": BLOCKS, "allowVolumeExpansion": True},
        _volume("pvc-2b9d4f10-66c3-4e0a-8d21-0f5be7714c01", "atelier/drawings", FILES, "files", "400Gi", "ReadWriteMany"),
        _volume("pvc-2b9d4f10-66c3-4e0a-8d21-0f5be7714c02", "atelier/data-catalogue-0", BLOCKS, "blocks", "40Gi", "ReadWriteOnce"),
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "drawings", "namespace": "atelier"}, "spec": {"accessModes": ["ReadWriteMany"], "storageClassName": "files", "volumeName": "pvc-2b9d4f10-66c3-4e0a-8d21-0f5be7714c01", "resources": {"requests": {"storage": "400Gi"}}}},
        deployment("atelier/easel", container("easel", "atelier/easel:6.0.3", port=8080, ready="/ready", alive="/alive", mounts={"drawings": "/drawings"}, env={"DB_HOST": "catalogue.atelier.svc"}), replicas=3, pod=drawings), service("atelier/easel", 80, 8080),
        deployment("atelier/scanner", container("scanner", "atelier/scanner:2.7.0", port=8080, ready="/ready", mounts={"drawings": "/drawings"}), pod=drawings), service("atelier/scanner", 80, 8080),
        stateful_set("atelier/catalogue", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"), mounts={"data": "/var/lib/postgresql/data"}), claims={"data": ("blocks", "40Gi")}), service("atelier/catalogue", 5432, headless=True),
        daemon_set("ceph/csi-cephfsplugin", container("csi-cephfsplugin", "cephcsi/cephcsi:v3.4.1")),
        deployment("ceph/mds-house-a", container("mds", "ceph/ceph:v17.2.8", port=6800, memory=("512Mi", "1Gi")), replicas=1), service("ceph/mds-house-a", 6800),
        config_map("frames/mouldings", {"mouldings.csv": "ash\nlime\n"}),
        deployment("frames/framing", container("framing", "frames/framing:11.5.2", port=3000, ready="/up", env={"EASEL_URL": "http://easel.atelier.svc"})), service("frames/framing", 80, 3000),
    ])  # fmt: skip
    stage.apply([_rules(BYTES)], manager="helm")
    stage.calm()
    stage.clock.until(datetime(2026, 11, 18, 22, 9, tzinfo=UTC))
    stage.recovered("ceph/mds-house-a", restarts=1, code=134, lived_s=1300000, waited_s=3)
    stage.calm()
    stage.clock.until(datetime(2026, 11, 26, 9, 40, tzinfo=UTC))
    stage.apply([_rules(BYTES, INODES)], manager="helm")
    stage.clock.until(datetime(2026, 11, 26, 10, 16, tzinfo=UTC))
    stage.kubectl("set", "image", "deployment/easel", "easel=registry.example.com/atelier/easel:6.0.4", "-n", "atelier")  # fmt: skip
    stage.calm()
    stage.wait(minutes=22)
    stage.edit("configmaps/frames/mouldings", lambda body: body["data"].update({"mouldings.csv": "ash\nlime\noak\n"}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 26, 11, 18, tzinfo=UTC))
    stage.heartbeat()
    chatter(stage, "atelier/easel", [
        '{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"stored","file":"/drawings/2026/11/<100000-999999>.tif","ms":<20-90>}',
        '{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"read","file":"/drawings/2026/<1-9>/<100000-999999>.tif","ms":<8-40>}',
        '{"level":"warn","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"no thumbnail in file, made one","file":"/drawings/2026/11/<100000-999999>.tif"}',
    ], count=60, minutes=58)  # fmt: skip
    chatter(stage, "atelier/scanner", ["INFO scanner: sheet <1000-9999> scanned and stored", "ERROR scanner: sheet <1000-9999> lay askew, scanned again"], count=30, minutes=60)  # fmt: skip
    chatter(stage, "atelier/catalogue", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=10, minutes=60)  # fmt: skip
    chatter(stage, "ceph/csi-cephfsplugin", [
        "I<%m%d %H:%M:%S.%3>803       1 utils.go:177] ID: <1000-9999> GRPC call: /csi.v1.Node/NodeGetVolumeStats",
        "I<%m%d %H:%M:%S.%3>811       1 utils.go:177] ID: <1000-9999> GRPC call: /csi.v1.Node/NodeGetCapabilities",
    ], count=40, minutes=60)  # fmt: skip
    chatter(stage, "ceph/mds-house-a", ["debug <%Y-%m-%dT%H:%M:%S.%3>+0000 7f0c5b1fe700  1 mds.house-a Updating MDS map to version <400-499> from mon.<0-2>", "debug <%Y-%m-%dT%H:%M:%S.%3>+0000 7f0c5b1fe700  0 log_channel(cluster) log [DBG] : 0 clients failing to respond to cache pressure"], count=10, minutes=60)  # fmt: skip
    chatter(stage, "frames/framing", ["GET /frames 200 <10-50>ms", "POST /offers 201 <20-60>ms"], count=30, minutes=60)  # fmt: skip
    _metrics(stage)
    stage.fire(minutes_ago=96)


def _metrics(stage: Stage) -> None:
    """Every hour for sixteen days."""
    count, step, gib = 16 * 24, 3600, 2.0**30
    job: Body = {"namespace": "atelier", "job": "kubelet", "metrics_path": "/metrics", "service": "kubelet"}
    files: Body = {**job, "persistentvolumeclaim": "drawings", "node": "node-a", "instance": "10.20.0.11:10250"}  # fmt: skip
    block: Body = {**job, "persistentvolumeclaim": "data-catalogue-0", "node": "node-b", "instance": "10.20.0.12:10250"}  # fmt: skip
    there = whole(slope(184210, 203977, count, noise=0))
    used, few = slope(118 * gib, 131 * gib, count, noise=0.0003), slope(9.1 * gib, 9.6 * gib, count, noise=0.002)  # fmt: skip

    def volume(name: str, of_files: list[float], of_block: list[float]) -> None:
        metric = f"kubelet_volume_stats_{name}"
        stage.metric(f"volume-{name}".replace("_", "-"), f'{metric}{{namespace="atelier"}}', [(files, of_files), (block, of_block)], step_s=step)  # fmt: skip

    volume("inodes", there, [2621440.0] * count)
    volume("inodes_used", there, whole(about(1980, count, noise=0.01)))
    volume("inodes_free", [0.0] * count, [2621440 - v for v in whole(about(1980, count, noise=0.01))])
    volume("capacity_bytes", [400 * gib] * count, [40 * gib] * count)
    volume("used_bytes", used, few)
    volume("available_bytes", [400 * gib - v for v in used], [40 * gib - v for v in few])
    stage.metric("stored", 'sum by (namespace, service) (rate(easel_files_stored_total[1h]))', [({"namespace": "atelier", "service": "easel"}, about(0.0143, count, noise=0.3))], step_s=step)  # fmt: skip
    stage.metric("not-stored", 'sum by (namespace, service) (increase(easel_files_not_stored_total[1h]))', [({"namespace": "atelier", "service": "easel"}, [0.0] * count)], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "atelier", "service": "easel"}, about(0.0003, count, noise=0.9)), ({"namespace": "frames", "service": "framing"}, about(0.0004, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
