"""Who answers a question: triage at once without a model, a model with triage in reserve, or nobody."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.chat import ChatRequest
from services.holmesgpt_api.domain.chat.errors import (
    EvidenceAway,
    NothingKnown,
    StillAnswering,
    UnknownSession,
)
from services.holmesgpt_api.domain.commission import commission
from services.holmesgpt_api.domain.errors import (
    BadCursor,
    KeyReused,
    NotNow,
    NotReadable,
    UnknownInvestigation,
)
from services.holmesgpt_api.domain.triage import Triage, conclude
from services.holmesgpt_api.steps.chat import Chat
from services.holmesgpt_api.steps.chat_wait import TurnWaiting
from services.holmesgpt_api.steps.look_up import LookUp
from tests.fakes.chat_sessions import MemorySessions
from tests.fakes.evidence import ScriptedEvidence
from tests.fakes.ledger import MemoryLedger
from tests.support.chats import reply
from tests.support.investigations import CHECKOUT, caller, found, request

pytestmark = pytest.mark.requirement("HAPI-006", "HAPI-008")

ABOUT = "why does Deployment.apps/shop/checkout fail?"
SHORT = timedelta(seconds=1)


@asynccontextmanager
async def chatting(
    sessions: MemorySessions | None = None,
    *,
    with_model: bool = False,
    longest: timedelta = timedelta(seconds=5),
    evidence: ScriptedEvidence | None = None,
    ledger: MemoryLedger | None = None,
) -> AsyncIterator[Chat]:
    sessions = sessions or MemorySessions()
    triage = Triage(evidence or ScriptedEvidence([found()]), patience=SHORT)
    async with TurnWaiting(sessions, pause=timedelta(milliseconds=5)) as waiting:
        yield Chat(
            sessions,
            ledger or MemoryLedger(),
            LookUp(triage, patience=SHORT),
            waiting,
            with_model=lambda: with_model,
            longest=longest,
            longest_stream=longest,
        )


def asked(message: str = ABOUT, **fields: Any) -> ChatRequest:
    return ChatRequest(message=message, **fields)


async def investigated() -> tuple[MemoryLedger, str]:
    ledger = MemoryLedger()
    opened = await ledger.open(commission(request(namespace="shop"), caller(), None))
    run = await ledger.claim(opened.record.id)
    assert run is not None
    await ledger.conclude(run, conclude(found(), CHECKOUT, run, "no-model-configured"), ["shop", "data"])
    return ledger, opened.record.id


async def test_without_a_model_triage_answers_at_once_and_no_job_is_needed():
    sessions = MemorySessions()
    async with chatting(sessions) as chat:
        answer = await chat.ask(asked(), caller(), None)

    assert (answer.metadata["engine"], answer.metadata["degraded_reason"]) == (
        "triage",
        "no-model-configured",
    )
    assert [job.partition(" ")[0] for job in sessions.jobs] == ["tidy"]


@pytest.mark.requirement("HAPI-075", "HAPI-110")
async def test_a_question_is_recorded_without_its_secrets():
    secret = secrets.token_hex(14)
    sessions = MemorySessions()
    async with chatting(sessions, with_model=True, longest=timedelta(seconds=4)) as chat:
        opened = await chat.open(asked(f"{ABOUT} password={secret}"), caller(), timedelta(seconds=4))
        (kept,) = await sessions.look([opened.id])

    assert secret not in repr((sessions, kept))
    assert kept.message.startswith(f"{ABOUT} password=[SECRET-")


async def test_a_bound_investigation_is_not_looked_up_again():
    ledger, id_ = await investigated()
    evidence = ScriptedEvidence([])
    async with chatting(ledger=ledger, evidence=evidence) as chat:
        answer = await chat.ask(asked("why does checkout fail?", investigation_id=id_), caller(), None)
        named = await chat.ask(
            asked("is the deployment checkout ok now?", session_id=answer.session_id), caller(), None
        )

    assert "orders-db-config" in answer.response
    assert named.metadata["topic"] == "status"
    assert evidence.calls == []


async def test_another_object_than_the_investigations_is_looked_up():
    ledger, id_ = await investigated()
    evidence = ScriptedEvidence([found()])
    async with chatting(ledger=ledger, evidence=evidence) as chat:
        await chat.ask(asked("why does Node/_cluster/worker-2 fail?", investigation_id=id_), caller(), None)

    assert [name for name, _ in evidence.calls] == ["causes"]


async def test_an_investigation_is_looked_at_with_the_rights_of_this_moment():
    ledger, id_ = await investigated()
    async with chatting(ledger=ledger) as chat:
        answer = await chat.ask(asked("why?", investigation_id=id_), caller(), None)
        with pytest.raises(UnknownInvestigation):
            await chat.ask(asked("why?", session_id=answer.session_id), caller(namespaces=["shop"]), None)


async def test_nobody_can_answer_what_is_none_of_ours():
    sessions = MemorySessions()
    async with chatting(sessions) as chat:
        with pytest.raises(NothingKnown, match="What should I do next"):
            await chat.ask(asked("write me a poem"), caller(), None)
        with pytest.raises(NothingKnown, match="Kind/namespace/name"):
            await chat.ask(asked("why?"), caller(), None)

    assert sessions.jobs == []


async def test_a_namespace_the_caller_may_not_read_is_refused():
    async with chatting() as chat:
        with pytest.raises(NotReadable):
            await chat.ask(asked("why?", namespace="data"), caller(namespaces=["shop"]), None)


async def test_a_context_api_that_is_away_is_no_answer_without_a_model_and_no_matter_with_one():
    away = ScriptedEvidence([NotNow("context-unavailable", "away")])
    sessions = MemorySessions()
    async with chatting(evidence=away) as chat:
        with pytest.raises(EvidenceAway):
            await chat.ask(asked(), caller(), None)
    async with chatting(sessions, evidence=away, with_model=True) as chat:
        turn = await chat.open(asked(), caller(), timedelta(seconds=5))

    assert not turn.ended
    assert sessions.jobs[-2:] == [f"talk {turn.id}", f"end_turn {turn.id}"]


async def test_a_models_answer_is_waited_for():
    sessions = MemorySessions()
    async with chatting(sessions, with_model=True) as chat, asyncio.timeout(5):
        answering = asyncio.create_task(chat.ask(asked(), caller(), None))
        while not sessions.jobs:
            await asyncio.sleep(0.001)
        taken = await sessions.take(sessions.jobs[1].split()[1])
        assert taken is not None
        await sessions.end(taken, reply("The model's.", engine="holmesgpt"))
        answer = await answering

    assert (answer.response, answer.metadata["engine"]) == ("The model's.", "holmesgpt")


@pytest.mark.requirement("HAPI-130")
async def test_without_any_worker_triage_answers_when_the_time_is_up():
    sessions = MemorySessions()
    async with chatting(sessions, with_model=True, longest=timedelta(seconds=3)) as chat:
        answer = await chat.ask(asked(), caller(), None)
        again = await chat.ask(asked("what changed?", session_id=answer.session_id), caller(), SHORT)

    assert (answer.metadata["engine"], answer.metadata["degraded_reason"]) == ("triage", "model-timeout")
    assert again.metadata["degraded_detail"] == "the time was too short for a model"


async def test_a_question_repeated_with_its_key_gives_the_first_answer_though_nothing_can_be_looked_up_now():
    sessions = MemorySessions()
    async with chatting(sessions) as chat:
        first = await chat.ask(asked(), caller(), None, "k1")
    async with chatting(sessions, evidence=ScriptedEvidence([])) as chat:
        again = await chat.ask(asked(stream=True), caller(), None, "k1")
        with pytest.raises(KeyReused):
            await chat.ask(asked("why does it fail?"), caller(), None, "k1")

    assert again == first


async def test_a_question_repeated_while_a_model_is_at_it_waits_for_that_answer():
    sessions = MemorySessions()
    async with chatting(sessions, with_model=True) as chat:
        turn = await chat.open(asked(), caller(), timedelta(seconds=5), "k1")
        waiting = asyncio.create_task(chat.ask(asked(), caller(), None, "k1"))
        await asyncio.sleep(0)
        taken = await sessions.take(turn.id)
        assert taken is not None
        await sessions.end(taken, reply("The model's."))
        again = await waiting

    assert again.response == "The model's."
    assert [job.partition(" ")[0] for job in sessions.jobs] == ["tidy", "talk", "end_turn"]


async def test_who_has_less_time_than_the_first_asker_does_not_end_the_first_ones_question():
    sessions = MemorySessions()
    async with chatting(sessions, with_model=True) as chat:
        turn = await chat.open(asked(), caller(), timedelta(seconds=5), "k1")
        with pytest.raises(StillAnswering):
            await chat.ask(asked(), caller(), timedelta(seconds=0.6), "k1")
        (now,) = await sessions.look([turn.id])

    assert not now.ended


async def test_what_is_followed_ends_with_the_turn():
    sessions = MemorySessions()
    async with chatting(sessions) as chat:
        turn = await chat.open(asked(), caller(), SHORT)
        seen = [one async for one in chat.follow(turn)]

    assert seen == [turn]


async def test_history_and_end_are_the_owners_alone():
    async with chatting() as chat:
        session = (await chat.ask(asked(), caller(), None)).session_id
        page = await chat.history(session, caller(), limit=20, cursor=None)
        for other in (caller("ben"), caller(tenant="other")):
            with pytest.raises(UnknownSession):
                await chat.history(session, other, limit=20, cursor=None)
            with pytest.raises(UnknownSession):
                await chat.delete(session, other)
        for cursor in ("x", "-1", "1" * 30, "²"):
            with pytest.raises(BadCursor):
                await chat.history(session, caller(), limit=20, cursor=cursor)
        await chat.delete(session, caller())

    assert [turn.message for turn in page.turns] == [ABOUT]
