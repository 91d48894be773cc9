"""Cron schedules that mean nothing, and whether one fired of late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.context_api.domain.schedule import fault, fired_within

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


@pytest.mark.parametrize(
    "schedule",
    [
        "*/5 * * * *", "0 3 * * 1-5", "15,45 */2 1-7 jan,jul mon", "@daily", "@every 1h30m", "TZ=Europe/Berlin 0 6 * * *",
        "0 0 31 1 *", "0 0 29 2 *", "0 0 31 2 1", "0 12 * * 7", "5/15 * * * *", "0 0 ? * *",
    ],
)  # fmt: skip
def test_schedules_that_start_something_have_no_fault(schedule: str):
    assert fault(schedule) == ""


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("61 * * * *", "its minute `61` is none from 0 to 59"),
        ("* * * *", "it has 4 fields, not 5"),
        ("0 0 0 * *", "day of month"),
        ("0 0 * foo *", "month `foo`"),
        ("0 0 31 2 *", "no month it names has such a day"),
        ("0 0 31 4,6,9,11 *", "no month it names has such a day"),
        ("@dayly", "`@dayly` is no schedule"),
        ("30-10 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("", "it has 0 fields, not 5"),
    ],
)
def test_schedules_that_never_start_anything_say_why(schedule: str, words: str):
    assert words in fault(schedule)


WEDNESDAY = datetime(2026, 11, 18, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "length", "expected"),
    [
        ("0 9 * * *", timedelta(hours=1), True),
        ("30 9 * * *", timedelta(minutes=1), True),
        ("0 9 * * *", timedelta(minutes=30), False),
        ("0 10 * * *", timedelta(hours=1), False),
        ("0 9 * * wed", timedelta(hours=1), True),
        ("0 9 * nov *", timedelta(hours=1), True),
        ("0 9 * dec *", timedelta(hours=1), False),
        ("0 9 * * thu", timedelta(hours=1), False),
        ("0 9 18 * fri", timedelta(hours=1), True),
        ("0 9 1 * 3", timedelta(hours=1), True),
        ("0 9 1 * fri", timedelta(hours=1), False),
        ("0 9 * * 5", timedelta(hours=1), False),
        ("0 9 19 * *", timedelta(hours=1), False),
        ("0 22 * * 7", timedelta(days=3), True),
        ("0 0 12 * *", timedelta(days=30), True),
        ("0 0 1 * *", timedelta(days=30), False),
        ("61 9 * * *", timedelta(hours=1), False),
        ("0 9 * *", timedelta(hours=1), False),
        ("@daily", timedelta(days=1), False),
        ("", timedelta(days=1), False),
        ("* * * * *", timedelta(0), False),
    ],
    ids=[
        "half an hour ago", "just now", "its time is just over", "later today", "by a weekday's name", "by a month's name",
        "another month", "another weekday", "this day, another weekday", "another day, this weekday", "neither",
        "any day, another weekday", "another day, any weekday", "Sunday as seven", "within the week", "beyond a week", "no minute",
        "a field too few", "a macro", "nothing", "for no time",
    ],
)  # fmt: skip
def test_a_schedule_fired_within_a_time(schedule: str, length: timedelta, expected: bool):
    assert fired_within(schedule, WEDNESDAY, length) is expected
