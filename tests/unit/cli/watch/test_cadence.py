from __future__ import annotations

from datetime import timedelta

import pytest

from cli.watch.cadence import BRISK_S, FIRST_S, LONGEST_S, QUIET_S, pause_after_answer, pause_after_failure

pytestmark = pytest.mark.requirement("INT-BR-ERR-006")


def test_while_something_is_under_way_it_asks_every_second_however_long_it_takes():
    assert pause_after_answer(busy=True, quiet_s=10_000) == BRISK_S


def test_the_pause_grows_with_the_quiet_and_not_beyond_its_end():
    pauses = [pause_after_answer(busy=False, quiet_s=quiet) for quiet in range(0, 1000, 10)]

    assert pauses[0] == BRISK_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == QUIET_S


def test_a_service_that_is_away_is_asked_half_as_often_each_time():
    pauses = [
        pause_after_failure(failures, retry_after=None, jitter=0) for failures in (1, 2, 3, 4, 5, 6, 1000)
    ]

    assert pauses == [FIRST_S, 2, 4, 8, 16, LONGEST_S, LONGEST_S]


def test_a_service_that_asks_for_time_gets_it_up_to_the_longest_pause():
    assert pause_after_failure(1, retry_after=timedelta(seconds=12), jitter=0) == 12
    assert pause_after_failure(1, retry_after=timedelta(hours=1), jitter=0) == LONGEST_S


def test_watchers_do_not_come_back_together():
    assert [pause_after_failure(6, retry_after=None, jitter=way) for way in (-1, 1)] == [24, 36]
