"""Volumes that cannot be attached or mounted."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import volume_mount
from tests.support.kube import container, deployment, event, node, pod, pods_in, thing, waiting
from tests.support.triage import causes, first, seen

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


MOUNT = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "files"}}]}
CLAIM = thing(
    "PersistentVolumeClaim", "files", spec={"accessModes": ["ReadWriteOnce"]}, status={"phase": "Bound"}
)
MULTI = 'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) x'


def rolling(**spec):
    """A surge: the old pod runs on node-1, the new one waits on node-2."""
    objects = deployment(
        "editor", replicas=1, before=[container(image="a:1")], containers=[container(image="a:2")], rolled_out=20,
        old_pods=1, statuses=[waiting()], spec=MOUNT,
    )  # fmt: skip
    objects[0]["spec"] |= spec
    new = pods_in(objects)[-1]
    new["spec"]["nodeName"], new["status"]["phase"] = "node-2", "Pending"
    return objects, event(new, "FailedAttachVolume", MULTI)


def test_a_surge_over_a_single_writer_volume_is_told_as_the_deadlock_that_it_is():
    objects, told = rolling()

    answer = causes(objects, CLAIM, node(), node("node-2"), told, target="Deployment/shop/editor")

    assert first(answer) == ("Deployment/shop/editor", "VolumeMultiAttach")
    assert "claim files is ReadWriteOnce" in answer.ranked[0].text
    assert "strategy Recreate would" in answer.ranked[0].text


def test_a_workload_that_lets_the_old_pod_go_first_is_not_told_to():
    objects, told = rolling(strategy={"type": "Recreate"})

    (found,) = seen(volume_mount, objects, CLAIM, node(), told)

    assert "holds it" in found.text
    assert "Recreate would" not in found.text


def test_a_node_that_does_not_answer_and_holds_the_volume_is_blamed():
    objects, told = rolling()

    answer = causes(
        objects, CLAIM, node(ready="Unknown"), node("node-2"), told, target="Deployment/shop/editor"
    )

    assert first(answer) == ("Node/_cluster/node-1", "NodeNotReady")


def test_a_pod_of_another_workload_that_holds_the_claim_is_named():
    stuck = pod("editor-0", statuses=[waiting()], phase="Pending", age=20, node="node-2", spec=MOUNT)
    other = deployment("backup", replicas=1, spec=MOUNT)
    beside = deployment("viewer", replicas=1)

    (found,) = seen(volume_mount, stuck, other, beside, CLAIM, event(stuck, "FailedAttachVolume", MULTI))

    assert "which belongs to Deployment shop/backup" in found.text
    assert [str(b.on) for b in found.blames] == ["PersistentVolumeClaim/shop/files", "Deployment/shop/backup"]


@pytest.mark.parametrize(
    ("since", "found"), [("Scheduled", True), ("Pulling", False)], ids=["waits", "went on"]
)
def test_a_volume_that_was_mounted_at_a_later_try_is_no_finding(since: str, found: bool):
    one = pod("web-0", statuses=[waiting()], phase="Pending", age=30)
    told = event(one, "FailedMount", "MountVolume.SetUp failed: exit status 32", first=29, last=25)
    later = event(one, since, "x", first=20, last=20, type_="Normal")

    assert bool(seen(volume_mount, one, told, later)) is found
