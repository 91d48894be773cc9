"""Pods and containers that are meant to be as they are, beside those that only look it."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.containers import containers_of, is_ready
from services.context_api.domain.meant import ended_by_decision, stands_by, waits_its_turn, yields
from services.context_api.domain.scene import Scene
from tests.support.kube import (
    Doc,
    ago,
    container,
    deployment,
    ended,
    kube,
    log,
    pod,
    pods_in,
    running,
    snapshot,
)

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-009")

LOCKED = "INFO | Database kahadb/lock is locked by another server. Failed to acquire lock, waiting 10 seconds"


def pair(
    said: str, *, since: float = 60 * 24, second: bool = True, previous: bool = False, phase: str = "Running"
) -> tuple[Scene, Any]:
    """Two pods of one owner, of which the second is not ready (since then), and what its log says."""
    objects = deployment("broker")
    last = pods_in(objects)[1]
    status = last["status"]
    status["phase"] = phase
    status["containerStatuses"] = [running(ready=False)]
    status["conditions"] = [{"type": "Ready", "status": "False", "lastTransitionTime": ago(since)}]
    if not second:
        pods_in(objects)[0]["status"] = status
    scene = Scene(snapshot(objects, logs=[log(last, said, previous=previous)]))
    (found,) = [p for p in scene.graph.pods if p.name == last["metadata"]["name"]]
    return scene, found


@pytest.mark.parametrize(
    "said",
    [
        LOCKED,
        "INFO waiting for the lock on /data/lock",
        "lease is held by broker-0",
        "I am a standby node, following broker-0",
        "not the leader, leader is broker-0",
        f"ERROR no connection to the mirror\n{'INFO heartbeat sent' + chr(10)}{(LOCKED + chr(10)) * 12}",
    ],
    ids=["a lock", "waits for it", "a lease", "standby", "no leader", "an error long before"],
)
def test_an_unready_pod_that_waits_beside_a_ready_one_stands_by(said: str):
    scene, found = pair(said)

    assert stands_by(scene, found)
    assert waits_its_turn(scene, found)


@pytest.mark.parametrize(
    ("said", "how"),
    [
        ("INFO listening on port 61616", {}),
        ("", {}),
        (f"{LOCKED}\nERROR store is corrupt, cannot recover page 17", {}),
        (LOCKED + "\n" + "INFO heartbeat sent\n" * 20, {}),
        (LOCKED, {"second": False}),
        (LOCKED, {"since": 20}),
        (LOCKED, {"previous": True}),
        (LOCKED, {"phase": "Pending"}),
        ("INFO Waiting for changelog lock....\nINFO lock is held by broker-0", {}),
        ("INFO subscription is not active", {}),
    ],
    ids=[
        "says nothing of it", "silent", "an error beside it", "waited long ago", "nobody has the lock", "was ready before",
        "the instance before waited", "does not run", "a lock of a schema", "something else is not active",
    ],
)  # fmt: skip
def test_what_only_looks_like_standing_by_is_none(said: str, how: dict[str, Any]):
    scene, found = pair(said, **how)

    assert not stands_by(scene, found)
    assert not waits_its_turn(scene, found)


def test_a_pod_of_a_new_revision_that_waits_beside_an_old_one_is_a_rollout_that_is_stuck():
    objects = deployment("broker", replicas=1, before=[container(image="registry.example/app:0.9")], rolled_out=60, old_pods=1, statuses=[running(ready=False)], unready_since=60)  # fmt: skip
    scene = Scene(snapshot(objects, logs=[log(p, LOCKED) for p in pods_in(objects)]))

    assert sorted(is_ready(p) for p in scene.graph.pods) == [False, True]
    assert not any(stands_by(scene, p) for p in scene.graph.pods)


def test_a_ready_pod_waits_for_nothing():
    objects = deployment("broker")
    scene = Scene(snapshot(objects, logs=[log(p, LOCKED) for p in pods_in(objects)]))

    assert not any(stands_by(scene, p) for p in scene.graph.pods)


@pytest.mark.parametrize(
    ("priority", "node", "expected"),
    [(-10, None, True), (0, None, False), (1000, None, False), (None, None, False), (-10, "node-1", False)],
    ids=["goes last", "as all others", "goes first", "no priority", "has its node"],
)
def test_only_a_pod_without_a_node_and_of_a_priority_below_zero_yields(
    priority: int | None, node: str | None, expected: bool
):
    spec = {} if priority is None else {"priority": priority}
    filler = kube(pod("filler", node=node, statuses=[], spec=spec))

    assert yields(filler) is expected
    assert waits_its_turn(Scene(snapshot()), filler) is expected


def worker(said: str, end: Doc, *, previous: bool = True, container: str = "app") -> tuple[Scene, Any]:
    made = pod("worker-0", statuses=[running(minutes=4, restarts=9, last=end)])
    scene = Scene(snapshot(made, logs=[log(made, said, previous=previous, container=container)]))
    (found,) = scene.graph.pods
    return scene, next(containers_of(found))


DONE = "INFO message 4999 handled\nINFO maximum of 5000 messages reached, stopping"
LONG = ended(0, "Completed", minutes=4, lived=50)


@pytest.mark.parametrize(
    "said",
    [DONE, "worker: Restarting after 1000 requests", "Worker stopped due to maximum count of 5000 messages processed\nStopping"],
    ids=["messages", "requests", "a word behind it"],
)  # fmt: skip
def test_a_worker_that_says_its_share_is_done_after_a_good_while_ended_by_its_own_decision(said: str):
    assert ended_by_decision(*worker(said, LONG))


@pytest.mark.parametrize(
    ("said", "end", "how"),
    [
        (DONE, ended(1, minutes=4, lived=50), {}),
        (DONE, ended(143, minutes=4, lived=50), {}),
        (DONE, ended(0, "Completed", minutes=4, lived=3), {}),
        ("INFO message 4999 handled", LONG, {}),
        ("INFO signal received, shutting down\nINFO shutdown complete", LONG, {}),
        ("INFO stopping\nERROR lost connection to the queue", LONG, {}),
        ("INFO stopping\n" + "INFO message handled\n" * 5, LONG, {}),
        (DONE, LONG, {"previous": False}),
        (DONE, LONG, {"container": "sidecar"}),
    ],
    ids=[
        "with an error's code", "told to", "after a short life", "says nothing of it", "only that it stops", "after an error", "said so long before",
        "the instance of now", "another container's log",
    ],
)  # fmt: skip
def test_other_ends_are_no_decision(said: str, end: Doc, how: dict[str, Any]):
    assert not ended_by_decision(*worker(said, end, **how))


def test_without_a_log_nobody_says_that_it_was_a_decision():
    made = pod("worker-0", statuses=[running(minutes=4, restarts=9, last=LONG)])
    scene = Scene(snapshot(made))

    assert not ended_by_decision(scene, next(containers_of(scene.graph.pods[0])))
