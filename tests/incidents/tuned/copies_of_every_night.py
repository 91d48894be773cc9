"""Nightly snapshots outlive their objects; the provider's limit is reached, and what is made from tonight's waits."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="The snapshot class keeps what it makes since six weeks ago; the provider's limit is reached, and the copy for the figures waits for a snapshot",
    half=Half.tuned,
    story=(
        "To be safe during a migration somebody set deletionPolicy of class `nightly` to Retain and left it. The nightly"
        " clean-up deletes old VolumeSnapshots as ever, their contents and the snapshots at the provider stay. Last night's"
        " snapshot was refused, and the claim that is filled from it cannot be provisioned. Elsewhere a release of the map"
        " viewer names an image tag that was never pushed."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/storage/volume-snapshot-classes/#deletionpolicy",
        "https://kubernetes.io/docs/concepts/storage/volume-snapshots/",
        "https://github.com/kubernetes-csi/external-snapshotter/blob/master/pkg/sidecar-controller/snapshot_controller.go",
        "https://docs.aws.amazon.com/general/latest/gr/ebs-service.html#limits_ebs",
        "https://github.com/openshift/oadp-operator/pull/657",
    ],
    labels={
        "alertname": "KubePodNotReady", "namespace": "ledger", "pod": "{pod:ledger/figures}", "severity": "warning", "job": "kube-state-metrics",
    },
    annotations={"summary": "Pod has been in a non-ready state for more than 15 minutes."},
    causes=["VolumeSnapshotClass/_cluster/nightly", "VolumeSnapshot/ledger/books-20261218"],
    says=[["Retain"], ["limit", "exceeded", "ResourceExhausted", "quota"]],
    innocent=["StatefulSet/ledger/figures", "StatefulSet/ledger/books", "StorageClass/_cluster/block", "Deployment/kube-system/csi-snapshotter"],
    second=["Deployment/maps/viewer"],
    traits=frozenset({Trait.innocent, Trait.two_faults}),
    authored=["snapshot-controller and csi-snapshotter status and events", "external-provisioner's events"],
)  # fmt: skip

GROUP = "snapshot.storage.k8s.io"
DRIVER = "ebs.csi.aws.com"
KEPT = 20
REFUSED = "rpc error: code = ResourceExhausted desc = SnapshotLimitExceeded: Maximum allowed snapshot limit exceeded. Limit: 20 (Service: Ec2, Status Code: 400)"


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1", "VolumeSnapshotClass", "volumesnapshotclasses", namespaced=False)
    stage.crd(GROUP, "v1", "VolumeSnapshotContent", "volumesnapshotcontents", namespaced=False)
    stage.crd(GROUP, "v1", "VolumeSnapshot", "volumesnapshots")
    claim: Body = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "block", "resources": {"requests": {"storage": "40Gi"}}}}  # fmt: skip
    stage.apply([
        *system(),
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "block"}, "provisioner": DRIVER},
        _class("nightly", "Delete"), _class("by-hand", "Retain"),
        {
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": _volume("books")},
            "spec": {"capacity": {"storage": "40Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "block", "claimRef": {"namespace": "ledger", "name": "data-books-0"},
                     "csi": {"driver": DRIVER, "volumeHandle": "vol-09d1c2e8a4b6f3317"}},
        },
        stateful_set("ledger/books", container("postgres", "postgres:17.2", port=5432, memory=("512Mi", "1Gi"), mounts={"data": "/var/lib/postgresql/data"}), volumeClaimTemplates=[claim]),
        service("ledger/books", 5432, headless=True),
        deployment("ledger/posting", container("posting", "ledger/posting:3.9.0", port=8080, ready="/readyz", env={"DB_HOST": "books.ledger.svc.cluster.local"})),
        service("ledger/posting", 80, 8080),
        deployment("kube-system/csi-snapshotter", container("csi-snapshotter", "sig-storage/csi-snapshotter:v8.3.0")),
        deployment("kube-system/snapshot-controller", container("snapshot-controller", "sig-storage/snapshot-controller:v8.3.0")),
        deployment("analysts/notebooks", container("notebooks", "analysts/notebooks:5.1.0", port=8888, ready="/api", env={"DB_HOST": "figures.ledger.svc.cluster.local"}), replicas=1),
        service("ledger/figures", 5432, headless=True),
        deployment("maps/viewer", container("viewer", "maps/viewer:12.3.0", port=8080, ready="/ready"), replicas=2),
        service("maps/viewer", 80, 8080),
        deployment("maps/tiles", container("tiles", "maps/tiles:4.0.2", port=8080, ready="/ready")),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=3)
    stage.edit("volumesnapshotclasses/_cluster/nightly", lambda body: body.update(deletionPolicy="Retain"))
    stage.wait(days=42, hours=1)
    for night in range(KEPT, 0, -1):
        _content(stage, night, "" if night > 3 else _night(stage, night))
    stage.apply([_snapshot(stage, night) for night in (3, 2, 1)])
    for night in (3, 2, 1):
        taken = stage.stamp(at=stage.now - timedelta(days=night))
        stage.status(f"volumesnapshots/ledger/{_night(stage, night)}", {
            "boundVolumeSnapshotContentName": _bound(night), "creationTime": taken, "readyToUse": True, "restoreSize": "40Gi",
        }, manager="snapshot-controller")  # fmt: skip
    stage.apply([_snapshot(stage, 0)])
    _refuse(stage)
    stage.wait(hours=1, minutes=30)
    _copy(stage)
    stage.wait(minutes=4)
    stage.hold("maps/viewer")
    stage.kubectl(
        "set", "image", "deployment/viewer", "viewer=registry.example.com/maps/viewer:12.4.0", "-n", "maps"
    )
    fresh = next(p for p in stage.placed("maps/viewer", 3) if p["status"]["phase"] == "Pending")["metadata"][
        "name"
    ]
    stage.release("maps/viewer")
    image = "registry.example.com/maps/viewer:12.4.0"
    stage.stuck(
        f"maps/{fresh}", "ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found',
        event=("Failed", f'Failed to pull image "{image}": rpc error: code = NotFound desc = failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found'),
    )  # fmt: skip
    stage.wait(minutes=19)
    _waits(stage)
    stage.heartbeat()
    chatter(
        stage, "ledger/books", ["<%Y-%m-%d %H:%M:%S.%3> UTC [31] LOG:  checkpoint starting: time"], count=5
    )
    chatter(stage, "ledger/posting", ["<%Y-%m-%dT%H:%M:%S.%3>Z info  posted <1-40> entries"], count=12)
    chatter(
        stage,
        "analysts/notebooks",
        [
            "[W <%Y-%m-%d %H:%M:%S.%3> ServerApp] ledger copy is not reachable, trying again in 60s: could not translate host name"
        ],
        count=12,
    )
    stage.log("kube-system/csi-snapshotter", printed(stage.ago(minutes=40), [
        f'E<%m%d %H:%M:%S.%3>771       1 snapshot_controller.go:124] checkandUpdateContentStatus [{_bound(0)}]: error occurred failed to take snapshot of the volume vol-09d1c2e8a4b6f3317: "{REFUSED}"',
    ] * 9, every_s=280))  # fmt: skip
    stage.fire(minutes_ago=6)


def _class(name: str, policy: str) -> Body:
    return {"apiVersion": f"{GROUP}/v1", "kind": "VolumeSnapshotClass", "metadata": {"name": name}, "driver": DRIVER, "deletionPolicy": policy}  # fmt: skip


def _digits(of: str) -> str:
    digest = hashlib.sha256(of.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-9{digest[17:20]}-{digest[20:32]}"


def _volume(of: str) -> str:
    return f"pvc-{_digits(of)}"


def _bound(night: int) -> str:
    return f"snapcontent-{_digits(f'night {night}')}"


def _night(stage: Stage, ago: int) -> str:
    return f"books-{stage.now - timedelta(days=ago):%Y%m%d}"


def _snapshot(stage: Stage, night: int) -> Body:
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "VolumeSnapshot", "metadata": {"name": _night(stage, night), "namespace": "ledger", "labels": {"made-by": "nightly"}},
        "spec": {"volumeSnapshotClassName": "nightly", "source": {"persistentVolumeClaimName": "data-books-0"}},
    }  # fmt: skip


def _content(stage: Stage, night: int, of: str) -> None:
    """A snapshot at the provider, whose VolumeSnapshot is still there or was deleted."""
    name = _bound(night)
    stage.apply([{
        "apiVersion": f"{GROUP}/v1", "kind": "VolumeSnapshotContent", "metadata": {"name": name},
        "spec": {
            "deletionPolicy": "Retain", "driver": DRIVER, "volumeSnapshotClassName": "nightly", "source": {"volumeHandle": "vol-09d1c2e8a4b6f3317"},
            "volumeSnapshotRef": {"apiVersion": f"{GROUP}/v1", "kind": "VolumeSnapshot", "namespace": "ledger", "name": of or f"books-{stage.now - timedelta(days=night):%Y%m%d}"},
        },
    }])  # fmt: skip
    if night:
        stage.status(f"volumesnapshotcontents/_cluster/{name}", {
            "readyToUse": True, "snapshotHandle": f"snap-0{_digits(name)[:8]}{night:02}c41e7", "restoreSize": 42949672960,
        }, manager="csi-snapshotter")  # fmt: skip


def _refuse(stage: Stage) -> None:
    _content(stage, 0, _night(stage, 0))
    error = {
        "message": f'Failed to check and update snapshot content: failed to take snapshot of the volume vol-09d1c2e8a4b6f3317: "{REFUSED}"',
        "time": stage.stamp(),
    }
    stage.status(
        f"volumesnapshotcontents/_cluster/{_bound(0)}",
        {"readyToUse": False, "error": error},
        manager="csi-snapshotter",
    )
    stage.status(f"volumesnapshots/ledger/{_night(stage, 0)}", {"boundVolumeSnapshotContentName": _bound(0), "readyToUse": False, "error": error}, manager="snapshot-controller")  # fmt: skip


def _copy(stage: Stage) -> None:
    body = stateful_set(
        "ledger/figures",
        container(
            "postgres",
            "postgres:17.2",
            port=5432,
            memory=("512Mi", "1Gi"),
            mounts={"data": "/var/lib/postgresql/data"},
        ),
    )
    body["spec"]["template"]["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "books-today"}}]  # fmt: skip
    stage.apply([
        {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "books-today", "namespace": "ledger"},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "block", "resources": {"requests": {"storage": "40Gi"}},
                "dataSource": {"apiGroup": GROUP, "kind": "VolumeSnapshot", "name": _night(stage, 0)},
            },
        },
        body,
    ])  # fmt: skip


def _waits(stage: Stage) -> None:
    claim = stage.get("persistentvolumeclaims/ledger/books-today")
    name = claim["spec"]["dataSourceRef"]["name"]
    stage.event(claim, "ProvisioningFailed", f'failed to provision volume with StorageClass "block": error getting handle for DataSource Type VolumeSnapshot by Name {name}: snapshot {name} is not Ready',
                component=f"{DRIVER}_csi-controller_5e1a", count=11, minutes_ago=1)  # fmt: skip
    snapshot = stage.get(f"volumesnapshots/ledger/{name}")
    stage.event(snapshot, "SnapshotContentCheckandUpdateFailed", snapshot["status"]["error"]["message"], component="snapshot-controller", count=14, minutes_ago=3)  # fmt: skip
