"""What takes longer than a caller has is given up, and said in the database's words."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.steps.in_time import in_time

pytestmark = pytest.mark.requirement("HAPI-130")

SOON = timedelta(milliseconds=20)


async def test_what_hangs_is_stopped_and_may_be_asked_again():
    stopped = []

    async def hang() -> None:
        async with in_time(SOON):
            try:
                await asyncio.Event().wait()
            finally:
                stopped.append("the statement")

    async with asyncio.timeout(5):
        with pytest.raises(StorageUnavailable) as late:
            await hang()

    assert (late.value.reason, stopped) == ("timeout", ["the statement"])
    assert late.value.retry_after > timedelta(0)


async def test_what_needs_no_wait_is_done_even_without_time():
    done = []
    async with in_time(timedelta(0)):
        done.append("recorded")

    assert done == ["recorded"]


async def test_a_timeout_of_something_else_stays_what_it_is():
    with pytest.raises(TimeoutError, match="a socket's"):
        async with in_time(timedelta(seconds=5)):
            raise TimeoutError("a socket's")
