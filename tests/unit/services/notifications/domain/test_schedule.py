from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.domain.schedule import LONGEST_ASKED, Schedule

pytestmark = pytest.mark.requirement("INT-BR-NOT-011", "INT-BR-ERR-006")


def seconds(*values: float) -> list[timedelta | None]:
    return [timedelta(seconds=value) for value in values]


def test_pauses_double_from_30_s_and_the_fifth_failure_is_the_last():
    pauses = [Schedule().pause_after(tried) for tried in range(1, 6)]

    assert pauses == [*seconds(30, 60, 120, 240), None]


def test_no_pause_exceeds_the_cap():
    pauses = [Schedule(attempts=9).pause_after(tried) for tried in range(4, 9)]

    assert pauses == seconds(240, 480, 480, 480, 480)


def test_a_channel_that_asks_for_a_longer_pause_gets_it():
    assert Schedule().pause_after(1, asked=timedelta(seconds=97)) == timedelta(seconds=97)


def test_a_channel_that_asks_for_a_shorter_pause_still_gets_ours():
    assert Schedule().pause_after(1, asked=timedelta(seconds=1)) == timedelta(seconds=30)


def test_nobody_is_left_alone_for_a_year_because_they_asked():
    assert Schedule().pause_after(1, asked=timedelta(days=365)) == LONGEST_ASKED


@given(tried=st.integers(1, 5000), luck=st.floats(0, 1))
def test_jitter_only_ever_lengthens_and_by_a_tenth_at_most(tried: int, luck: float):
    schedule = Schedule(attempts=10_000)
    plain = schedule.pause_after(tried)
    spread = schedule.pause_after(tried, luck=luck)

    assert plain is not None
    assert spread is not None
    assert plain <= spread <= plain * 1.1 + timedelta(microseconds=1)
