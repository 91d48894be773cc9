"""Classes that keep what is deleted, where a limit is met."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.analyzers import kept_for_nobody
from tests.support.kube import ago, edit, event, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

API = "snapshot.storage.k8s.io/v1"
LIMIT = (
    "failed to take snapshot: rpc error: code = ResourceExhausted desc = snapshot limit exceeded. Limit: 20"
)


def snapshot_class(policy: str = "Retain"):
    return thing("VolumeSnapshotClass", "nightly", None, api=API, age=60 * 24 * 90, deletionPolicy=policy, edits=[edit(60 * 24 * 42, "deletionPolicy")])  # fmt: skip


def snap(name: str, *, message: str = "", ready: bool = True):
    status: dict[str, Any] = {"readyToUse": ready}
    if message:
        status["error"] = {"message": message, "time": ago(90)}
    spec = {"volumeSnapshotClassName": "nightly", "source": {"persistentVolumeClaimName": "data"}}
    return thing("VolumeSnapshot", name, api=API, spec=spec, status=status)


def content(of: str):
    reference = {"kind": "VolumeSnapshot", "namespace": "shop", "name": of}
    spec = {
        "volumeSnapshotClassName": "nightly",
        "deletionPolicy": "Retain",
        "volumeSnapshotRef": reference,
    }
    return thing("VolumeSnapshotContent", f"content-{of}", None, api=API, spec=spec)


LEFT = [content(f"night-{n}") for n in range(8)]
FAILED = snap("tonight", message=LIMIT, ready=False)
CLAIM = thing(
    "PersistentVolumeClaim", "copy", status={"phase": "Pending"},
    spec={"storageClassName": "block", "dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "tonight"}},
)  # fmt: skip
BLOCK = thing(
    "StorageClass",
    "block",
    None,
    api="storage.k8s.io/v1",
    provisioner="disk.example.com",
    volumeBindingMode="Immediate",
)


def test_a_claim_leads_through_its_snapshot_to_the_class_that_keeps_everything():
    answer = causes(
        BLOCK,
        CLAIM,
        FAILED,
        snapshot_class(),
        LEFT,
        content("tonight"),
        target="PersistentVolumeClaim/shop/copy",
    )

    assert first(answer) == ("VolumeSnapshotClass/_cluster/nightly", "KeepsWhatIsDeleted")
    for words in ("deletionPolicy `Retain`, set at", "8 of 9 VolumeSnapshotContent", "limit exceeded"):
        assert words in answer.ranked[0].text


def test_volumes_are_kept_as_well():
    claim = thing(
        "PersistentVolumeClaim", "new", spec={"storageClassName": "kept"}, status={"phase": "Pending"}
    )
    kept = thing(
        "StorageClass",
        "kept",
        None,
        api="storage.k8s.io/v1",
        provisioner="disk.example.com",
        reclaimPolicy="Retain",
    )
    volumes = [
        thing("PersistentVolume", f"pv-{n}", None, spec={"storageClassName": "kept", "claimRef": {"namespace": "shop", "name": f"gone-{n}"}})
        for n in range(6)
    ]  # fmt: skip
    why = "failed to provision volume: rpc error: code = ResourceExhausted desc = quota exceeded"
    found = seen(kept_for_nobody, kept, claim, volumes, event(claim, "ProvisioningFailed", why))

    assert said(found) == [("StorageClass/_cluster/kept", "KeepsWhatIsDeleted")]


@pytest.mark.parametrize(
    "objects",
    [
        [snapshot_class("Delete"), LEFT, FAILED],
        [snapshot_class(), LEFT, snap("tonight", message="rpc error: code = Internal desc = no secret", ready=False)],
        [snapshot_class(), LEFT[:3], FAILED],
        [snapshot_class(), [content(f"kept-{n}") for n in range(8)], [snap(f"kept-{n}") for n in range(8)], FAILED],
        [snapshot_class(), LEFT, snap("tonight", message=LIMIT, ready=True)],
    ],
    ids=["it deletes", "another failure", "a few", "all are somebody's", "it is ready by now"],
)  # fmt: skip
def test_keeping_is_no_fault_where_it_uses_nothing_up(objects: list[Any]):
    assert seen(kept_for_nobody, objects) == []
