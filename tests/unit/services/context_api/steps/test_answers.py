from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from libs.cache import MemoryCache
from services.context_api.domain.errors import Busy, TooLate, UnknownObject
from services.context_api.steps.answers import LONGER, Answers, Found

pytestmark = pytest.mark.requirement("API-BR-CAPI-003", "API-BR-CAPI-002", "API-BR-CAPI-013")

LONG, NOW = timedelta(minutes=1), timedelta(milliseconds=20)


class Finder:
    """Answers in its thread when it is let go, and counts how often it was asked."""

    def __init__(self, answer: bytes = b"{}", error: Exception | None = None) -> None:
        self.count = 0
        self.begun, self.go = threading.Event(), threading.Event()
        self._answer, self._error = answer, error

    def __call__(self) -> bytes:
        self.count += 1
        self.begun.set()
        self.go.wait(10)
        if self._error:
            raise self._error
        return self._answer


@pytest.fixture
async def answers() -> AsyncIterator[Answers]:
    found: list[str] = []
    made = Answers(MemoryCache(max_entries=10, max_bytes=10_000), most_waiting=2, observe=found.append)
    made.outcomes = found  # type: ignore[attr-defined]
    yield made
    await made.close()


def at_once(answer: bytes = b"{}") -> Finder:
    finder = Finder(answer)
    finder.go.set()
    return finder


async def ask(answers: Answers, find: Callable[[], bytes], key: str = "k", limit: timedelta = LONG) -> bytes:
    return await answers.get(key, find, ttl=LONG, limit=limit)


async def test_an_answer_is_found_once_and_then_kept(answers: Answers):
    finder = at_once(b"one")

    assert [await ask(answers, finder) for _ in range(3)] == [b"one"] * 3
    assert finder.count == 1
    assert answers.rate.value == pytest.approx(2 / 3)
    assert answers.outcomes == ["found", "cached", "cached"]  # type: ignore[attr-defined]


async def test_who_asks_the_same_meanwhile_shares_the_answer(answers: Answers):
    finder = Finder(b"one")
    asked = [asyncio.create_task(ask(answers, finder)) for _ in range(5)]
    await asyncio.to_thread(finder.begun.wait, 10)
    finder.go.set()

    assert await asyncio.gather(*asked) == [b"one"] * 5
    assert finder.count == 1


async def test_another_question_gets_its_own_answer(answers: Answers):
    assert await ask(answers, at_once(b"one"), "a") == b"one"
    assert await ask(answers, at_once(b"two"), "b") == b"two"


async def test_finding_does_not_hold_the_event_loop(answers: Answers):
    finder = Finder(b"one")
    task = asyncio.create_task(ask(answers, finder))
    await asyncio.to_thread(finder.begun.wait, 10)

    turns = 0
    for _ in range(100):
        await asyncio.sleep(0)
        turns += 1
    finder.go.set()

    assert turns == 100
    assert await task == b"one"


async def test_who_cannot_wait_is_told_and_the_answer_is_there_next_time(answers: Answers):
    finder = Finder(b"one")
    with pytest.raises(TooLate):
        await ask(answers, finder, limit=NOW)
    finder.go.set()

    assert await ask(answers, finder) == b"one"
    assert finder.count == 1


async def test_a_failure_is_told_and_not_kept(answers: Answers):
    failing = Finder(error=UnknownObject("Pod/shop/x"))
    failing.go.set()
    with pytest.raises(UnknownObject):
        await ask(answers, failing)

    assert await ask(answers, at_once(b"one")) == b"one"


async def test_more_questions_than_can_wait_are_refused(answers: Answers):
    slow = [Finder(), Finder()]
    waiting = [asyncio.create_task(ask(answers, finder, f"k{n}")) for n, finder in enumerate(slow)]
    await asyncio.to_thread(slow[0].begun.wait, 10)

    with pytest.raises(Busy, match="2 questions wait already"):
        await ask(answers, at_once(), "k2")

    for finder in slow:
        finder.go.set()
    assert await asyncio.gather(*waiting) == [b"{}"] * 2
    assert await ask(answers, at_once(b"now"), "k2") == b"now"


async def test_nothing_asked_has_no_rate(answers: Answers):
    assert answers.rate.value == 0.0


async def test_what_stands_in_an_answer_is_kept_longer_than_the_answer():
    clock = [0.0]
    cache = MemoryCache(max_entries=10, max_bytes=10_000, clock=lambda: clock[0])
    answers = Answers(cache, most_waiting=2, observe=lambda _: None)
    try:
        await answers.get("k", lambda: Found(b"whole", {"part": b"part"}), ttl=LONG, limit=LONG)
        await asyncio.sleep(0)
        clock[0] = LONGER * LONG.total_seconds() - 1

        assert await cache.get("k") is None
        assert await answers.get("part", at_once(b"not asked"), ttl=LONG, limit=LONG) == b"part"
    finally:
        await answers.close()


async def test_nobody_waits_for_what_is_kept_besides_and_a_stop_ends_it():
    class Slow(MemoryCache):
        async def set(self, key: str, value: bytes, ttl: timedelta) -> None:
            if key == "part":
                await asyncio.Event().wait()
            await super().set(key, value, ttl)

    answers = Answers(Slow(max_entries=10, max_bytes=10_000), most_waiting=2, observe=lambda _: None)

    async with asyncio.timeout(5):
        assert (
            await answers.get("k", lambda: Found(b"whole", {"part": b"x"}), ttl=LONG, limit=LONG) == b"whole"
        )
        await answers.close()


@pytest.mark.parametrize("error", [None, UnknownObject("Pod/shop/x"), TimeoutError("of its own")])
async def test_what_ends_in_the_moment_in_which_the_wait_does_is_told(
    answers: Answers, monkeypatch: pytest.MonkeyPatch, error: Exception | None
):
    async def both_at_once(waited_for: asyncio.Future[bytes], _limit: float) -> bytes:
        await asyncio.gather(waited_for, return_exceptions=True)
        raise TimeoutError

    monkeypatch.setattr(asyncio, "wait_for", both_at_once)
    finder = Finder(b"one", error)
    finder.go.set()

    if error is None:
        assert await ask(answers, finder) == b"one"
        return
    with pytest.raises(type(error)) as raised:
        await ask(answers, finder)
    assert str(raised.value) == str(error)  # the executor makes its own of a TimeoutError
