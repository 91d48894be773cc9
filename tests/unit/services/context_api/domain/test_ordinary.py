"""What is ordinary for a series by its own past."""

from __future__ import annotations

import pytest

from services.context_api.domain.ordinary import DAY, HOUR, comes_again, is_ordinary

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

STEP = 900.0
NOW = 40 * DAY


def points(value, days: float):
    """A sample each quarter of an hour; `value` is given the hours before now."""
    count = int(days * DAY / STEP) + 1
    return [(NOW - STEP * n, float(value(STEP * n / HOUR))) for n in reversed(range(count))]


def tonight(hours: float, *, every: float) -> bool:
    """Whether that is within the hour before now, or before now on an earlier day (or week)."""
    return hours % every <= 1


def test_a_level_that_has_been_there_for_days_is_ordinary():
    assert is_ordinary(points(lambda hours: 0.07 + 0.005 * (hours % 2), 3), NOW - HOUR)


@pytest.mark.parametrize("every", [24, 168], ids=["day", "week"])
def test_what_comes_each_day_or_each_week_at_this_hour_is_ordinary(every: float):
    nightly = points(lambda hours: 0.9 if tonight(hours, every=every) else 0.1, 2 * every / 24 + 1)

    assert is_ordinary(nightly, NOW - HOUR)


@pytest.mark.parametrize(
    ("value", "days"),
    [
        (lambda hours: 0.9 if hours <= 1 else 0.1, 4),
        (lambda hours: 0.9 if tonight(hours, every=24) and hours < 30 else 0.1, 4),
        (lambda hours: 0.9 if hours <= 1 else 0.4 if tonight(hours, every=24) else 0.1, 4),
        (lambda hours: 0.9, 0.5),
        (lambda hours: 0.9 if hours <= 1 or 40 < hours < 44 else 0.1, 4),
        (lambda hours: 0.0, 4),
    ],
    ids=["never before", "yesterday alone", "half as much", "not recorded", "a spell before", "nothing"],
)
def test_what_is_new_today_is_not_ordinary(value, days: float):
    assert not is_ordinary(points(value, days), NOW - HOUR)


@pytest.mark.parametrize(
    ("value", "days", "expected"),
    [
        (lambda hours: 1.9 if hours % 24 <= 5 else 0.2, 3, True),
        (lambda hours: 1.9 if hours % 168 <= 5 else 0.2, 15, True),
        (lambda hours: 1.9 if hours <= 5 else 0.2, 3, False),
        (lambda hours: 1.9 if hours % 24 <= 5 and hours < 30 else 0.2, 3, False),
        (lambda hours: 1.9 if hours <= 5 else 0.9 if hours % 24 <= 5 else 0.2, 3, False),
        (lambda hours: 1.9 if hours <= 30 else 0.2, 3, False),
        (lambda hours: 1.9 if hours % 24 <= 5 else 0.2, 1, False),
    ],
    ids=["each day", "each week", "today", "yesterday alone", "half as high", "since yesterday, and not back", "a short record"],
)  # fmt: skip
def test_what_was_as_high_at_this_hour_of_two_days_or_weeks_before_comes_again(
    value, days: float, expected: bool
):
    assert comes_again(points(value, days), NOW, 1.9) is expected
