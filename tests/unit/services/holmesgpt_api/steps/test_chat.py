"""Who answers a question: triage at once without a model, a model with triage in reserve, or nobody."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.causes import CausesAnswer
from libs.contracts.chat import ChatRequest
from libs.contracts.target import Target
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.by_cluster import ByCluster
from services.holmesgpt_api.domain.chat.errors import (
    EvidenceAway,
    NothingKnown,
    StillAnswering,
    UnknownSession,
)
from services.holmesgpt_api.domain.chat.session import Key, Owner, Question, Reply, Turn
from services.holmesgpt_api.domain.clusters import ONE_FOR_ALL, Clusters
from services.holmesgpt_api.domain.commission import commission
from services.holmesgpt_api.domain.errors import (
    BadCursor,
    KeyReused,
    NotNow,
    NotReadable,
    UnknownInvestigation,
)
from services.holmesgpt_api.domain.patience import Deadline, answer_by
from services.holmesgpt_api.domain.triage import Triage, conclude
from services.holmesgpt_api.steps.chat import Chat
from services.holmesgpt_api.steps.chat_wait import TurnWaiting
from services.holmesgpt_api.steps.look_up import LookUp
from tests.fakes.chat_sessions import MemorySessions
from tests.fakes.evidence import ScriptedEvidence
from tests.fakes.ledger import MemoryLedger
from tests.support.chats import reply
from tests.support.clock import Clock
from tests.support.investigations import CHECKOUT, caller, found, request

pytestmark = pytest.mark.requirement("HAPI-006", "HAPI-008")

ABOUT = "why does Deployment.apps/shop/checkout fail?"
SHORT, LONG = timedelta(seconds=1), timedelta(seconds=5)


@asynccontextmanager
async def chatting(
    sessions: MemorySessions | None = None,
    *,
    with_model: bool = False,
    longest: timedelta = LONG,
    evidence: ScriptedEvidence | None = None,
    ledger: MemoryLedger | None = None,
    clusters: Clusters = ONE_FOR_ALL,
    there: ScriptedEvidence | None = None,
) -> AsyncIterator[Chat]:
    """`there`: the evidence of every cluster that is named."""
    sessions = sessions or MemorySessions()
    triage = Triage(evidence or ScriptedEvidence([found()]), patience=SHORT)
    others = {url: Triage(there, patience=SHORT) for url in clusters.named.values() if there}
    async with TurnWaiting(sessions, pause=timedelta(milliseconds=5)) as waiting:
        yield Chat(
            sessions,
            ledger or MemoryLedger(),
            LookUp(ByCluster(clusters, {clusters.default: triage, **others}), patience=SHORT),
            waiting,
            with_model=lambda: with_model,
            clusters=clusters,
            longest=longest,
            longest_stream=longest,
        )


def within(longest: timedelta, now: Callable[[], float] = time.monotonic) -> Deadline:
    return answer_by(longest, None, now=now)


def asked(message: str = ABOUT, **fields: Any) -> ChatRequest:
    return ChatRequest(message=message, **fields)


async def investigated(**labels: str) -> tuple[MemoryLedger, str]:
    ledger = MemoryLedger()
    asked = request(namespace="shop", labels=labels)
    opened = await ledger.open(commission(asked, caller(), None))
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
    async with chatting(sessions, with_model=True) as chat:
        opened = await chat.open(asked(f"{ABOUT} password={secret}"), caller(), within(LONG))
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
        turn = await chat.open(asked(), caller(), within(LONG))

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
    async with chatting(sessions, with_model=True, longest=timedelta(seconds=4.5)) as chat:
        answer = await chat.ask(asked(), caller(), None)
        again = await chat.ask(asked("what changed?", session_id=answer.session_id), caller(), SHORT)

    assert (answer.metadata["engine"], answer.metadata["degraded_reason"]) == ("triage", "model-timeout")
    assert again.metadata["degraded_detail"] == "the time was too short for a model"


@pytest.mark.requirement("HAPI-130")
async def test_what_looking_up_has_taken_a_model_has_no_more():
    clock, sessions = Clock(), MemorySessions()

    class Slow(ScriptedEvidence):
        async def causes(self, target: Target, **asked: Any) -> CausesAnswer:
            clock.advance(9)
            return await super().causes(target, **asked)

    async with chatting(sessions, with_model=True, evidence=Slow([found()])) as chat:
        turn = await chat.open(asked(), caller(), within(timedelta(seconds=25), clock))

    assert turn.life == timedelta(seconds=15)


@pytest.mark.requirement("HAPI-130")
async def test_what_was_spent_before_the_question_was_read_counts():
    sessions = MemorySessions()
    async with chatting(sessions, with_model=True, longest=timedelta(seconds=25)) as chat:
        answer = await chat.ask(asked(), caller(), None, spent=timedelta(seconds=22))

    assert answer.metadata["degraded_reason"] == "model-not-asked"


class Hanging(MemorySessions):
    """The database takes these calls and does not come back."""

    def __init__(self, *calls: str) -> None:
        super().__init__()
        self.hangs = set(calls)

    async def asked_before(self, owner: Owner, key: Key) -> Turn | None:
        await self._hang("asked_before")
        return await super().asked_before(owner, key)

    async def answered(self, question: Question, reply: Reply) -> Turn:
        await self._hang("answered")
        return await super().answered(question, reply)

    async def end_overdue(self, turn_id: str, *, now: bool = False) -> Turn | None:
        await self._hang("end_overdue")
        return await super().end_overdue(turn_id, now=now)

    async def _hang(self, name: str) -> None:
        if name in self.hangs:
            await asyncio.Event().wait()


@pytest.mark.requirement("HAPI-130")
@pytest.mark.parametrize("call", ["asked_before", "answered"])
async def test_a_question_that_cannot_be_recorded_in_time_is_told_as_that(call: str):
    async with chatting(Hanging(call), longest=SHORT) as chat, asyncio.timeout(10):
        with pytest.raises(StorageUnavailable) as late:
            await chat.ask(asked(), caller(), None, "k1")

    assert late.value.reason == "timeout"


@pytest.mark.requirement("HAPI-130")
async def test_a_stream_that_cannot_begin_in_time_is_told_as_that():
    async with chatting(Hanging("answered")) as chat, asyncio.timeout(10):
        with pytest.raises(StorageUnavailable):
            await chat.open(asked(), caller(), within(timedelta(seconds=0.1)))


@pytest.mark.requirement("HAPI-130")
async def test_whether_the_first_askers_question_has_ended_is_not_waited_for_beyond_the_time():
    async with chatting(Hanging("end_overdue"), with_model=True) as chat, asyncio.timeout(10):
        await chat.open(asked(), caller(), within(LONG), "k1")
        with pytest.raises(StorageUnavailable):
            await chat.ask(asked(), caller(), timedelta(seconds=0.6), "k1")


@pytest.mark.requirement("HAPI-130")
async def test_where_a_questions_end_cannot_be_read_in_time_triages_answer_is_told_and_why():
    sessions = Hanging("end_overdue")
    async with chatting(sessions, with_model=True, longest=timedelta(seconds=4.5)) as chat:
        async with asyncio.timeout(15):
            answer = await chat.ask(asked(), caller(), None)

    assert "orders-db-config" in answer.response
    assert (answer.metadata["engine"], answer.metadata["degraded_reason"]) == ("triage", "model-timeout")
    assert "the history will" in answer.metadata["degraded_detail"]


@pytest.mark.requirement("HAPI-130")
async def test_where_a_questions_end_cannot_be_read_and_triage_has_no_answer_there_is_none():
    sessions = Hanging("end_overdue")
    async with chatting(sessions, with_model=True, longest=timedelta(seconds=4.5)) as chat:
        async with asyncio.timeout(15):
            with pytest.raises(StorageUnavailable):
                await chat.ask(asked("write me a poem"), caller(), None)


@pytest.mark.requirement("HAPI-130")
async def test_where_the_time_is_too_short_for_a_model_it_is_told_what_kept_triage_from_an_answer():
    away = ScriptedEvidence([NotNow("context-unavailable", "the Context API does not answer")])
    async with chatting(with_model=True, evidence=away, longest=SHORT) as chat:
        with pytest.raises(NothingKnown, match="the Context API does not answer; the time that is left"):
            await chat.ask(asked(), caller(), None)


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
        turn = await chat.open(asked(), caller(), within(LONG), "k1")
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
        turn = await chat.open(asked(), caller(), within(LONG), "k1")
        with pytest.raises(StillAnswering):
            await chat.ask(asked(), caller(), timedelta(seconds=0.6), "k1")
        (now,) = await sessions.look([turn.id])

    assert not now.ended


async def test_what_is_followed_ends_with_the_turn():
    sessions = MemorySessions()
    async with chatting(sessions) as chat:
        turn = await chat.open(asked(), caller(), within(SHORT))
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


CLUSTERS = Clusters("http://a", {"eu": "http://b", "us": "http://c"})
OTHER = "why does Deployment.apps/shop/cart fail?"


@pytest.mark.requirement("HAPI-179")
async def test_a_chat_about_an_investigation_stays_in_its_cluster():
    ledger, id_ = await investigated(cluster="eu")
    here, there, sessions = ScriptedEvidence([found()]), ScriptedEvidence([found()]), MemorySessions()
    async with chatting(
        sessions, with_model=True, ledger=ledger, evidence=here, there=there, clusters=CLUSTERS
    ) as chat:
        first = await chat.open(asked(OTHER, investigation_id=id_), caller(), within(LONG))
        taken = await sessions.take(first.id)
        assert taken is not None
        await sessions.end(taken, reply())
        await chat.open(
            asked("and Deployment.apps/shop/orders?", session_id=first.session_id), caller(), within(LONG)
        )
        await chat.open(asked(OTHER), caller(), within(LONG))

    asked_there = [said["target"] for _, said in there.calls]
    assert taken.cluster == "eu"
    assert [(one.cluster, one.name) for one in asked_there] == [("eu", "cart"), ("eu", "orders")]
    assert [said["target"].name for _, said in here.calls] == ["cart"]


@pytest.mark.requirement("HAPI-179")
async def test_a_chat_about_a_cluster_that_is_gone_looks_nowhere_else():
    ledger, id_ = await investigated(cluster="lab")
    here = ScriptedEvidence([found()])
    async with chatting(ledger=ledger, evidence=here, clusters=CLUSTERS) as chat:
        with pytest.raises(NothingKnown, match="no Context API is configured for cluster lab"):
            await chat.ask(asked(OTHER, investigation_id=id_), caller(), None)

    assert here.calls == []
