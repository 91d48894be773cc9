"""An episode that nobody resolves ends by its sender's own end, or by silence."""

from datetime import UTC, datetime, timedelta

import pytest

from services.alerts.domain.ageing import ended

pytestmark = pytest.mark.requirement("INT-BR-AP-024@3.2")

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def judged(*, seen_ago=timedelta(0), ends_in=None):
    return ended(
        last_seen=NOW - seen_ago,
        ends_at=None if ends_in is None else NOW + ends_in,
        now=NOW,
        max_silence=timedelta(hours=12),
        grace=timedelta(minutes=2),
    )


def test_an_alert_mentioned_lately_goes_on():
    assert judged(seen_ago=timedelta(hours=11, minutes=59)) is None


def test_silence_for_too_long_ends_it_when_it_was_last_seen():
    end = judged(seen_ago=timedelta(hours=12, seconds=1))

    assert end is not None
    assert (end.reason, end.at) == ("silent-for-too-long", NOW - timedelta(hours=12, seconds=1))
    assert "12 h" in end.detail


def test_a_passed_end_ends_it_after_a_grace():
    assert judged(ends_in=-timedelta(minutes=1)) is None
    end = judged(ends_in=-timedelta(minutes=3))
    assert end is not None
    assert (end.reason, end.at) == ("ends-at-passed", NOW - timedelta(minutes=3))


def test_an_end_still_ahead_does_not_keep_a_silent_alert_alive():
    end = judged(seen_ago=timedelta(hours=13), ends_in=timedelta(hours=1))

    assert end is not None
    assert end.reason == "silent-for-too-long"
