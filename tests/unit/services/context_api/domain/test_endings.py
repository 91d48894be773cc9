"""How containers came to their end."""

from __future__ import annotations

import pytest

from services.context_api.domain.containers import Container, containers_of
from services.context_api.domain.endings import (
    began,
    crashing,
    ended_with_its_node,
    killed_by_probe,
    last_words,
    looping_since,
    meaning,
    quoted,
)
from services.context_api.domain.logs import Line
from services.context_api.domain.scene import Scene
from tests.support.kube import NOW, ended, event, kube, log, moment, pod, running, snapshot, thing
from tests.support.kube import crashing as crashed

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


def scene_of(one, *more, logs=()):
    scene = Scene(snapshot(one, *more, logs=logs))
    return scene, next(c for p in scene.graph.pods for c in containers_of(p))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "application error"),
        (137, "SIGKILL"),
        (141, "signal 13"),
        (77, "application error"),
        (-1, "application error"),
    ],
)
def test_exit_codes_have_a_meaning(code: int, words: str):
    assert words in meaning(code)


def test_previous_and_current_logs_are_read_and_the_termination_message_where_there_is_no_log():
    one = pod("web-0", statuses=[crashed(message="panic: from the message")])
    with_logs = [log(one, "FATAL: before", previous=True), log(one, "FATAL: now")]

    scene, container = scene_of(one, logs=with_logs)
    lines, facts = last_words(scene, [container])
    assert {line.text for line in lines} == {"FATAL: before", "FATAL: now"}
    assert len(facts) == 2

    scene, container = scene_of(one)
    assert [line.text for line in last_words(scene, [container])[0]] == ["panic: from the message"]


def test_a_log_without_errors_ends_with_its_last_line():
    one = pod("web-0", statuses=[crashed()])
    scene, container = scene_of(one, logs=[log(one, "loading\nbye\n")])

    assert [line.text for line in last_words(scene, [container])[0]] == ["bye"]
    assert quoted([Line("a", 3, 2), Line("b", 1, 2), Line("c", 1, 2)]) == "`a` (×3); `b`"


@pytest.mark.parametrize(
    ("field", "found"), [("spec.containers{app}", True), ("spec.containers{other}", False), ("", True)]
)
def test_a_kill_by_a_probe_is_told_by_its_container(field: str, found: bool):
    one = pod("web-0", statuses=[crashed(code=137)])
    words = (
        "Container app failed liveness probe, will be restarted"
        if "other" not in field
        else "Container other failed liveness probe"
    )
    scene, container = scene_of(one, event(one, "Killing", words, field=field))

    assert (killed_by_probe(scene.graph, container) is not None) is found


def test_trouble_began_with_the_first_event_or_the_loss_of_readiness():
    one = pod("web-0", statuses=[crashed()], unready_since=12)
    scene, _ = scene_of(one, event(one, "BackOff", "x", first=20), event(one, "Pulled", "x", first=50))

    assert began(scene, scene.graph.pods, frozenset({"BackOff"})) == moment(20)
    assert began(scene, scene.graph.pods, frozenset()) == moment(12)
    assert began(scene, [], frozenset()) is None


def test_a_running_container_that_never_ended_is_not_crashing():
    (container,) = containers_of(kube(pod("web-0", statuses=[running()])))

    assert not crashing(container, NOW)


@pytest.mark.parametrize(
    ("restarts", "minutes"),
    [(1, 2 + 1 / 6), (5, 2 + 310 / 60), (7, 2 + 310 / 60 + 10), (10_000_000, 60 * 24)],
)
def test_a_crash_loops_beginning_is_counted_back_through_the_back_off(restarts: int, minutes: float):
    (container,) = containers_of(kube(pod("web-0", statuses=[crashed(restarts=restarts)])))

    found = looping_since(container)

    assert found
    assert abs((moment(minutes) - found).total_seconds()) < 90 + 6 * min(restarts, 10)


def test_a_container_that_never_ended_has_no_loop():
    (container,) = containers_of(kube(pod("web-0", statuses=[running()])))

    assert looping_since(container) is None


def test_a_number_of_restarts_no_kubelet_writes_is_no_loop():
    (container,) = containers_of(kube(pod("web-0", statuses=[crashed(restarts=-3)])))

    assert looping_since(container) is None


def on_one_node(ends: list[float], code: int = 255, *, own: float = 30) -> tuple[Scene, Container]:
    """A container that ended so many minutes ago, and one of each of other workloads of its node."""
    first, *rest = [
        pod(f"w{n}-0", owner=thing("ReplicaSet", f"w{n}", api="apps/v1"), statuses=[running(minutes=m, restarts=4, last=ended(code, "Unknown", minutes=m))])
        for n, m in enumerate([own, *ends])
    ]  # fmt: skip
    known = Scene(snapshot(first, rest))
    (found,) = [p for p in known.graph.pods if p.name == "w0-0"]
    return known, next(containers_of(found))


@pytest.mark.parametrize(
    ("ends", "code", "expected"),
    [
        ([30, 31, 30.5], 255, True),
        ([30, 31, 30.5, 900, 900], 137, True),
        ([30, 31, 30.5], 1, False),
        ([30, 31], 255, False),
        ([30, 31, 30.5, 900, 900, 900, 900], 255, False),
        ([300, 600, 900], 255, False),
    ],
    ids=["all at once", "most at once", "by a fault of their own", "too few to tell", "a few of many", "each at its own time"],
)  # fmt: skip
def test_a_container_ended_with_its_node_where_most_of_it_did(ends: list[float], code: int, expected: bool):
    assert ended_with_its_node(*on_one_node(ends, code)) is expected
