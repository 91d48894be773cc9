"""Containers that run and end again and again."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import restart_rate
from tests.support.kube import (
    container,
    deployment,
    ended,
    env,
    event,
    log,
    pods_in,
    running,
    service,
    stateful_set,
)
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def restarted(restarts: int, since: float, code: int = 1, reason: str = "Error"):
    """Ready again, `since` minutes after its last end."""
    return running(minutes=since - 0.5, restarts=restarts, last=ended(code, reason, minutes=since, lived=15))


def test_a_container_that_ends_every_half_hour_is_told_though_it_is_ready():
    objects = deployment("api", statuses=[restarted(48, 14)])
    logs = [log(pods_in(objects)[0], "FATAL: heap exhausted in cache eviction", previous=True)]

    answer = causes(objects, target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("Deployment/shop/api", "RestartsOften")
    for words in ("ends about every 30 min", "48 restarts", "exit code 1", "heap exhausted"):
        assert words in answer.ranked[0].text


def test_a_dependency_its_last_words_name_is_blamed():
    api = deployment(
        "api",
        containers=[container(env=env(DB="postgres://db.shop-data:5432"))],
        statuses=[restarted(48, 14)],
    )
    db = stateful_set(
        "db", statuses=[running("db", restarts=40, ready=False, last=ended(137, "OOMKilled", minutes=5))]
    )
    logs = [log(pods_in(api)[0], "FATAL: dial tcp db.shop-data:5432: connection refused", previous=True)]
    front = service("db", "shop-data", port=5432, not_ready=1)

    assert first(causes(api, db, front, target="Deployment/shop/api", logs=logs)) == (
        "StatefulSet/shop-data/db",
        "OOMKilled",
    )


@pytest.mark.parametrize(
    "status",
    [
        restarted(1, 20),
        restarted(48, 60 * 24 * 0.9),
        restarted(2, 20),
        restarted(48, 14, 137, "OOMKilled"),
        restarted(48, 5),
    ],
    ids=["one restart", "quiet since", "two", "killed for memory", "in its crash loop"],
)
def test_single_restarts_old_ones_and_those_of_other_kinds_are_left_alone(status):
    assert said(seen(restart_rate, deployment("api", statuses=[status]))) == []


def test_restarts_of_its_first_minutes_are_history():
    waited = running(minutes=40, restarts=5, last=ended(1, minutes=41))

    assert said(seen(restart_rate, deployment("api", age=45, statuses=[waited]))) == []


def test_a_crash_loop_that_is_over_is_history():
    # Ten restarts in two days on average, but the last instance lived for six seconds: they were all at once.
    over = running(minutes=39, restarts=10, last=ended(1, minutes=40, lived=0.1))

    assert said(seen(restart_rate, deployment("api", age=60 * 48, statuses=[over]))) == []
    assert causes(deployment("api", age=60 * 48, statuses=[over]), target="Deployment/shop/api").no_cause


def test_one_restart_a_day_on_average_is_not_often():
    objects = deployment("api", age=60 * 24 * 30, statuses=[restarted(30, 30)])

    assert said(seen(restart_rate, objects)) == []


def test_kills_by_a_probe_are_told_by_the_probe():
    objects = deployment("api", statuses=[restarted(48, 14, 137)])
    told = event(
        pods_in(objects)[0], "Killing", "Container app failed liveness probe, will be restarted",
        field="spec.containers{app}", type_="Normal",
    )  # fmt: skip

    found = seen(restart_rate, objects[:3], told)

    assert said(found) == []


# -- seldom, but ever since a release ------------------------------------------------------------------

DAY = 60 * 24
OLD, NEW = container(image="registry.example/app:1.0"), container(image="registry.example/app:1.1")


def seldom(*, pod_age: float | None = None, before=(OLD,)):
    """Four ends in nine days, the last a quarter of an hour ago."""
    status = running(minutes=14, restarts=4, last=ended(3, "Error", minutes=15, lived=2.2 * DAY))
    return deployment(
        "api", containers=[NEW], statuses=[status], age=30 * DAY, pod_age=pod_age,
        before=list(before) or None, rolled_out=9 * DAY,
    )  # fmt: skip


def test_ends_two_days_apart_are_told_when_they_came_with_a_release():
    objects = seldom()
    logs = [log(pods_in(objects)[0], "java.lang.OutOfMemoryError: Java heap space", previous=True)]

    answer = causes(objects, target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("Deployment/shop/api", "RestartsOften")
    for words in ("4 restarts", "Java heap space", "all of it since the rollout of", "`registry.example/app:1.0` → `registry.example/app:1.1`"):  # fmt: skip
        assert words in answer.ranked[0].text


@pytest.mark.parametrize(
    "objects",
    [seldom(before=()), seldom(pod_age=8.5 * DAY)],
    ids=["no release", "a pod that was moved since"],
)
def test_ends_days_apart_without_a_release_that_brought_them_are_accidents(objects):
    assert seen(restart_rate, objects) == []


@pytest.mark.parametrize(
    ("code", "line", "found"),
    [
        (0, "INFO maximum of 5000 messages reached, stopping", False),
        (0, "INFO message 4999 handled", True),
        (0, "INFO stopping\nERROR lost connection to the queue", True),
        (1, "INFO maximum of 5000 messages reached, stopping", True),
    ],
    ids=["by its own decision", "says nothing of it", "after an error", "with an error's code"],
)
def test_a_worker_that_begins_anew_by_its_own_decision_does_not_restart_too_often(
    code: int, line: str, found: bool
):
    objects = deployment("worker", statuses=[restarted(48, 14, code, "Completed")])
    logs = [log(p, line, previous=True) for p in pods_in(objects)]

    assert bool(seen(restart_rate, objects, logs=logs)) is found


@pytest.mark.parametrize(
    ("others", "told"), [(60 * 9, False), (60 * 40, True)], ids=["with its node", "alone"]
)
def test_what_ends_with_its_whole_node_each_night_does_not_end_by_itself(others: float, told: bool):
    def run(name: str, minutes: float):
        status = running(minutes=minutes, restarts=6, last=ended(255, "Unknown", minutes=minutes, lived=900))
        return deployment(
            name, before=[container(image="app:1")], containers=[container(image="app:2")], replicas=1,
            age=60 * 24 * 9, rolled_out=60 * 24 * 6, statuses=[status],
        )  # fmt: skip

    objects = [run("api", 60 * 9), *(run(name, others) for name in ("web", "db", "queue"))]

    assert ("Deployment/shop/api" in [str(o.about) for o in seen(restart_rate, objects)]) is told
