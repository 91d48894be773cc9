from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from libs.storage.awake import LOOK_S, awake_timeout

pytestmark = pytest.mark.requirement("INT-BR-REL-004", "API-BR-PERF-034")

LIMIT = timedelta(seconds=LOOK_S * 2)


def stand_still(seconds: float) -> None:
    """Nothing in this process runs meanwhile, as on a machine that is paused."""
    time.sleep(seconds)


async def after_standing_still(seconds: float, answer_in: float) -> str:
    """What a block gets that waits for an answer, when the process stands still meanwhile."""
    answer = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(answer_in, answer.set_result, "answer")
    asyncio.get_running_loop().call_later(0.01, stand_still, seconds)
    async with awake_timeout(LIMIT):
        return str(await answer)


async def test_what_came_while_the_process_stood_still_is_taken():
    assert await after_standing_still(LIMIT.total_seconds() * 3, answer_in=0.1) == "answer"


async def test_what_comes_soon_after_it_woke_up_is_taken():
    stood = LIMIT.total_seconds() * 3

    assert await after_standing_still(stood, answer_in=stood + 0.1) == "answer"


async def test_what_does_not_come_in_time_is_given_up():
    began = time.monotonic()

    with pytest.raises(TimeoutError):
        async with awake_timeout(LIMIT):
            await asyncio.Event().wait()

    assert LIMIT.total_seconds() <= time.monotonic() - began


async def test_what_does_not_come_after_it_woke_up_is_given_up_too():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30):
            await after_standing_still(LIMIT.total_seconds() * 2, answer_in=60)


async def test_a_block_that_ends_in_time_leaves_no_timer():
    loop = asyncio.get_running_loop()

    async with awake_timeout(LIMIT):
        await asyncio.sleep(0)

    waiting = [one for one in loop._scheduled if not one.cancelled()]  # type: ignore[attr-defined]
    assert waiting == []


async def test_a_caller_who_goes_is_let_go():
    async def waits() -> None:
        async with awake_timeout(timedelta(minutes=1)):
            await asyncio.Event().wait()

    task = asyncio.create_task(waits())
    await asyncio.sleep(0.01)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
