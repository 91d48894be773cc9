from __future__ import annotations

from datetime import timedelta

import pytest

from libs.jobs.retry import RESCUES, Retry

pytestmark = pytest.mark.requirement("API-BR-REL-008")


def test_waits_grow_up_to_the_longest():
    retry = Retry(wait=timedelta(seconds=1), factor=2.0, longest=timedelta(seconds=5))

    waits = [retry.pause_after(failed) for failed in range(1, 6)]

    assert waits == [timedelta(seconds=s) for s in (1, 2, 4, 5, 5)]


@pytest.mark.parametrize(("asked", "heeded"), [(0, 1), (3, 3), (60, 5)])
def test_who_says_when_to_come_back_is_heeded_between_the_first_wait_and_the_longest(asked: int, heeded: int):
    retry = Retry(attempts=None, wait=timedelta(seconds=1), longest=timedelta(seconds=5))

    assert retry.pause_after(4, timedelta(seconds=asked)) == timedelta(seconds=heeded)


def test_where_runs_are_counted_a_short_wait_that_is_asked_for_does_not_spend_them_on_one_outage():
    retry = Retry(attempts=5, wait=timedelta(seconds=1), longest=timedelta(seconds=60))

    assert retry.pause_after(4, timedelta(seconds=1)) == timedelta(seconds=8)
    assert retry.pause_after(4, timedelta(seconds=20)) == timedelta(seconds=20)
    assert retry.pause_after(5, timedelta(seconds=1)) is None


def test_the_last_attempt_is_the_last():
    retry = Retry(attempts=2)

    assert retry.pause_after(1) is not None
    assert retry.pause_after(2) is None


def test_without_a_number_of_attempts_nothing_is_given_up_and_nothing_overflows():
    assert Retry(attempts=None).pause_after(100_000) == Retry().longest


def test_a_job_that_takes_its_worker_down_is_rescued_a_few_times_more_and_then_given_up():
    retry = Retry(attempts=3)

    assert retry.worth_rescuing(3 + RESCUES - 1)
    assert not retry.worth_rescuing(3 + RESCUES)
    assert Retry(attempts=None).worth_rescuing(1_000_000)
