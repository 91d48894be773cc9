"""Rollouts just before a failure, and rollouts that only coincide with one."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import recent_rollout
from tests.support.kube import (
    ago,
    container,
    crashing,
    deployment,
    env,
    event,
    pods_in,
    waiting,
)
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")


def test_a_rollout_whose_new_pods_crash_while_old_ones_run_is_the_cause_with_its_differences():
    objects = deployment(
        "api", before=[container(image="api:1", env=env(MODE="fast"))], containers=[container(image="api:2", env=env(MODE="faster"))], rolled_out=22,
        statuses=[crashing()], old_pods=2, pods=1,
    )  # fmt: skip

    answer = causes(objects, target="Deployment/shop/api")

    assert first(answer) == ("Deployment/shop/api", "RolloutBeforeOnset")
    for words in ("`api:1` → `api:2`", "`fast` → `faster`", "revision 2"):
        assert words in answer.ranked[0].text
    assert answer.ranked[0].remediation
    assert answer.ranked[0].remediation.command == "kubectl -n shop rollout undo deployment/api"


def test_a_rollout_is_no_cause_when_the_pods_from_before_it_fail_as_well():
    objects = deployment(
        "api",
        before=[container(image="api:1")],
        containers=[container(image="api:2")],
        rolled_out=22,
        statuses=[crashing()],
        old_pods=1,
        pods=1,
    )
    for one in pods_in(objects):
        one["status"]["containerStatuses"] = [crashing()]
        one["status"]["conditions"][1] = {
            "type": "Ready",
            "status": "False",
            "lastTransitionTime": one["metadata"]["creationTimestamp"],
        }

    assert seen(recent_rollout, objects) == []


def test_a_rollout_that_changed_only_labels_explains_no_crash():
    objects = deployment(
        "api", before=[container()], containers=[container()], rolled_out=22, statuses=[crashing()]
    )

    assert seen(recent_rollout, objects) == []


def test_a_rollout_is_silent_beside_a_mechanism_that_another_analyzer_knows():
    mount = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "files"}}]}
    objects = deployment(
        "api", replicas=1, before=[container(image="a:1")], containers=[container(image="a:2")], rolled_out=22, old_pods=1,
        statuses=[waiting()], spec=mount,
        conditions=[{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "lastTransitionTime": ago(10)}],
    )  # fmt: skip
    new = pods_in(objects)[-1]
    new["status"]["phase"] = "Pending"
    told = event(new, "FailedAttachVolume", 'Multi-Attach error for volume "pvc-1"')

    alone = said(seen(recent_rollout, objects))
    beside = said(seen(recent_rollout, objects, told))

    assert alone == [("Deployment/shop/api", "RolloutBeforeOnset")]
    assert beside == []


@pytest.mark.parametrize("inside", [False, True], ids=["a label", "a variable"])
def test_a_label_whose_name_reads_like_a_part_of_the_process_is_none(inside: bool):
    old, new = (container(env=env(STAGE=v)) if inside else container() for v in ("blue", "green"))
    objects = deployment("api", before=[old], containers=[new], rolled_out=22, statuses=[crashing()])
    for one, stage in zip([o for o in objects if o["kind"] == "ReplicaSet"], ("blue", "green"), strict=True):
        one["spec"]["template"]["metadata"]["labels"]["environment"] = stage

    assert bool(seen(recent_rollout, objects)) is inside
