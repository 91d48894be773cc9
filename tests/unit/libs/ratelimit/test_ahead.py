"""Taken ahead by who asks much, counted one by one for who asks little, and never more than is allowed."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.ratelimit.ahead import SHARE, AheadRateLimiter
from libs.ratelimit.gcra import LIMITER_AWAY, Limit, Verdict, decide
from tests.support.clock import Clock

pytestmark = pytest.mark.requirement("INT-BR-WH-023", "API-BR-SEC-007", "API-BR-CAPI-013")

MUCH = Limit(6_000, timedelta(minutes=1))
LITTLE = Limit(10, timedelta(minutes=1))


class Shared:
    """All replicas' limiter; counts how often it is asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._due = clock, dict[str, float]()
        self.asked, self.granted = 0, 0
        self.away = False

    async def take(self, key: str, limit: Limit, count: int = 1) -> Verdict:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            return LIMITER_AWAY
        verdict, self._due[key] = decide(self._due.get(key), self._clock(), limit, count)
        self.granted += count if verdict.allowed else 0
        return verdict


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shared(clock: Clock) -> Shared:
    return Shared(clock)


@pytest.fixture
def limiter(clock: Clock, shared: Shared) -> AheadRateLimiter:
    return AheadRateLimiter(shared, clock=clock)


async def test_a_caller_of_few_requests_is_counted_exactly(
    clock: Clock, shared: Shared, limiter: AheadRateLimiter
):
    for _ in range(20):
        assert (await limiter.take("caller", MUCH)).allowed
        clock.advance(0.5)

    assert (shared.asked, shared.granted) == (20, 20)


async def test_a_caller_of_many_asks_the_shared_one_rarely_and_wastes_little(
    clock: Clock, shared: Shared, limiter: AheadRateLimiter
):
    for _ in range(1_000):
        await limiter.take("caller", MUCH)
        clock.advance(0.001)

    assert shared.asked < 150
    assert shared.granted <= 1_000 * (1 + 1 / SHARE)


async def test_many_at_once_wait_for_one_who_takes_for_all(shared: Shared, limiter: AheadRateLimiter):
    for _ in range(400):
        await limiter.take("caller", MUCH)
    asked, granted = shared.asked, shared.granted

    verdicts = await asyncio.gather(*(limiter.take("caller", MUCH) for _ in range(200)))

    assert all(verdict.allowed for verdict in verdicts)
    assert shared.asked - asked < 20
    assert shared.granted - granted < 300


async def test_what_is_refused_says_when_to_come_back_and_asks_nobody_until_then(
    clock: Clock, shared: Shared, limiter: AheadRateLimiter
):
    verdicts = [await limiter.take("caller", LITTLE) for _ in range(15)]
    asked = shared.asked
    refused = await limiter.take("caller", LITTLE)
    clock.advance(refused.retry_after.total_seconds() + 0.001)
    after = await limiter.take("caller", LITTLE)

    assert [verdict.allowed for verdict in verdicts] == [True] * 10 + [False] * 5
    assert (asked, refused.allowed, after.allowed) == (11, False, True)


async def test_who_was_taken_ahead_for_and_comes_back_late_is_counted_anew(
    clock: Clock, shared: Shared, limiter: AheadRateLimiter
):
    for _ in range(200):
        await limiter.take("caller", MUCH)
    clock.advance(60)
    asked = shared.asked

    await limiter.take("caller", MUCH)

    assert shared.asked == asked + 1


async def test_when_the_shared_one_is_away_everybody_is_let_in_and_it_is_asked_again(
    shared: Shared, limiter: AheadRateLimiter
):
    shared.away = True
    verdicts = [await limiter.take("caller", MUCH) for _ in range(50)]

    assert {verdict.reason for verdict in verdicts} == {"limiter-away"}
    assert shared.asked == 50


async def test_one_callers_requests_cost_another_nothing(limiter: AheadRateLimiter):
    while (await limiter.take("greedy", LITTLE)).allowed:
        pass

    assert (await limiter.take("modest", LITTLE)).allowed


@settings(max_examples=30)
@given(
    st.lists(st.floats(min_value=0.0, max_value=0.2), min_size=1, max_size=300),
    st.sampled_from(
        [Limit(200, timedelta(seconds=1)), Limit(1_000, timedelta(seconds=10), burst=300), LITTLE]
    ),
)
async def test_two_replicas_together_never_let_in_more_than_the_limit(pauses: list[float], limit: Limit):
    clock = Clock()
    shared = Shared(clock)
    replicas = [AheadRateLimiter(shared, clock=clock) for _ in range(2)]
    let_in = 0
    for number, pause in enumerate(pauses):
        let_in += (await replicas[number % 2].take("caller", limit)).allowed
        clock.advance(pause)

    assert let_in <= shared.granted
