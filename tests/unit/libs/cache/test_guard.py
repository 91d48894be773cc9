from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from redis import exceptions as redis

from libs.cache import Breaker, Guard
from libs.cache.guard import UNANSWERED
from tests.support.clock import Clock

pytestmark = pytest.mark.requirement("API-BR-REL-007", "INT-BR-REL-003")


@pytest.fixture
def faults() -> Counter[str]:
    return Counter()


@pytest.fixture
def guard(faults: Counter[str]) -> Guard:
    breaker = Breaker(faults=3, pause=timedelta(seconds=1), clock=Clock())
    return Guard(breaker, lambda reason: faults.update([reason]))


async def raises(error: Exception) -> bytes:
    raise error


async def answers(value: bytes) -> bytes:
    return value


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (redis.TimeoutError(), "timeout"),
        (redis.ConnectionError(), "unreachable"),
        (redis.BusyLoadingError(), "unreachable"),
        (ConnectionResetError(), "unreachable"),
        (redis.ResponseError("WRONGTYPE"), "refused"),
        (redis.ReadOnlyError(), "refused"),
    ],
)
async def test_a_fault_is_no_answer_and_is_counted_by_its_reason(
    guard: Guard, faults: Counter[str], error: Exception, reason: str
):
    assert await guard.ask(raises(error)) is UNANSWERED
    assert faults == {reason: 1}


async def test_after_three_faults_calls_are_held_back_and_counted(guard: Guard, faults: Counter[str]):
    for _ in range(3):
        await guard.ask(raises(redis.TimeoutError()))

    assert guard.open()
    assert faults["breaker-open"] == 1


async def test_refused_commands_hold_nothing_back(guard: Guard):
    for _ in range(10):
        await guard.ask(raises(redis.ResponseError("WRONGTYPE")))

    assert not guard.open()


async def test_an_answer_forgives_what_was_before(guard: Guard):
    for _ in range(2):
        await guard.ask(raises(redis.TimeoutError()))

    assert await guard.ask(answers(b"value")) == b"value"
    await guard.ask(raises(redis.TimeoutError()))
    assert not guard.open()


async def test_a_mistake_of_ours_is_not_taken_for_a_fault_of_redis(guard: Guard):
    with pytest.raises(TypeError):
        await guard.ask(raises(TypeError()))
