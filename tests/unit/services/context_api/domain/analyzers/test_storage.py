"""Classes and volumes that keep claims waiting."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import storage
from tests.support.kube import event, pod, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def klass(
    name: str = "fast", provisioner: str = "disk.example.com", *, default: bool = False, age: float = 9999
):
    return thing(
        "StorageClass", name, None, api="storage.k8s.io/v1", provisioner=provisioner, age=age,
        annotations={storage.DEFAULT: "true"} if default else None,
    )  # fmt: skip


def claim(name: str = "data", **spec):
    return thing(
        "PersistentVolumeClaim",
        name,
        spec={"storageClassName": "fast", **spec},
        status={"phase": "Pending"},
        age=30,
    )


def volume(phase: str, **reference: str):
    return thing(
        "PersistentVolume", "pv-7", None,
        spec={"claimRef": reference, "capacity": {"storage": "10Gi"}, "persistentVolumeReclaimPolicy": "Retain"},
        status={"phase": phase, "message": "error deleting volume: disk is attached"},
    )  # fmt: skip


def test_a_removed_provisioner_is_why_its_claims_wait():
    answer = causes(
        claim(), klass(provisioner="kubernetes.io/glusterfs"), target="PersistentVolumeClaim/shop/data"
    )

    assert first(answer) == ("StorageClass/_cluster/fast", "ProvisionerRemoved")


def test_a_provisioner_that_moved_needs_its_driver():
    ebs = klass(provisioner="kubernetes.io/aws-ebs")
    other = thing("CSIDriver", "nfs.csi.example.com", None, api="storage.k8s.io/v1")
    driver = thing("CSIDriver", "ebs.csi.aws.com", None, api="storage.k8s.io/v1")

    assert (
        first(causes(claim(), ebs, other, target="PersistentVolumeClaim/shop/data"))[1]
        == "ProvisionerRemoved"
    )
    assert said(seen(storage, claim(), ebs, driver)) == []
    assert said(seen(storage, claim(), ebs)) == []


def test_a_released_volume_is_why_the_claim_made_anew_waits():
    made = claim()
    told = event(made, "FailedBinding", "no persistent volumes available for this claim")
    old = volume("Released", namespace="shop", name="data", uid="0000-old")

    answer = causes(made, told, old, klass(), target="PersistentVolumeClaim/shop/data")

    assert first(answer) == ("PersistentVolume/_cluster/pv-7", "VolumeStillReleased")
    assert "earlier claim shop/data" in answer.ranked[0].text


def test_several_default_classes_are_told_for_an_alert_about_one_of_them():
    classes = [klass("old", default=True, age=9000), klass("new", default=True, age=10)]

    (found,) = seen(storage, classes)

    assert said([found]) == [("StorageClass/_cluster/new", "SeveralDefaultClasses")]
    assert found.latent
    assert "get new, the newest" in found.text


def test_a_volume_that_failed_is_a_fault_by_itself():
    assert first(causes(volume("Failed"))) == ("PersistentVolume/_cluster/pv-7", "VolumeFailed")


@pytest.mark.parametrize(
    "objects",
    [
        [klass(default=True), klass("slow")],
        [volume("Released", namespace="shop", name="other", uid="1"), claim()],
        [volume("Bound", namespace="shop", name="data", uid="1")],
        [klass(provisioner="kubernetes.io/no-provisioner"), claim()],
    ],
    ids=["one default", "released by another", "bound", "volumes made by hand"],
)
def test_classes_and_volumes_nobody_waits_for_are_no_findings(objects):
    assert said(seen(storage, objects)) == []


def test_a_removed_provisioner_nobody_uses_is_no_cause():
    assert causes(klass(provisioner="kubernetes.io/glusterfs")).no_cause


def test_the_workload_whose_pods_wait_for_that_claim_is_explained_as_well():
    condition = {
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 node(s) didn't find available persistent volumes to bind.",
    }  # fmt: skip
    uses = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}
    waits = pod("web-0", node=None, phase="Pending", statuses=[], conditions=[condition], spec=uses)
    old = volume("Released", namespace="shop", name="data", uid="0000-old")

    answer = causes(claim(), waits, old, klass(), target="Pod/shop/web-0")

    assert first(answer) == ("PersistentVolume/_cluster/pv-7", "VolumeStillReleased")


def test_two_default_classes_explain_a_claim_that_got_the_newer_one_and_no_older_claim():
    classes = [klass("old", default=True), klass("fast", default=True, age=60)]

    (newer,) = seen(storage, *classes, claim())
    (older,) = seen(storage, klass("old", default=True), klass("fast", default=True, age=5), claim())

    assert (newer.reason, newer.latent, len(newer.explains)) == ("SeveralDefaultClasses", True, 1)
    assert older.explains == ()
