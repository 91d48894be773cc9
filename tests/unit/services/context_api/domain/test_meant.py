"""Pods and containers that are meant to be as they are, beside those that only look it."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.containers import containers_of, is_ready
from services.context_api.domain.meant import (
    at_rest,
    awaits_node,
    ended_by_decision,
    stands_by,
    starts,
    unready_as_meant,
    waits_its_turn,
    yields,
)
from services.context_api.domain.scene import Scene
from tests.support.kube import (
    Doc,
    ago,
    container,
    deployment,
    ended,
    event,
    kube,
    log,
    pod,
    pods_in,
    running,
    snapshot,
    thing,
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


# -- on its way --------------------------------------------------------------------------------------

SLOW_START = {"startupProbe": {"periodSeconds": 10, "failureThreshold": 60}}
READY = {"readinessProbe": {"periodSeconds": 5}}


def starting(
    minutes: float = 4, said: str = "INFO loading the catalogue", *, probes: Doc | None = None, restarts: int = 0,
    passed: bool = False, lost: float | None = None,
) -> tuple[Scene, Any]:  # fmt: skip
    """A pod of one container that has run so long and is not ready; `lost`: minutes since it was ready."""
    status = running(minutes=minutes, ready=False, restarts=restarts)
    status["started"] = passed
    made = pod(
        "web-0", containers=[container(**(SLOW_START if probes is None else probes))], statuses=[status], age=minutes,
        unready_since=minutes if lost is None else lost,
    )  # fmt: skip
    scene = Scene(snapshot(made, logs=[log(made, said)]))
    return scene, scene.graph.pods[0]


@pytest.mark.parametrize(
    "how",
    [{}, {"minutes": 0.5, "probes": READY}, {"minutes": 5, "probes": {"readinessProbe": {"initialDelaySeconds": 300}}}],
    ids=["its startup probe gives it ten minutes", "it has just begun", "its readiness probe asks late"],
)  # fmt: skip
def test_a_pod_within_the_time_that_its_probes_give_it_for_a_start_starts(how: dict[str, Any]):
    scene, found = starting(**how)

    assert starts(scene, found)
    assert unready_as_meant(scene, found)
    assert not waits_its_turn(scene, found)


@pytest.mark.parametrize(
    "how",
    [
        {"minutes": 14},
        {"minutes": 4, "probes": READY},
        {"minutes": 4, "passed": True},
        {"restarts": 1},
        {"lost": 1},
        {"said": "INFO loading\nERROR cannot read table catalogue"},
        {"said": "dial tcp 10.96.0.7:5432: connect: connection refused, next try in 5 s"},
    ],
    ids=[
        "longer than it is given", "no startup probe", "its startup probe has succeeded", "ended before", "was ready before", "an error in its log",
        "waits for another",
    ],
)  # fmt: skip
def test_a_pod_that_only_looks_like_starting_is_in_trouble(how: dict[str, Any]):
    scene, found = starting(**how)

    assert not starts(scene, found)
    assert not unready_as_meant(scene, found)


PATIENT: Doc = {"startupProbe": {"periodSeconds": 10, "failureThreshold": 200}}


@pytest.mark.parametrize(
    ("minutes", "beside", "expected"),
    [(14, None, True), (20, None, False), (20, "its owner", True), (20, "another", False)],
    ids=["a quarter of an hour", "longer, alone", "longer, beside one that has had it", "beside one of another revision"],
)  # fmt: skip
def test_a_start_of_more_than_a_quarter_of_an_hour_is_one_where_another_pod_has_had_it(
    minutes: float, beside: str | None, expected: bool
):
    top = thing("Deployment", "web", api="apps/v1")
    of, before = (thing("ReplicaSet", f"web-{code}", api="apps/v1", owner=top) for code in ("7c9d5b6f8", "5d4f8c7b9"))  # fmt: skip
    status = {**running(minutes=minutes, ready=False), "started": False}
    late = pod("web-0", owner=of, containers=[container(**PATIENT)], statuses=[status], age=minutes, unready_since=minutes)  # fmt: skip
    others = [pod("web-1", owner=of if beside == "its owner" else before)] if beside else []
    scene = Scene(snapshot(top, of, before, late, others, logs=[log(late, "INFO loading the catalogue")]))
    (found,) = [p for p in scene.graph.pods if p.name == "web-0"]

    assert starts(scene, found) is expected


def unplaced(*told: tuple[str, float, str]) -> tuple[Scene, Any]:
    """A pod without a node, and (reason, minutes ago, type) of events about it."""
    made = pod("web-0", node=None, statuses=[])
    events = [
        event(made, reason, "x", first=minutes, last=minutes, count=1, type_=kind) for reason, minutes, kind in told
    ]  # fmt: skip
    scene = Scene(snapshot(made, events))
    return scene, scene.graph.pods[0]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([("TriggeredScaleUp", 6, "Normal")], True),
        ([("NotTriggerScaleUp", 9, "Normal"), ("TriggeredScaleUp", 6, "Normal")], True),
        ([("Nominated", 3, "Normal")], True),
        ([("TriggeredScaleUp", 25, "Normal")], False),
        ([("TriggeredScaleUp", 25, "Normal"), ("TriggeredScaleUp", 5, "Normal")], False),
        ([("TriggeredScaleUp", 6, "Normal"), ("NotTriggerScaleUp", 2, "Normal")], False),
        ([("FailedScheduling", 6, "Warning")], False),
    ],
    ids=["asked for one", "at the second look", "nominated", "it has not come", "asked again and again", "none will come", "nobody asks"],
)  # fmt: skip
def test_a_pod_awaits_a_node_for_as_long_as_nodes_take_to_come(told, expected: bool):
    scene, found = unplaced(*told)

    assert awaits_node(scene, found) is expected
    assert unready_as_meant(scene, found) is expected


def test_a_pod_that_has_its_node_awaits_none():
    made = pod("web-0", statuses=[running(ready=False)])
    scene = Scene(snapshot(made, event(made, "TriggeredScaleUp", "x", first=3, last=3, type_="Normal")))

    assert not awaits_node(scene, scene.graph.pods[0])


@pytest.mark.parametrize(
    ("spec", "api", "expected"),
    [
        ({"suspend": True}, "toolkit.example.io/v1", True),
        ({"enabled": False}, "db.example.io/v1", True),
        ({"instances": 0}, "db.example.io/v1", True),
        ({"suspend": False, "replicas": 2}, "toolkit.example.io/v1", False),
        ({}, "toolkit.example.io/v1", False),
        ({"suspend": True}, "batch/v1", False),
    ],
    ids=["suspended", "switched off", "no instances", "at work", "says nothing", "a built-in kind"],
)
def test_an_object_of_a_platform_rests_where_its_spec_says_so(spec: Doc, api: str, expected: bool):
    assert at_rest(kube(thing("Thing", "x", api=api, spec=spec))) is expected
