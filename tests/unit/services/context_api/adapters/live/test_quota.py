"""The client's own limit: a burst at once, then so many a second, in the order they came."""

from __future__ import annotations

import asyncio
import math

import pytest

from services.context_api.adapters.live.quota import Bucket, Quota, book

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-PERF-019")

TEN = Quota(per_second=10, burst=3)


def waits(times: list[float], quota: Quota = TEN) -> list[float]:
    due, told = -math.inf, []
    for now in times:
        booking = book(due, now, quota)
        due = booking.next
        told.append(round(booking.wait, 3))
    return told


def test_a_burst_goes_out_at_once_and_what_follows_at_the_rate():
    assert waits([0.0] * 6) == [0, 0, 0, 0.1, 0.2, 0.3]


def test_a_pause_fills_the_bucket_and_never_beyond_the_burst():
    assert waits([0.0] * 3 + [1000.0] * 4) == [0, 0, 0, 0, 0, 0, 0.1]


def test_whoever_keeps_to_the_rate_never_waits():
    assert waits([n * 0.1 for n in range(50)]) == [0] * 50


def test_in_any_second_no_more_go_out_than_the_rate_and_one_burst():
    now, due, out = 0.0, -math.inf, []
    for n in range(300):
        now += (n % 7) * 0.03
        booking = book(due, now, TEN)
        due = booking.next
        out.append(now + booking.wait)

    for start in out:
        assert sum(start <= moment < start + 1 for moment in out) <= 10 + 3


async def test_who_cannot_be_served_in_time_is_told_at_once_and_takes_no_token():
    clock = asyncio.get_running_loop().time
    bucket = Bucket(Quota(per_second=0.1, burst=1), clock=clock)
    await bucket.take(clock() + 1)

    began = clock()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await bucket.take(clock() + 1)

    assert clock() - began < 0.5
    assert waits([0, 0], Quota(per_second=0.1, burst=1)) == [0, 10], "as if the three had not asked"


async def test_waiting_can_be_cancelled():
    clock = asyncio.get_running_loop().time
    bucket = Bucket(Quota(per_second=0.1, burst=1), clock=clock)
    await bucket.take(clock() + 1)
    waiting = asyncio.create_task(bucket.take(math.inf))
    await asyncio.sleep(0)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
