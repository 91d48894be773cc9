from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.ratelimit.gcra import Limit, decide

pytestmark = pytest.mark.requirement("INT-BR-WH-023", "API-BR-SEC-007")

LIMITS = st.builds(
    Limit,
    rate=st.integers(1, 50),
    per=st.integers(1, 60).map(lambda s: timedelta(seconds=s)),
    burst=st.one_of(st.none(), st.integers(1, 50)),
)


@given(LIMITS, st.lists(st.floats(0, 10), min_size=1, max_size=100))
def test_no_more_pass_in_any_time_than_the_burst_and_the_rate_allow(limit: Limit, gaps: list[float]):
    now, due, passed = 1000.0, None, []
    for gap in gaps:
        now += gap
        verdict, due = decide(due, now, limit)
        if verdict.allowed:
            passed.append(now)

    burst = limit.burst or limit.rate
    for index, first in enumerate(passed):
        for count, last in enumerate(passed[index:], start=1):
            assert count <= burst + (last - first) / limit.interval_s + 1e-3


@given(LIMITS, st.integers(1, 60))
def test_who_comes_back_at_the_time_told_is_let_in(limit: Limit, tries: int):
    due = None
    for _ in range(tries):
        verdict, due = decide(due, 1000.0, limit)
    if verdict.allowed:
        return

    later, _ = decide(due, 1000.0 + verdict.retry_after.total_seconds(), limit)

    assert later.allowed


@given(LIMITS)
def test_a_refused_request_costs_nothing(limit: Limit):
    due = None
    for _ in range(60):
        verdict, due = decide(due, 1000.0, limit)
    first = verdict.retry_after

    for _ in range(100):
        verdict, due = decide(due, 1000.0, limit)

    assert verdict.retry_after == first


@pytest.mark.parametrize(("rate", "seconds", "burst"), [(0, 1, None), (1, 0, None), (1, 1, 0), (-1, 1, None)])
def test_a_limit_that_allows_nothing_is_refused(rate: int, seconds: int, burst: int | None):
    with pytest.raises(ValueError, match="must be positive"):
        Limit(rate, timedelta(seconds=seconds), burst)
