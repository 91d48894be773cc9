"""Cron schedules that mean nothing."""

from __future__ import annotations

import pytest

from services.context_api.domain.schedule import fault

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
