from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cli.serve_recording.durations import human, since

pytestmark = pytest.mark.requirement("API-BR-CAPI-005")

NOW = datetime(2026, 11, 18, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(seconds=-5), "<invalid>"),
        (timedelta(seconds=-1), "0s"),
        (timedelta(seconds=0.9), "0s"),
        (timedelta(seconds=119), "119s"),
        (timedelta(seconds=120), "2m"),
        (timedelta(minutes=9, seconds=59), "9m59s"),
        (timedelta(minutes=10, seconds=59), "10m"),
        (timedelta(minutes=179), "179m"),
        (timedelta(hours=3), "3h"),
        (timedelta(hours=7, minutes=59), "7h59m"),
        (timedelta(hours=8, minutes=59), "8h"),
        (timedelta(hours=47), "47h"),
        (timedelta(hours=48), "2d"),
        (timedelta(days=7, hours=5), "7d5h"),
        (timedelta(days=8, hours=5), "8d"),
        (timedelta(days=729), "729d"),
        (timedelta(days=2 * 365 + 3), "2y3d"),
        (timedelta(days=3 * 365), "3y"),
        (timedelta(days=9 * 365 + 3), "9y"),
    ],
)
def test_ages_are_written_as_kubectl_writes_them(length: timedelta, words: str):
    assert human(length) == words


@pytest.mark.parametrize("moment", [None, "", "yesterday", 3, "0001-01-01T00:00:00Z"])
def test_no_time_has_no_age(moment: object):
    assert since(moment, NOW) == "<unknown>"


def test_an_age_is_counted_to_the_recordings_now():
    assert since("2026-11-18T09:27:00Z", NOW) == "3m"
