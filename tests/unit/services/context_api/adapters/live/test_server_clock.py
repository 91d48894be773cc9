"""The server's time between its answers: never before what it has, and soon not far after it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from services.context_api.adapters.live.server_clock import ServerClock

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")

START = datetime(2026, 11, 18, 9, 30, tzinfo=UTC)
BOOT = 5_000.0
"""Our monotonic clock at START."""


def server(monotonic: float, *, ahead: float = 0.0) -> datetime:
    return START + timedelta(seconds=monotonic - BOOT + ahead)


def told(clock: ServerClock, at: float, *, takes: float = 0.02, ahead: float = 0.0) -> ServerClock:
    """An answer to a request sent at `at`; the server writes its date in the middle of the time it takes."""
    date = server(at + takes / 2, ahead=ahead).replace(microsecond=0)
    return clock.told(date, at, at + takes)


def test_without_an_answer_it_is_not_known():
    assert ServerClock().now(BOOT) is None


def test_one_answer_tells_it_within_a_second_and_never_too_early():
    for fraction in (0.0, 0.3, 0.98):
        now = told(ServerClock(), BOOT + fraction).now(BOOT + 60)

        assert now is not None
        assert timedelta() <= now - server(BOOT + 60) < timedelta(seconds=1.1)


def test_many_answers_tell_it_within_the_shortest_way_there():
    clock, dice = ServerClock(), random.Random(7)
    at = BOOT
    for _ in range(200):
        at += dice.random()
        clock = told(clock, at, takes=0.004 + dice.random() * 0.2)

    now = clock.now(at + 1)
    assert now is not None
    assert timedelta() <= now - server(at + 1) < timedelta(seconds=0.1)


def test_a_clock_that_was_set_is_followed_both_ways():
    clock = told(ServerClock(), BOOT)

    forward = told(clock, BOOT + 10, ahead=3600)
    back = told(forward, BOOT + 20)

    for seen, ahead in ((forward, 3600.0), (back, 0.0)):
        now = seen.now(BOOT + 30)
        assert now is not None
        assert timedelta() <= now - server(BOOT + 30, ahead=ahead) < timedelta(seconds=1.1)


def test_a_clock_that_runs_a_little_faster_than_ours_is_not_left_behind():
    clock = ServerClock()
    for hour in range(48):
        at = BOOT + hour * 3600
        clock = told(clock, at, ahead=hour * 0.05)

    now = clock.now(at + 600)
    assert now is not None
    assert now >= server(at + 600, ahead=47 * 0.05)
