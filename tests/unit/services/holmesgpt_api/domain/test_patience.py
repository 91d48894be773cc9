"""A synchronous caller is kept no longer than it has time, and whatever is done for it takes from the same time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.holmesgpt_api.domain.patience import Deadline, answer_by
from tests.support.clock import Clock

pytestmark = pytest.mark.requirement("HAPI-130", "HAPI-005")


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def due(caller_has: float | None, clock: Clock, *, spent: float = 0.0) -> Deadline:
    has = None if caller_has is None else seconds(caller_has)
    return answer_by(seconds(25), has, spent=seconds(spent), now=clock)


@pytest.mark.parametrize(
    ("caller_has", "told"),
    [(None, 25.0), (60.0, 25.0), (25.0, 24.5), (10.0, 9.5), (0.5, 0.0), (0.25, 0.0), (-1.0, 0.0)],
)
def test_an_answer_is_ready_before_its_caller_leaves(caller_has: float | None, told: float):
    assert due(caller_has, Clock()).to_tell == seconds(told)


def test_a_callers_deadline_bounds_what_must_be_done_and_not_only_what_is_told():
    assert due(2.0, Clock()).left == seconds(2)
    assert due(None, Clock()).left == due(60.0, Clock()).left == seconds(25)


def test_what_was_spent_before_and_what_is_spent_after_counts_alike():
    clock = Clock()
    until = due(None, clock, spent=3.0)
    clock.advance(10)

    assert (until.left, until.to_tell) == (seconds(12), seconds(12))


def test_a_callers_own_time_left_is_not_shortened_by_what_was_spent_before_it_was_read():
    assert due(4.0, Clock(), spent=10.0).left == seconds(4)


@pytest.mark.parametrize(("told", "waits"), [(25.0, 24.0), (4.0, 3.0), (2.0, 1.5), (0.0, 0.0)])
def test_a_wait_leaves_time_for_one_more_look(told: float, waits: float):
    clock = Clock()
    until = due(None, clock)
    clock.advance(25 - told)

    assert until.to_wait == seconds(waits)


def test_when_it_is_past_nothing_is_left():
    clock = Clock()
    until = due(None, clock)
    clock.advance(100)

    assert {until.left, until.to_tell, until.to_wait} == {timedelta(0)}
