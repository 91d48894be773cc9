"""Who waits for a question hears its events once and its end soon, and never waits longer than it lives."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from libs.contracts.chat import ChatEvent, ChatEventKind
from services.holmesgpt_api.steps.chat_wait import TurnWaiting
from tests.fakes.chat_sessions import MemorySessions
from tests.support.chats import ANA, question, reply

pytestmark = pytest.mark.requirement("HAPI-009", "HAPI-129")

LIFE, PAUSE = timedelta(seconds=20), timedelta(milliseconds=5)


def step(text: str) -> ChatEvent:
    return ChatEvent(number=0, kind=ChatEventKind.step, text=text)


async def test_events_are_told_once_each_and_the_end_last():
    sessions = MemorySessions()
    turn = await sessions.open(question(), interim=None, verdict=None, life=LIFE)
    taken = await sessions.take(turn.id)
    assert taken is not None
    await sessions.note(taken, step("a"))
    seen: list[str] = []
    async with TurnWaiting(sessions, pause=PAUSE) as waiting, asyncio.timeout(5):
        async for one in waiting.events(turn):
            seen.append(one.text if isinstance(one, ChatEvent) else "end")
            if seen == ["a"]:
                await sessions.note(taken, step("b"))
            elif seen == ["a", "b"]:
                await sessions.note(taken, step("c"))
                await sessions.end(taken, reply())
        assert waiting.waiters == 0

    assert seen == ["a", "b", "c", "end"]


async def test_a_question_without_an_end_is_waited_for_as_long_as_it_lives():
    sessions = MemorySessions()
    turn = await sessions.open(question(), interim=None, verdict=None, life=timedelta(milliseconds=50))
    async with TurnWaiting(sessions, pause=PAUSE) as waiting, asyncio.timeout(5):
        assert await waiting.for_end(turn) is None


async def test_a_question_that_is_deleted_is_not_waited_for():
    sessions = MemorySessions()
    turn = await sessions.open(question(), interim=None, verdict=None, life=LIFE)
    await sessions.delete(turn.session_id, ANA)
    async with TurnWaiting(sessions, pause=PAUSE) as waiting, asyncio.timeout(5):
        assert await waiting.for_end(turn) is None


async def test_who_follows_hears_that_nothing_has_happened():
    sessions = MemorySessions()
    turn = await sessions.open(question(), interim=None, verdict=None, life=LIFE)
    async with (
        TurnWaiting(sessions, pause=PAUSE, alive=timedelta(milliseconds=20)) as waiting,
        asyncio.timeout(5),
    ):
        async for one in waiting.events(turn):
            assert one is None
            break


async def test_a_database_that_is_away_is_waited_for():
    sessions = MemorySessions()
    turn = await sessions.open(question(), interim=reply(), verdict=None, life=LIFE)
    sessions.away = True
    async with TurnWaiting(sessions, pause=PAUSE) as waiting, asyncio.timeout(5):
        end = asyncio.create_task(waiting.for_end(turn))
        await asyncio.sleep(0.03)
        sessions.away = False
        await sessions.end_overdue(turn.id, now=True)
        ended = await end

    assert ended is not None
    assert ended.ended
