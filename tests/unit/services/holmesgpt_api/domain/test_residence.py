"""A child serves on while nothing unusual has happened, and no longer than it may."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.holmesgpt_api.domain.residence import (
    FAULTS_OF_THE_MODEL,
    GROWN_AT_MOST,
    GROWN_WITHIN,
    MEASURED_FROM,
    NONE_KEPT,
    Growth,
    Policy,
    State,
    Why,
    makes_room,
    outstayed,
    unfit,
)
from services.holmesgpt_api.engine.messages import Failed

pytestmark = pytest.mark.requirement("HAPI-136", "HAPI-137")

POLICY = Policy(
    idle=4,
    spare=1,
    most=10,
    age=timedelta(hours=1),
    runs=500,
    memory=1000,
    rest=timedelta(minutes=5),
    pressure=0.9,
)
FRESH = State(runs=3, own=500, threads=0, age=timedelta(minutes=1))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, None),
        ({"threads": 1}, "thread"),
        ({"own": 1001}, "memory"),
        ({"own": 1000}, None),
        ({"runs": 500}, "runs"),
        ({"runs": 499}, None),
        ({"age": timedelta(hours=1)}, "age"),
        ({"threads": 1, "own": 9999, "runs": 999}, "thread"),
    ],
)
def test_a_child_serves_no_other_run_once_one_of_its_bounds_is_reached(
    fields: dict[str, Any], why: Why | None
):
    assert unfit(POLICY, replace(FRESH, **fields)) == why


def test_where_none_is_kept_none_serves_a_second_run():
    assert unfit(NONE_KEPT, replace(FRESH, runs=0)) == "single"


@pytest.mark.parametrize(
    ("age", "idle", "pressed", "why"),
    [
        (timedelta(minutes=1), timedelta(minutes=1), False, None),
        (timedelta(minutes=10), timedelta(minutes=5), False, "idle"),
        (timedelta(hours=1), timedelta(0), False, "age"),
        (timedelta(0), timedelta(0), True, "pressure"),
    ],
)
def test_a_child_that_waits_goes_when_it_is_old_unneeded_or_in_the_way(
    age: timedelta, idle: timedelta, pressed: bool, why: Why | None
):
    assert outstayed(POLICY, age=age, idle=idle, pressed=pressed) == why


def test_the_one_that_has_waited_longest_makes_room():
    assert makes_room([30.0, 10.0, 20.0]) == 1


def test_a_failure_of_ours_or_a_time_that_was_up_is_no_fault_of_the_model():
    known = set(Failed.model_json_schema()["properties"]["word"]["enum"])

    assert known >= FAULTS_OF_THE_MODEL
    assert known - FAULTS_OF_THE_MODEL == {"model-timeout", "engine-failed", "redaction-failed"}


def test_growth_is_told_per_run_once_a_child_has_filled_its_tables():
    growth = Growth()
    growth.seen("a", 1, 1_000)
    growth.seen("a", MEASURED_FROM, 50_000)
    assert growth.per_run == 0.0

    for more in range(1, 60):
        growth.seen("a", MEASURED_FROM + more, 50_000 + 100 * more)

    assert growth.per_run == pytest.approx(100, rel=0.01)


@pytest.mark.requirement("HAPI-140")
def test_children_that_outgrow_their_bound_again_and_again_are_an_alert_until_it_is_long_ago():
    growth = Growth()
    for number in range(GROWN_AT_MOST):
        growth.gone(f"child-{number}", "memory", now=float(number))
    growth.gone("other", "age", now=5.0)
    assert not growth.alert(now=6.0)

    growth.gone("one-more", "memory", now=7.0)

    assert growth.alert(now=8.0)
    assert not growth.alert(now=8.0 + GROWN_WITHIN.total_seconds())
