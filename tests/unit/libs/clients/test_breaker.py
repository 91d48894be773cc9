from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from libs.clients.breaker import FAILURES_IN_A_ROW, JITTER, OPEN_FOR, WINDOW, Admission, Breaker, BreakerState

pytestmark = pytest.mark.requirement("INT-BR-REL-007", "API-BR-PERF-019")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock) -> Breaker:
    return Breaker(now=clock, jitter=lambda: 0.0)


def admitted(breaker: Breaker) -> Admission:
    admission = breaker.admit()
    assert isinstance(admission, Admission)
    return admission


def refused(breaker: Breaker) -> timedelta:
    wait = breaker.admit()
    assert isinstance(wait, timedelta)
    return wait


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed(admitted(breaker))


def test_four_failures_in_a_row_are_borne(breaker):
    fail(breaker, FAILURES_IN_A_ROW - 1)

    assert breaker.state is BreakerState.closed


def test_a_caller_may_bear_fewer_failures_and_wait_less_long(clock):
    breaker = Breaker(failures_in_a_row=3, open_for=timedelta(seconds=7), now=clock, jitter=lambda: 0.0)

    fail(breaker, 3)

    assert refused(breaker) == timedelta(seconds=7)


def test_five_failures_in_a_row_open_it(breaker):
    fail(breaker, FAILURES_IN_A_ROW)

    assert breaker.state is BreakerState.open
    assert breaker.admit() == OPEN_FOR


def test_a_success_in_between_starts_the_count_again(breaker):
    fail(breaker, FAILURES_IN_A_ROW - 1)
    breaker.succeeded(admitted(breaker))
    fail(breaker, FAILURES_IN_A_ROW - 1)

    assert breaker.state is BreakerState.closed


def test_a_peer_that_fails_every_second_call_opens_it_after_twenty(breaker):
    for _ in range(WINDOW // 2):
        assert breaker.state is BreakerState.closed
        breaker.succeeded(admitted(breaker))
        breaker.failed(admitted(breaker))

    assert breaker.state is BreakerState.open


def test_a_peer_that_fails_less_than_half_of_its_calls_is_borne_for_ever(breaker):
    for call in range(1000):
        settle = breaker.failed if call % 5 in (0, 2) else breaker.succeeded
        settle(admitted(breaker))

    assert breaker.state is BreakerState.closed


def test_when_the_time_is_up_one_caller_asks_and_the_others_wait(breaker, clock):
    fail(breaker, FAILURES_IN_A_ROW)
    clock.now += OPEN_FOR.total_seconds()

    assert breaker.state is BreakerState.half_open
    assert admitted(breaker).probe
    assert isinstance(breaker.admit(), timedelta)


def test_a_probe_that_succeeds_closes_it(breaker, clock):
    fail(breaker, FAILURES_IN_A_ROW)
    clock.now += OPEN_FOR.total_seconds()

    breaker.succeeded(admitted(breaker))

    assert breaker.state is BreakerState.closed
    fail(breaker, FAILURES_IN_A_ROW - 1)
    assert breaker.state is BreakerState.closed


def test_a_probe_that_fails_opens_it_for_the_full_time_again(breaker, clock):
    fail(breaker, FAILURES_IN_A_ROW)
    clock.now += OPEN_FOR.total_seconds() + 100

    breaker.failed(admitted(breaker))

    assert breaker.admit() == OPEN_FOR


def test_a_probe_whose_caller_went_away_leaves_the_question_to_the_next(breaker, clock):
    fail(breaker, FAILURES_IN_A_ROW)
    clock.now += OPEN_FOR.total_seconds()

    breaker.abandoned(admitted(breaker))

    assert admitted(breaker).probe


def test_a_slow_call_from_before_does_not_count_as_the_probe(breaker, clock):
    slow = admitted(breaker)
    fail(breaker, FAILURES_IN_A_ROW)
    clock.now += OPEN_FOR.total_seconds()
    probe = admitted(breaker)

    breaker.succeeded(slow)
    state_after_slow = breaker.state
    breaker.failed(probe)

    assert (state_after_slow, breaker.state) == (BreakerState.half_open, BreakerState.open)


@pytest.mark.parametrize("jitter", [-JITTER, JITTER])
def test_jitter_spreads_the_moment_of_the_probe(clock, jitter):
    breaker = Breaker(now=clock, jitter=lambda: jitter)

    fail(breaker, FAILURES_IN_A_ROW)

    assert refused(breaker).total_seconds() == pytest.approx(OPEN_FOR.total_seconds() * (1 + jitter))


def test_the_built_in_jitter_stays_within_its_share(clock):
    waits = set()
    for _ in range(200):
        breaker = Breaker(now=clock)
        fail(breaker, FAILURES_IN_A_ROW)
        waits.add(refused(breaker))

    assert len(waits) > 100
    assert min(waits) >= OPEN_FOR * (1 - JITTER)
    assert max(waits) <= OPEN_FOR * (1 + JITTER)


class BreakerMachine(RuleBasedStateMachine):
    """Any interleaving of calls, outcomes and waiting, against a model that keeps the whole history."""

    running = Bundle("running")

    @initialize()
    def start(self) -> None:
        self.clock = Clock()
        self.breaker = Breaker(now=self.clock, jitter=lambda: 0.0)
        self.outcomes: list[bool] = []  # of this closed period
        self.opened_at: float | None = None
        self.period = 0
        self.probing = False

    def _expected(self) -> BreakerState:
        if self.opened_at is None:
            return BreakerState.closed
        over = self.clock.now >= self.opened_at + OPEN_FOR.total_seconds()
        return BreakerState.half_open if over else BreakerState.open

    def _next_period(self, opened_at: float | None) -> None:
        self.period += 1
        self.opened_at, self.outcomes, self.probing = opened_at, [], False

    @rule(target=running)
    def call(self):
        admission = self.breaker.admit()
        state = self._expected()
        if state is BreakerState.closed:
            assert isinstance(admission, Admission)
            assert not admission.probe
            return (admission, self.period)
        if state is BreakerState.half_open and not self.probing:
            assert isinstance(admission, Admission)
            assert admission.probe
            self.probing = True
            return (admission, self.period)
        assert isinstance(admission, timedelta)
        assert timedelta(0) < admission <= OPEN_FOR
        return (None, -1)

    @rule(one=consumes(running), succeeds=st.booleans())
    def settle(self, one, succeeds: bool) -> None:
        admission, period = one
        if admission is None:
            return
        (self.breaker.succeeded if succeeds else self.breaker.failed)(admission)
        if period != self.period:
            return
        if self.opened_at is not None:
            self._next_period(None if succeeds else self.clock.now)
            return
        self.outcomes.append(succeeds)
        last = self.outcomes[-WINDOW:]
        row = self.outcomes[-FAILURES_IN_A_ROW:]
        # Only a failure opens it: a success that completes a bad window is news that the peer is back.
        if not succeeds and (
            (len(row) == FAILURES_IN_A_ROW and not any(row))
            or (len(last) == WINDOW and last.count(False) >= WINDOW / 2)
        ):
            self._next_period(self.clock.now)

    @rule(one=consumes(running))
    def abandon(self, one) -> None:
        admission, period = one
        if admission is None:
            return
        self.breaker.abandoned(admission)
        if period == self.period and admission.probe:
            self.probing = False

    @rule(seconds=st.sampled_from([0.5, 10.0, 29.0, 30.0, 31.0, 3600.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def many_failures(self) -> None:
        for _ in range(FAILURES_IN_A_ROW):
            self.settle(self.call(), False)

    @rule(pattern=st.lists(st.booleans(), min_size=WINDOW, max_size=WINDOW))
    def many_calls(self, pattern) -> None:
        for succeeds in pattern:
            self.settle(self.call(), succeeds)

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.breaker.state is self._expected()


TestBreakerMachine = BreakerMachine.TestCase
