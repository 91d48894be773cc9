from __future__ import annotations

from datetime import timedelta

import pytest

from libs.cache import Breaker
from tests.support.clock import Clock

pytestmark = pytest.mark.requirement("API-BR-REL-007", "API-BR-PERF-019")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(faults=3, pause=timedelta(seconds=1), clock=clock)


def test_fewer_faults_in_a_row_than_its_limit_do_not_open_it(breaker: Breaker):
    for _ in range(10):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()

    assert breaker.allows()


def test_at_its_limit_it_opens(breaker: Breaker):
    for _ in range(3):
        breaker.failed()

    assert not breaker.allows()


def test_after_the_pause_one_call_may_try_and_the_others_wait(breaker: Breaker, clock: Clock):
    for _ in range(3):
        breaker.failed()
    clock.advance(1.0)

    assert [breaker.allows() for _ in range(3)] == [True, False, False]


def test_a_successful_try_closes_it(breaker: Breaker, clock: Clock):
    for _ in range(3):
        breaker.failed()
    clock.advance(1.0)
    breaker.allows()

    breaker.succeeded()

    assert all(breaker.allows() for _ in range(3))


def test_a_failed_try_keeps_it_open_for_another_pause(breaker: Breaker, clock: Clock):
    for _ in range(3):
        breaker.failed()
    clock.advance(1.0)
    breaker.allows()
    clock.advance(0.5)

    breaker.failed()
    clock.advance(0.9)

    assert not breaker.allows()


def test_a_try_that_never_reports_back_does_not_close_the_way_for_ever(breaker: Breaker, clock: Clock):
    for _ in range(3):
        breaker.failed()
    clock.advance(1.0)
    breaker.allows()

    clock.advance(1.0)

    assert breaker.allows()
