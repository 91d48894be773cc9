"""Volumes that cannot be attached or taken."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import volume_attachment
from tests.support.kube import Doc, ago, container, node, pod, thing, waiting
from tests.support.triage import said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

DRIVER = "disk.csi.example.com"


def claim(phase: str = "Bound", uid: str | None = None, **spec: object) -> Doc:
    made = thing("PersistentVolumeClaim", "data", age=30, spec={"volumeName": "pv-1" if phase == "Bound" else "", **spec}, status={"phase": phase})  # fmt: skip
    made["metadata"]["uid"] = uid or made["metadata"]["uid"]
    return made


def volume(phase: str = "Bound", uid: str = "", **status: object) -> Doc:
    reference = {"namespace": "shop", "name": "data", **({"uid": uid} if uid else {})}
    return thing("PersistentVolume", "pv-1", None, spec={"claimRef": reference, "csi": {"driver": DRIVER}, "persistentVolumeReclaimPolicy": "Retain"}, status={"phase": phase, **status})  # fmt: skip


def user(node_name: str | None = "node-1") -> Doc:
    spec = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}
    unplaced = [] if node_name else [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available: 3 node(s) didn't find available persistent volumes to bind.", "lastTransitionTime": ago(20)}]  # fmt: skip
    return pod(
        "web-0",
        spec=spec,
        node=node_name,
        phase="Pending",
        statuses=[waiting()] if node_name else [],
        conditions=unplaced,
        age=20,
    )


def attachment(**status: object) -> Doc:
    return thing("VolumeAttachment", "va-1", None, api="storage.k8s.io/v1", spec={"attacher": DRIVER, "nodeName": "node-1", "source": {"persistentVolumeName": "pv-1"}}, status=status)  # fmt: skip


def test_an_attach_error_is_told_about_the_volume_in_the_drivers_words():
    failed = attachment(
        attached=False, attachError={"message": "quota of attached disks reached", "time": ago(9)}
    )

    (found,) = seen(volume_attachment, failed, volume(), claim(), user())

    assert said([found]) == [("PersistentVolume/_cluster/pv-1", "VolumeAttachFailed")]
    assert "quota of attached disks reached" in found.text
    assert [str(e.about) for e in found.explains] == ["Pod/shop/web-0"]


def test_an_error_that_was_overcome_is_history():
    done = attachment(attached=True, attachError={"message": "busy", "time": ago(90)})

    assert seen(volume_attachment, done, attachment(attached=True), volume(), claim(), user()) == []


def csi_node(name: str, *drivers: str) -> Doc:
    return thing(
        "CSINode", name, None, api="storage.k8s.io/v1", spec={"drivers": [{"name": d} for d in drivers]}
    )


def test_a_driver_missing_on_one_node_is_told_there():
    listed = [csi_node("node-1"), csi_node("node-2", DRIVER), node("node-1"), node("node-2")]

    (found,) = seen(volume_attachment, *listed, volume(), claim(), user())

    assert said([found]) == [("Node/_cluster/node-1", "CsiDriverNotRegistered")]
    assert "node-2" in found.text


def test_its_daemon_set_is_named_where_it_was_recorded():
    served = thing("DaemonSet", "csi-disk", "kube-system", api="apps/v1", spec={"template": {"spec": {"containers": [container("c", args=[f"--driver={DRIVER}"])]}}}, status={})  # fmt: skip

    (found,) = seen(
        volume_attachment, csi_node("node-1"), csi_node("node-2", DRIVER), served, volume(), claim(), user()
    )

    assert str(found.about) == "DaemonSet/kube-system/csi-disk"


def test_a_driver_that_is_on_no_node_is_told_about_the_volume_where_nobody_serves_it():
    (found,) = seen(volume_attachment, csi_node("node-1"), volume(), claim(), user())

    assert said([found]) == [("PersistentVolume/_cluster/pv-1", "CsiDriverNotRegistered")]
    assert "no workload that was recorded serves it" in found.text


@pytest.mark.parametrize(
    "nodes",
    [[csi_node("node-1", DRIVER)], [csi_node("node-2")], []],
    ids=["there", "another-node", "unrecorded"],
)
def test_a_driver_that_is_there_or_of_which_nothing_was_recorded_is_no_fault(nodes: list[Doc]):
    assert seen(volume_attachment, *nodes, volume(), claim(), user()) == []
