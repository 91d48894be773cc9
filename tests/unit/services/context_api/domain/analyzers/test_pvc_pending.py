"""Claims that do not bind, and those that wait as designed."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import pvc_pending
from tests.support.kube import event, moment, thing
from tests.support.triage import said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def claim(storage: str | None = "fast", phase: str = "Pending", **spec):
    named = {"storageClassName": storage} if storage is not None else {}
    return thing(
        "PersistentVolumeClaim",
        "data",
        spec={
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "10Gi"}},
            **named,
            **spec,
        },
        status={"phase": phase},
        age=20,
    )


def storage_class(name: str = "fast", mode: str = "Immediate", default: bool = False):
    marks = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return thing(
        "StorageClass",
        name,
        None,
        api="storage.k8s.io/v1",
        annotations=marks,
        provisioner="csi.example.com",
        volumeBindingMode=mode,
    )


def test_a_class_that_does_not_exist_is_named_with_those_that_do():
    (found,) = seen(pvc_pending, claim("fats"), storage_class("fast"))

    assert said([found]) == [("PersistentVolumeClaim/shop/data", "StorageClassNotFound")]
    assert "`fats`" in found.text
    assert "fast" in found.text


def test_the_provisioners_error_is_quoted():
    wanted = claim()
    told = event(
        wanted,
        "ProvisioningFailed",
        'failed to provision volume with StorageClass "fast": rpc error: code = ResourceExhausted desc = quota SSD_TOTAL_GB exceeded',
    )

    (found,) = seen(pvc_pending, wanted, storage_class(), told)

    assert found.reason == "ProvisioningFailed"
    assert "SSD_TOTAL_GB exceeded" in found.text
    assert "csi.example.com" in found.text


def test_without_a_class_and_without_a_default_nothing_can_be_made():
    assert said(seen(pvc_pending, claim(None), storage_class())) == [
        ("PersistentVolumeClaim/shop/data", "NoDefaultStorageClass")
    ]


def test_a_lost_volume_is_told():
    (found,) = seen(pvc_pending, claim(phase="Lost", volumeName="pv-7"))

    assert found.reason == "VolumeLost"
    assert "pv-7" in found.text


def test_volumes_on_offer_that_do_not_fit_are_listed():
    wanted = claim("")
    volume = thing(
        "PersistentVolume",
        "small",
        None,
        spec={"capacity": {"storage": "1Gi"}, "accessModes": ["ReadOnlyMany"]},
        status={"phase": "Available"},
    )
    told = event(
        wanted,
        "FailedBinding",
        "no persistent volumes available for this claim and no storage class is set",
        type_="Normal",
    )

    (found,) = seen(pvc_pending, wanted, volume, told)

    assert found.reason == "NoMatchingVolume"
    assert "small (1Gi" in found.text


def test_a_provisioner_that_never_answers_is_told_after_a_while():
    wanted = claim()
    told = event(
        wanted,
        "ExternalProvisioning",
        "Waiting for a volume to be created by the external provisioner 'csi.example.com'",
        type_="Normal",
    )

    assert said(seen(pvc_pending, wanted, storage_class(), told)) == [
        ("PersistentVolumeClaim/shop/data", "ProvisionerSilent")
    ]


def test_a_class_that_binds_at_once_should_have_bound_by_now_also_without_any_event():
    assert said(seen(pvc_pending, claim(), storage_class())) == [
        ("PersistentVolumeClaim/shop/data", "ProvisionerSilent")
    ]


def test_waiting_for_the_first_consumer_is_no_fault():
    wanted = claim("local")
    told = event(
        wanted,
        "WaitForFirstConsumer",
        "waiting for first consumer to be created before binding",
        type_="Normal",
    )

    assert seen(pvc_pending, wanted, storage_class("local", "WaitForFirstConsumer"), told) == []


@pytest.mark.parametrize("phase", ["Bound", ""])
def test_a_bound_claim_and_one_without_status_are_no_findings(phase):
    assert seen(pvc_pending, claim(phase=phase), storage_class()) == []


def test_a_claim_that_stays_pending_has_done_so_since_it_was_made_whenever_it_was_told_last():
    wanted = claim()
    told = event(wanted, "ProvisioningFailed", "no room", last=1)

    (found,) = seen(pvc_pending, wanted, storage_class(), told)

    assert found.onset == moment(20)
