"""Volumes that cannot be attached or mounted."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import volume_mount
from tests.support.kube import event, pod, waiting
from tests.support.triage import seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def test_a_volume_still_attached_elsewhere_is_told():
    stuck = pod("db-0", statuses=[waiting()], phase="Pending", age=20)
    told = event(
        stuck,
        "FailedAttachVolume",
        'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) db-old',
    )

    (found,) = seen(volume_mount, stuck, told)

    assert found.reason == "VolumeMultiAttach"
    assert "db-old" in found.text


def test_a_mount_error_of_a_running_or_just_made_pod_is_history():
    healthy, young = pod("a-0"), pod("b-0", statuses=[waiting()], phase="Pending", age=0.3)
    events = [event(p, "FailedMount", "MountVolume.SetUp failed: exit status 32") for p in (healthy, young)]

    assert seen(volume_mount, healthy, young, events) == []
