"""The promises of the chat sessions' record, asked of PostgreSQL and of the fake that unit tests use: one suite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import TextClause, text

from libs.contracts.chat import ChatEvent, ChatEventKind
from libs.jobs import Jobs
from libs.storage import Database
from services.holmesgpt_api import worker
from services.holmesgpt_api.adapters.chat_sessions import Limits, PostgresSessions
from services.holmesgpt_api.domain.chat.errors import (
    OtherInvestigation,
    StillAnswering,
    TooManyQuestions,
    TooManySessions,
    UnknownSession,
)
from services.holmesgpt_api.domain.chat.ports import Sessions
from services.holmesgpt_api.domain.chat.session import About, Key, Said
from services.holmesgpt_api.domain.errors import KeyReused
from services.holmesgpt_api.domain.triage import conclude
from tests.fakes.chat_sessions import MemorySessions
from tests.support.chats import ANA, BEN, question, reply
from tests.support.investigations import CHECKOUT, claimed, found
from tests.support.postgres import FreshDatabase, MakeDatabase

pytestmark = pytest.mark.requirement("HAPI-006", "HAPI-007", "HAPI-010")

SERVICE = "holmesgpt_api"
LONG, OVER = timedelta(minutes=5), timedelta(0)
STEP = ChatEvent(number=0, kind=ChatEventKind.step, text="asking")


class Makers:
    def __init__(self, kind: str, database: FreshDatabase | None) -> None:
        self.kind, self.database = kind, database

    @asynccontextmanager
    async def sessions(
        self, idle: timedelta = LONG, *, most_sessions: int = 10, most_questions: int = 10
    ) -> AsyncIterator[Sessions]:
        if self.database is None:
            yield MemorySessions(idle, most_sessions, most_questions)
            return
        database = Database(self.database.settings(SERVICE), application=SERVICE)
        jobs = Jobs(database, service=SERVICE)
        worker.declare(jobs)
        limits = Limits(sessions=most_sessions, questions=most_questions)
        try:
            yield PostgresSessions(database, jobs, idle=idle, limits=limits)
        finally:
            await database.close()


@pytest.fixture(params=["memory", "postgres"])
def make(request: pytest.FixtureRequest) -> Makers:
    if request.param == "memory":
        return Makers("memory", None)
    fresh: MakeDatabase = request.getfixturevalue("fresh_database")
    return Makers("postgres", fresh(SERVICE, migrated=True))


async def test_a_question_with_its_answer_is_in_the_history(make: Makers):
    async with make.sessions() as sessions:
        about = About(target=CHECKOUT, labels={"pod": "a"}, namespace="shop", cluster="eu")
        first = await sessions.answered(question(about=about, investigation_id="inv-1"), reply())
        second = await sessions.answered(
            question("and?", session_id=first.session_id, about=about), reply("So.")
        )
        session = await sessions.find(first.session_id, ANA)
        assert session is not None
        turns = await sessions.page(session, before=None, limit=10)
        older = await sessions.page(session, before=2, limit=10)

    assert first.ended
    assert (session.about, session.investigation_id) == (about, "inv-1")
    assert session.expires_at - session.last_at == LONG
    assert [(one.number, one.message, one.reply and one.reply.text) for one in turns] == [
        (2, "and?", "So."),
        (1, "why?", "Because."),
    ]
    assert [one.id for one in older] == [first.id]
    assert second.session_id == first.session_id


async def test_nobody_elses_session_is_found_used_or_deleted(make: Makers):
    async with make.sessions() as sessions:
        turn = await sessions.answered(question(), reply())
        assert await sessions.find(turn.session_id, BEN) is None
        assert not await sessions.delete(turn.session_id, BEN)
        with pytest.raises(UnknownSession):
            await sessions.answered(question(owner=BEN, session_id=turn.session_id), reply())
        assert await sessions.find(turn.session_id, ANA) is not None


async def test_a_deleted_session_is_gone_with_what_it_said(make: Makers):
    async with make.sessions() as sessions:
        turn = await sessions.open(question(), interim=None, verdict=None, life=LONG)
        taken = await sessions.take(turn.id)
        assert taken is not None
        assert await sessions.delete(turn.session_id, ANA)
        assert not await sessions.delete(turn.session_id, ANA)
        assert not await sessions.end(taken, reply())
        assert list(await sessions.look([turn.id])) == []


async def test_a_session_that_nobody_used_for_its_idle_timeout_is_unknown_and_tidied(make: Makers):
    async with make.sessions(idle=timedelta(milliseconds=50)) as sessions:
        turn = await sessions.answered(question(), reply())
        await asyncio.sleep(0.1)
        assert await sessions.find(turn.session_id, ANA) is None
        with pytest.raises(UnknownSession):
            await sessions.answered(question(session_id=turn.session_id), reply())
        assert await sessions.tidy(turn.session_id)
        assert list(await sessions.look([turn.id])) == []
        assert not await sessions.tidy(turn.session_id)


async def test_a_session_in_use_is_not_tidied(make: Makers):
    async with make.sessions() as sessions:
        turn = await sessions.answered(question(), reply())
        assert not await sessions.tidy(turn.session_id)
        assert await sessions.find(turn.session_id, ANA) is not None


async def test_one_question_of_a_session_at_a_time(make: Makers):
    async with make.sessions() as sessions:
        turn = await sessions.open(question(), interim=None, verdict=None, life=LONG)
        with pytest.raises(StillAnswering):
            await sessions.answered(question(session_id=turn.session_id), reply())
        taken = await sessions.take(turn.id)
        assert taken is not None
        assert await sessions.end(taken, reply())
        assert (await sessions.answered(question(session_id=turn.session_id), reply())).number == 2


async def test_of_two_questions_at_one_moment_one_is_refused(make: Makers):
    async with make.sessions() as sessions:
        session = (await sessions.answered(question(), reply())).session_id
        asked = [
            sessions.open(question(session_id=session), interim=None, verdict=None, life=LONG)
            for _ in range(2)
        ]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)

    assert sorted(type(one).__name__ for one in outcomes) == ["StillAnswering", "Turn"]


async def test_a_question_repeated_with_its_key_is_the_first_one_wherever_that_stands(make: Makers):
    key = Key("k1", b"asked")
    async with make.sessions() as sessions:
        first = await sessions.open(question(key=key), interim=None, verdict=None, life=LONG)
        again = await sessions.open(question(key=key), interim=None, verdict=None, life=LONG)
        at_once = await sessions.answered(question(key=key), reply())
        before = await sessions.asked_before(ANA, key)
        others = await sessions.asked_before(BEN, key)
        with pytest.raises(KeyReused):
            await sessions.answered(question("and?", key=Key("k1", b"something else")), reply())
        taken = await sessions.take(first.id)
        assert taken is not None
        await sessions.end(taken, reply("So."))
        ended = await sessions.answered(question(key=key), reply("Never said."))

    assert {again.id, at_once.id, before.id if before else ""} == {first.id}
    assert others is None
    assert (ended.id, ended.reply and ended.reply.text) == (first.id, "So.")


async def test_of_many_requests_with_one_key_at_one_moment_one_is_asked(make: Makers):
    key = Key("k1", b"asked")
    async with make.sessions() as sessions:
        turns = await asyncio.gather(
            *(sessions.open(question(key=key), interim=None, verdict=None, life=LONG) for _ in range(8))
        )

    assert len({turn.id for turn in turns}) == 1


async def test_a_session_stays_with_its_investigation(make: Makers):
    async with make.sessions() as sessions:
        turn = await sessions.answered(question(), reply())
        again = question(session_id=turn.session_id, investigation_id="inv-1")
        await sessions.answered(again, reply())
        await sessions.answered(again, reply())
        with pytest.raises(OtherInvestigation):
            await sessions.answered(question(session_id=turn.session_id, investigation_id="inv-2"), reply())


async def test_a_caller_has_so_many_sessions_and_so_many_open_questions(make: Makers):
    async with make.sessions(most_sessions=3, most_questions=2) as sessions:
        for _ in range(2):
            await sessions.open(question(), interim=None, verdict=None, life=LONG)
        with pytest.raises(TooManyQuestions):
            await sessions.open(question(), interim=None, verdict=None, life=LONG)
        last = await sessions.answered(question(), reply())
        with pytest.raises(TooManySessions):
            await sessions.answered(question(), reply())
        await sessions.answered(question(session_id=last.session_id), reply())
        await sessions.open(question(owner=BEN), interim=None, verdict=None, life=LONG)


async def test_what_a_model_begins_with_is_what_was_asked_and_said_before(make: Makers):
    verdict = conclude(found(), CHECKOUT, claimed(), "x")
    async with make.sessions() as sessions:
        first = await sessions.answered(question("why?", about=About(namespace="shop")), reply("Because."))
        asked = question(
            "and?", session_id=first.session_id, reads=("shop", "data"), about=About(namespace="shop")
        )
        turn = await sessions.open(asked, interim=reply("Triage."), verdict=verdict, life=LONG)
        taken = await sessions.take(turn.id)

    assert taken is not None
    assert (taken.message, taken.reads, taken.namespace, taken.fence) == ("and?", ("shop", "data"), "shop", 1)
    assert taken.earlier == (Said("why?", "Because."),)
    assert (taken.interim and taken.interim.text, taken.verdict) == ("Triage.", verdict)
    assert timedelta(0) < taken.time_left <= LONG
    assert turn.life == LONG


@pytest.mark.requirement("HAPI-040")
async def test_a_lost_workers_question_is_taken_up_again_and_the_lost_one_has_no_say(make: Makers):
    async with make.sessions() as sessions:
        turn = await sessions.open(question(), interim=None, verdict=None, life=LONG)
        lost, second = await sessions.take(turn.id), await sessions.take(turn.id)
        assert lost is not None
        assert second is not None
        assert second.fence == 2
        assert not await sessions.note(lost, STEP)
        assert not await sessions.end(lost, reply("late"))
        assert await sessions.note(second, STEP)
        assert await sessions.end(second, reply("right"))
        assert await sessions.take(turn.id) is None
        [ended] = await sessions.look([turn.id])

    assert (ended.reply and ended.reply.text, [one.number for one in ended.events]) == ("right", [1])


async def test_an_ended_question_never_changes(make: Makers):
    async with make.sessions() as sessions:
        turn = await sessions.open(question(), interim=reply("Triage."), verdict=None, life=OVER)
        taken = await sessions.take(turn.id)
        assert taken is not None
        assert await sessions.end(taken, reply("first"))
        assert not await sessions.end(taken, reply("second"))
        assert not await sessions.note(taken, STEP)
        assert await sessions.end_overdue(turn.id, now=True) is None


async def test_what_is_overdue_ends_with_triages_answer_and_says_why(make: Makers):
    async with make.sessions() as sessions:
        waiting = await sessions.open(question(), interim=reply("Triage."), verdict=None, life=OVER)
        taken_up = await sessions.open(question(), interim=reply("Triage."), verdict=None, life=OVER)
        taken = await sessions.take(taken_up.id)
        held = await sessions.end_overdue(waiting.id)
        slow = await sessions.end_overdue(taken_up.id)
        assert taken is not None
        assert not await sessions.end(taken, reply("late"))

    assert held is not None
    assert held.reply is not None
    assert slow is not None
    assert slow.reply is not None
    assert (held.reply.text, held.reply.degraded_reason) == ("Triage.", "model-timeout")
    assert held.reply.degraded_detail == "no place at the model was free in time"
    assert slow.reply.degraded_detail == "the model had not answered in time"


async def test_what_is_overdue_and_triage_cannot_answer_ends_without_an_answer(make: Makers):
    async with make.sessions() as sessions:
        turn = await sessions.open(question(), interim=None, verdict=None, life=OVER)
        ended = await sessions.end_overdue(turn.id)

    assert ended is not None
    assert (ended.reply, ended.error_code) == (None, "model-timeout")


async def test_what_is_not_overdue_goes_on_unless_it_is_told_to_end(make: Makers):
    async with make.sessions() as sessions:
        turn = await sessions.open(question(), interim=reply(), verdict=None, life=LONG)
        assert await sessions.end_overdue(turn.id) is None
        assert await sessions.end_overdue(turn.id, now=True) is not None


async def test_old_questions_are_folded_and_counted(make: Makers, monkeypatch: pytest.MonkeyPatch):
    for module in ("services.holmesgpt_api.adapters.chat_sessions", "tests.fakes.chat_sessions"):
        monkeypatch.setattr(f"{module}.KEPT_TURNS", 3)
    async with make.sessions() as sessions:
        session_id = (await sessions.answered(question(), reply())).session_id
        for _ in range(4):
            await sessions.answered(question(session_id=session_id), reply())
        session = await sessions.find(session_id, ANA)
        assert session is not None
        turns = await sessions.page(session, before=None, limit=10)

    assert ([one.number for one in turns], session.folded) == ([5, 4, 3], 2)


@pytest.mark.parametrize("make", ["postgres"], indirect=True)
async def test_a_text_with_a_nul_from_a_model_is_kept_without_it(make: Makers):
    async with make.sessions() as sessions:
        turn = await sessions.answered(question(), reply("a\0b \\u0000"))
        [kept] = await sessions.look([turn.id])

    assert kept.reply is not None
    assert kept.reply.text == "a�b \\u0000"


@pytest.mark.parametrize("make", ["postgres"], indirect=True)
async def test_findings_are_kept_only_while_a_question_is_open(make: Makers):
    assert make.database is not None
    verdict = conclude(found(), CHECKOUT, claimed(), "x")
    async with make.sessions() as sessions:
        turn = await sessions.open(question(), interim=reply(), verdict=verdict, life=LONG)
        taken = await sessions.take(turn.id)
        assert taken is not None
        await sessions.end(taken, reply())
    database = Database(make.database.settings(SERVICE), application=SERVICE)
    async with database.begin() as conn:
        left = (await conn.execute(text("SELECT verdict, interim FROM chat_turn"))).all()
    await database.close()

    assert [tuple(row) for row in left] == [(None, None)]


async def test_a_question_that_has_ended_leaves_no_job_that_would_end_it(fresh_database: MakeDatabase):
    fresh = fresh_database(SERVICE, migrated=True)
    async with Makers("postgres", fresh).sessions() as sessions:
        turn = await sessions.open(question(), interim=None, verdict=None, life=LONG)
        before, (talk,) = await waiting(fresh), await waiting(fresh, ARGUMENTS)
        taken = await sessions.take(**talk)
        assert taken is not None
        assert await sessions.end(taken, reply())
        after = await waiting(fresh)

    assert talk["turn_id"] == turn.id
    assert before == ["end_turn", "talk", "tidy_chat"]
    assert after == ["talk", "tidy_chat"]


ARGUMENTS = text("SELECT args FROM procrastinate_jobs WHERE task_name = 'talk'")
WAITING = text("SELECT task_name FROM procrastinate_jobs WHERE status = 'todo' ORDER BY task_name")


async def waiting(fresh: FreshDatabase, query: TextClause = WAITING) -> list[Any]:
    database = Database(fresh.settings(SERVICE), application=SERVICE)
    try:
        async with database.begin() as connection:
            return list((await connection.execute(query)).scalars())
    finally:
        await database.close()
