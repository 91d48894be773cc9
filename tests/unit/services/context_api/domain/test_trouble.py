"""What is wrong with one workload, summed up."""

from __future__ import annotations

import pytest

from services.context_api.domain.scene import Scene
from services.context_api.domain.triage import observe
from services.context_api.domain.trouble import troubles
from tests.support.kube import (
    container,
    crashing,
    deployment,
    env,
    log,
    moment,
    pods_in,
    service,
    snapshot,
    stateful_set,
)

pytestmark = pytest.mark.requirement("API-BR-CAPI-007")


def summed_up(*objects, logs=()):
    scene = Scene(snapshot(*objects, logs=logs))
    return scene, list(troubles(scene, observe(scene)))


def test_all_observations_of_a_workload_are_one_trouble_with_its_first_moment_and_its_log():
    objects = deployment("api", statuses=[crashing()], unready_since=12)

    _, (found,) = summed_up(objects, logs=[log(pods_in(objects)[0], "FATAL: no disk")])

    assert {o.reason for o in found.seen} == {"CrashLoopBackOff", "ReplicasUnavailable"}
    assert found.onset == moment(12)
    assert [line.text for line in found.lines] == ["FATAL: no disk"]
    assert "no disk" in found.told
    assert not found.points_elsewhere


def test_a_complaint_about_something_broken_points_elsewhere():
    api = deployment("api", containers=[container(env=env(DB="db.shop-data:5432"))], statuses=[crashing()])
    logs = [log(pods_in(api)[0], "dial db.shop-data:5432: connection refused")]
    broken = [stateful_set("db", statuses=[crashing("db")]), service("db", "shop-data", not_ready=1)]
    well = [stateful_set("db"), service("db", "shop-data", ready=1)]

    for objects, expected in ((broken, True), (well, False)):
        _, found = summed_up(api, objects, logs=logs)
        assert next(t for t in found if t.top.name == "api").points_elsewhere is expected


def test_a_change_is_recent_from_an_hour_before_to_a_moment_after():
    scene, (found,) = summed_up(deployment("api", statuses=[crashing()], unready_since=12))

    assert [found.recent(scene, moment(m)) for m in (80, 70, 13, 11, 9)] == [False, True, True, True, False]
    assert found.how_long_before(moment(13)) == "60 s before"
    assert found.how_long_before(moment(11)) == "at the time of"


def test_a_healthy_workload_is_no_trouble():
    assert summed_up(deployment("api"))[1] == []
