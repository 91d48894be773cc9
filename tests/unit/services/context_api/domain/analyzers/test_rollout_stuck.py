"""Missing replicas and rollouts past their deadline, and rollouts that only take their time."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import rollout_stuck
from tests.support.kube import (
    Doc,
    ago,
    container,
    crashing,
    deployment,
    log,
    pods_in,
    running,
    stateful_set,
    thing,
)
from tests.support.triage import said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

LATE = [
    {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": 'ReplicaSet "api-7c9d5b6f8" has timed out progressing.', "lastUpdateTime": ago(5), "lastTransitionTime": ago(5)},
    {"type": "Available", "status": "True", "lastTransitionTime": ago(600)},
]  # fmt: skip


def test_a_rollout_past_its_deadline_names_the_revision_and_what_it_changed():
    objects = deployment(
        "api",
        before=[container(image="api:1")],
        containers=[container(image="api:2")],
        rolled_out=20,
        old_pods=2,
        pods=1,
        statuses=[crashing()],
        conditions=LATE,
    )

    (found,) = seen(rollout_stuck, objects)

    assert said([found]) == [("Deployment/shop/api", "ProgressDeadlineExceeded")]
    for words in ("revision 2", "`api:1` → `api:2`", "2 pods of the revision before are ready"):
        assert words in found.text
    assert found.remediation
    assert found.remediation.command == "kubectl -n shop rollout undo deployment/api"


def test_missing_replicas_are_counted():
    (found,) = seen(rollout_stuck, deployment("api", statuses=[crashing()]))

    assert "0 of 2 replicas available" in found.text


def test_a_stateful_set_and_a_daemon_set_are_counted_by_their_own_fields():
    agents = thing(
        "DaemonSet",
        "agent",
        api="apps/v1",
        spec={"selector": {}, "template": {"spec": {"containers": [container()]}}},
        status={
            "desiredNumberScheduled": 3,
            "numberReady": 2,
            "conditions": [{"type": "Progressing", "status": "False"}],
        },
    )

    found = said(seen(rollout_stuck, stateful_set("db", statuses=[crashing("db")]), agents))

    assert found == [
        ("DaemonSet/shop/agent", "ReplicasUnavailable"),
        ("StatefulSet/shop-data/db", "ReplicasUnavailable"),
    ]


@pytest.mark.parametrize(
    "objects",
    [
        deployment("api"),
        deployment("api", replicas=0),
        deployment("api", rolled_out=1, pod_age=0.5, before=[container(image="api:1")], containers=[container(image="api:2")], statuses=[running(ready=False, minutes=0.3)], old_pods=1),
        deployment("api", pods=0, age=1, conditions=[{"type": "Progressing", "status": "True"}]),
    ],
    ids=["all available", "scaled to zero", "a rollout under way", "pods not yet made"],
)  # fmt: skip
def test_healthy_and_young_workloads_are_no_findings(objects):
    assert seen(rollout_stuck, objects) == []


def test_a_workload_that_gets_no_pods_at_all_is_told():
    assert said(seen(rollout_stuck, deployment("api", pods=0))) == [
        ("Deployment/shop/api", "ReplicasUnavailable")
    ]


def test_a_workload_that_is_being_deleted_is_not_looked_at():
    objects = deployment("api", statuses=[crashing()])
    objects[0]["metadata"]["deletionTimestamp"] = ago(1)

    assert seen(rollout_stuck, objects) == []


@pytest.mark.parametrize("odd", ["two", [2], {"a": 2}, True])
def test_a_count_that_is_no_number_is_no_lack_of_replicas(odd):
    objects, db = deployment("api"), stateful_set("db")
    objects[0]["status"]["availableReplicas"] = odd
    db[0]["status"]["readyReplicas"] = odd

    assert seen(rollout_stuck, objects, db) == []


def one_unready(*, priority: int = 0, node: str | None = "node-1") -> list[Doc]:
    """A Deployment of whose two pods the second never was ready."""
    objects = deployment("broker")
    last = pods_in(objects)[-1]
    objects[0]["status"].update(availableReplicas=1, readyReplicas=1)
    last["spec"].update(priority=priority, nodeName=node or "")
    last["status"].update(
        phase="Running" if node else "Pending",
        containerStatuses=[running(ready=False)] if node else [],
        conditions=[{"type": "Ready", "status": "False", "lastTransitionTime": ago(60 * 24)}],
    )
    return objects


LOCKED, OPEN = "INFO lock is held by broker-0", "INFO store opened"


@pytest.mark.parametrize(
    ("objects", "line", "found"),
    [
        (one_unready(), LOCKED, False),
        (one_unready(), OPEN, True),
        (one_unready(priority=-10, node=None), "", False),
        (one_unready(priority=0, node=None), "", True),
        (deployment("broker", statuses=[running(ready=False)]), LOCKED, True),
    ],
    ids=[
        "waits for its turn",
        "does not",
        "lets others go first",
        "does not let them",
        "nobody has the lock",
    ],
)
def test_replicas_that_are_meant_to_wait_do_not_lack(objects: list[Doc], line: str, found: bool):
    logs = [log(pods_in(objects)[-1], line)]

    assert bool(seen(rollout_stuck, objects, logs=logs)) is found


def test_one_that_waits_for_its_turn_excuses_none_that_was_never_made():
    objects = one_unready()
    objects[0]["spec"]["replicas"] = 3

    found = seen(rollout_stuck, objects, logs=[log(pods_in(objects)[-1], LOCKED)])

    assert [o.reason for o in found] == ["ReplicasUnavailable"]


@pytest.mark.parametrize(
    ("minutes", "found"), [(6, []), (20, ["ReplicasUnavailable"])], ids=["in time", "longer than it is given"]
)
def test_a_workload_whose_pods_are_given_ten_minutes_to_start_lacks_none_until_then(
    minutes: float, found: list[str]
):
    status = running(minutes=minutes, ready=False)
    status["started"] = False
    slow = container(startupProbe={"periodSeconds": 10, "failureThreshold": 60})
    objects = deployment(
        "api", containers=[slow], statuses=[status], pod_age=minutes, unready_since=minutes
    )  # fmt: skip

    assert [o.reason for o in seen(rollout_stuck, objects)] == found
