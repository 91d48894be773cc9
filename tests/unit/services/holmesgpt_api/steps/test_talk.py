"""Whatever a model does, its question ends: with its answer, with triage's, or with the word for why there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from libs.contracts.chat import ChatEvent, ChatEventKind
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.chat.ports import Report
from services.holmesgpt_api.domain.chat.session import Reply, TakenTurn, Turn
from services.holmesgpt_api.domain.model import ModelFailed
from services.holmesgpt_api.domain.record import Asked
from services.holmesgpt_api.domain.verdict import ModelUse
from services.holmesgpt_api.steps.talk import Talking, Tidying
from tests.fakes.chat_sessions import MemorySessions
from tests.support.chats import question, reply

pytestmark = pytest.mark.requirement("HAPI-006", "HAPI-029")

LIFE = timedelta(seconds=30)
STEP = ChatEvent(number=0, kind=ChatEventKind.step, text="asking")
USE = ModelUse(model="openai/x", sdk="1", prompt="p", prompt_tokens=3)
Script = Callable[[TakenTurn, Report], Awaitable[Reply]]


class Scripted:
    def __init__(self, script: Script) -> None:
        self._script = script
        self.within: timedelta | None = None

    async def talk(self, taken: TakenTurn, *, within: timedelta, report: Report) -> Reply:
        self.within = within
        return await self._script(taken, report)


async def answers(taken: TakenTurn, report: Report) -> Reply:
    await report(STEP)
    return reply("The model's.", engine="holmesgpt", model=USE)


async def fails(taken: TakenTurn, report: Report) -> Reply:
    raise ModelFailed("model-unauthorized", "HTTP 401", USE)


async def asked(sessions: MemorySessions, *, interim: Reply | None = None, life: timedelta = LIFE) -> Turn:
    return await sessions.open(question(), interim=interim, verdict=None, life=life)


async def end_of(sessions: MemorySessions, turn: Turn) -> Turn:
    [found] = await sessions.look([turn.id])
    return found


async def test_a_models_answer_ends_the_question_and_its_steps_are_seen():
    sessions, seen = MemorySessions(), list[Asked]()
    turn = await asked(sessions, interim=reply("Triage's."))

    await Talking(sessions, Scripted(answers), observe_model=seen.append).talk(turn.id)

    ended = await end_of(sessions, turn)
    assert (ended.reply and ended.reply.text, [one.kind for one in ended.events]) == (
        "The model's.",
        ["step"],
    )
    assert seen == [Asked("concluded", USE)]


async def test_where_the_model_fails_triages_answer_stands_in_with_the_word_and_what_it_took():
    sessions, seen = MemorySessions(), list[Asked]()
    turn = await asked(sessions, interim=reply("Triage's."))

    await Talking(sessions, Scripted(fails), observe_model=seen.append).talk(turn.id)

    ended = (await end_of(sessions, turn)).reply
    assert ended is not None
    assert (ended.text, ended.degraded_reason, ended.degraded_detail, ended.model) == (
        "Triage's.",
        "model-unauthorized",
        "HTTP 401",
        USE,
    )
    assert seen == [Asked("model-unauthorized", USE)]


async def test_where_triage_has_none_either_the_question_ends_with_the_word_and_what_can_be_asked():
    sessions = MemorySessions()
    turn = await asked(sessions)

    await Talking(sessions, Scripted(fails)).talk(turn.id)

    ended = await end_of(sessions, turn)
    assert (ended.reply, ended.error_code) == (None, "model-unauthorized")
    assert "What should I do next?" in (ended.error or "")


async def test_a_mistake_of_ours_costs_nobody_the_answer_that_is_there():
    async def breaks(taken: TakenTurn, report: Report) -> Reply:
        raise ZeroDivisionError

    sessions = MemorySessions()
    turn = await asked(sessions, interim=reply("Triage's."))

    await Talking(sessions, Scripted(breaks)).talk(turn.id)

    ended = (await end_of(sessions, turn)).reply
    assert ended is not None
    assert (ended.text, ended.degraded_reason) == ("Triage's.", "engine-failed")


async def test_a_model_is_not_asked_when_there_is_no_time_left():
    sessions, talker = MemorySessions(), Scripted(answers)
    turn = await asked(sessions, interim=reply("Triage's."), life=timedelta(seconds=2))

    await Talking(sessions, talker).talk(turn.id)

    ended = (await end_of(sessions, turn)).reply
    assert talker.within is None
    assert ended is not None
    assert ended.degraded_reason == "model-timeout"


async def test_the_model_is_given_less_time_than_who_waits_has():
    sessions, talker = MemorySessions(), Scripted(answers)
    turn = await asked(sessions)

    await Talking(sessions, talker).talk(turn.id)

    assert talker.within is not None
    assert timedelta(seconds=25) < talker.within <= LIFE - timedelta(seconds=1)


@pytest.mark.requirement("HAPI-040")
async def test_a_second_run_says_that_it_began_anew():
    sessions = MemorySessions()
    turn = await asked(sessions)
    await sessions.take(turn.id)  # by a worker that was lost

    await Talking(sessions, Scripted(answers)).talk(turn.id)

    assert [one.kind for one in (await end_of(sessions, turn)).events] == ["restarted", "step"]


async def test_a_run_that_has_no_say_any_more_goes_no_further():
    reached = asyncio.Event()

    async def overtaken(taken: TakenTurn, report: Report) -> Reply:
        await sessions.end_overdue(turn.id, now=True)
        await report(STEP)
        reached.set()
        return reply("late")

    sessions = MemorySessions()
    turn = await asked(sessions, interim=reply("Triage's."))

    await Talking(sessions, Scripted(overtaken)).talk(turn.id)

    ended = (await end_of(sessions, turn)).reply
    assert not reached.is_set()
    assert ended is not None
    assert ended.text == "Triage's."


async def test_a_database_that_is_away_for_a_moment_costs_neither_step_nor_answer():
    async def outage(taken: TakenTurn, report: Report) -> Reply:
        sessions.away = True
        await report(STEP)
        asyncio.get_running_loop().call_later(0.05, setattr, sessions, "away", False)
        return reply("The model's.")

    sessions = MemorySessions()
    turn = await asked(sessions)

    await Talking(sessions, Scripted(outage)).talk(turn.id)

    ended = (await end_of(sessions, turn)).reply
    assert ended is not None
    assert ended.text == "The model's."


async def test_an_unknown_or_ended_question_is_none_of_its_business():
    sessions, talker = MemorySessions(), Scripted(answers)
    turn = await asked(sessions)
    await sessions.end_overdue(turn.id, now=True)

    await Talking(sessions, talker).talk(turn.id)
    await Talking(sessions, talker).talk("chat-unknown")

    assert talker.within is None


async def test_what_nobody_ended_is_ended_and_what_nobody_uses_is_deleted():
    sessions = MemorySessions(idle=timedelta(0))
    turn = await asked(sessions, interim=reply("Triage's."), life=timedelta(0))
    tidying = Tidying(sessions)

    await tidying.end_turn(turn.id)
    ended = await end_of(sessions, turn)
    await tidying.tidy(turn.session_id)

    assert ended.ended
    assert list(await sessions.look([turn.id])) == []


async def test_while_the_database_is_away_the_jobs_come_back():
    sessions = MemorySessions(away=True)

    for job in (
        Tidying(sessions).end_turn,
        Tidying(sessions).tidy,
        Talking(sessions, Scripted(answers)).talk,
    ):
        with pytest.raises(StorageUnavailable):
            await job("x")
