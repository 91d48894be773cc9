"""Answer a question: by triage from the findings at hand, or by a model with triage's answer in reserve.

Without a model the answer is known at once and recorded with its question. With one, the question is recorded
first, with the jobs that end it; this process waits for that end and ends it itself when the time is up, so that
a worker that has died or has no place free costs the caller no more than the wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta

from libs.auth.principal import Principal
from libs.contracts.chat import ChatAnswer, ChatEvent, ChatHistory, ChatRequest
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.answer import summary_of
from services.holmesgpt_api.domain.chat.answer import answer, history
from services.holmesgpt_api.domain.chat.errors import (
    EvidenceAway,
    NothingKnown,
    StillAnswering,
    UnknownSession,
)
from services.holmesgpt_api.domain.chat.ports import Sessions
from services.holmesgpt_api.domain.chat.questions import Topic, classify, what_can_be_asked
from services.holmesgpt_api.domain.chat.replies import Findings, names_of, reply
from services.holmesgpt_api.domain.chat.session import About, Key, Owner, Question, Reply, Session, Turn
from services.holmesgpt_api.domain.chat.subject import Subject, subject
from services.holmesgpt_api.domain.clearing import to_be_kept
from services.holmesgpt_api.domain.clusters import ONE_FOR_ALL, Clusters
from services.holmesgpt_api.domain.errors import BadCursor, NotReadable, UnknownInvestigation
from services.holmesgpt_api.domain.model import NOT_ASKED, TIMEOUT
from services.holmesgpt_api.domain.patience import NOTHING, Deadline, answer_by
from services.holmesgpt_api.domain.ports import Ledger
from services.holmesgpt_api.domain.triage import NO_MODEL
from services.holmesgpt_api.domain.verdict import Verdict
from services.holmesgpt_api.steps.chat_wait import TurnWaiting
from services.holmesgpt_api.steps.in_time import in_time
from services.holmesgpt_api.steps.look_up import LookUp
from services.holmesgpt_api.steps.take import visible

_log = logging.getLogger(__name__)

LEAST = timedelta(seconds=3)
"""With less time than this a model is not asked: it could not even begin."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A question and what triage can say to it."""

    question: Question
    findings: Findings
    topic: Topic | None
    trouble: str | None = None
    """Why nothing could be looked up, where something was to be."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A recorded question, and triage's answer to it, which counts when no other comes."""

    turn: Turn
    interim: Reply | None


class Chat:
    """Where questions are asked."""

    def __init__(
        self,
        sessions: Sessions,
        ledger: Ledger,
        look_up: LookUp,
        waiting: TurnWaiting,
        *,
        with_model: Callable[[], bool],
        clusters: Clusters = ONE_FOR_ALL,
        longest: timedelta,
        longest_stream: timedelta,
    ) -> None:
        """Args:
        longest: time for an answer by REST, of the whole call.
        longest_stream: the same where the caller sees how far it is.
        """
        self._sessions, self._ledger, self._look_up, self._waiting = sessions, ledger, look_up, waiting
        self._with_model, self._clusters = with_model, clusters
        # A burst of questions queues here and not at the connections, which investigations need too.
        self._one_reads = asyncio.Lock()
        self._longest, self.longest_stream = longest, longest_stream

    async def ask(
        self,
        request: ChatRequest,
        caller: Principal,
        caller_has: timedelta | None,
        key: str | None = None,
        *,
        spent: timedelta = NOTHING,
    ) -> ChatAnswer:
        """The answer, within the time there is. With a key that the same was asked with before it is that answer.

        Args:
            spent: since the request came in.

        Raises:
            UnknownSession, UnknownInvestigation, NotReadable, StillAnswering, OtherInvestigation, TooManyQuestions,
            TooManySessions, NothingKnown, EvidenceAway, KeyReused
            StorageUnavailable: also when the question was not recorded in time.
        """
        until, asked = answer_by(self._longest, caller_has, spent=spent), Key.of(key, request)
        async with in_time(until.left):
            known = await self._asked_before(caller, asked)
        if known is not None:
            return told(known if known.ended else await self._joined(known, until))
        async with in_time(until.left):
            opened = await self._open(request, caller, until, asked)
        return told(opened.turn if opened.turn.ended else await self._end_of(opened, until))

    async def open(
        self, request: ChatRequest, caller: Principal, until: Deadline, key: str | None = None
    ) -> Turn:
        """Record the question; the turn has ended already where nobody has to be waited for.

        Raises: as `ask`.
        """
        asked = Key.of(key, request)
        async with in_time(until.left):
            known = await self._asked_before(caller, asked)
            return known or (await self._open(request, caller, until, asked)).turn

    async def _asked_before(self, caller: Principal, key: Key | None) -> Turn | None:
        return await self._sessions.asked_before(owner(caller), key) if key else None

    async def _open(
        self, request: ChatRequest, caller: Principal, until: Deadline, key: Key | None
    ) -> Opened:
        prepared = await self._prepare(request, caller, until)
        prepared = replace(prepared, question=replace(prepared.question, key=key))
        life = until.to_wait  # only now: what preparing has taken a model has no more
        asks_a_model = self._with_model() and life >= LEAST
        word = NOT_ASKED if self._with_model() else NO_MODEL
        known = self._reply(prepared, word)
        if not asks_a_model:
            if known is None:
                raise nobody_can(prepared, word)
            return Opened(await self._sessions.answered(prepared.question, known), known)
        turn = await self._sessions.open(
            prepared.question, interim=known, verdict=prepared.findings.verdict, life=life
        )
        return Opened(turn, known)

    async def _joined(self, turn: Turn, until: Deadline) -> Turn:
        """The end of one that somebody else has opened, and may wait for longer than this caller.

        Raises:
            StillAnswering: there is none yet.
        """
        ended = await self._waiting.for_end(replace(turn, life=until.to_wait))
        if ended is None:
            async with in_time(until.to_tell):
                ended = await self._sessions.end_overdue(turn.id)
        if ended is None:
            raise StillAnswering
        return ended

    async def _end_of(self, opened: Opened, until: Deadline) -> Turn:
        """Wait for it, and end it when the time is up; triage's answer where that cannot be done in time.

        Raises:
            StorageUnavailable: that cannot be done, and triage has no answer.
        """
        # Its life counts from when it was recorded, which may have taken a while.
        turn = replace(opened.turn, life=min(opened.turn.life, until.to_wait))
        ended = await self._waiting.for_end(turn)
        if ended is not None:
            return ended
        try:
            async with in_time(until.to_tell):
                return await self._close(turn)
        except StorageUnavailable as error:
            if opened.interim is None:
                raise
            # The job that was recorded with it ends it; what a model may have said is in the history.
            _log.info("%s is not ended by who waited for it: %s", turn.id, error)
            return stood_in(turn, opened.interim)

    async def follow(self, turn: Turn) -> AsyncGenerator[ChatEvent | Turn | None]:
        """Its events as they come (None: nothing for a while); the ended turn last. Raises StorageUnavailable."""
        if turn.ended:
            yield turn
            return
        async with aclosing(self._waiting.events(turn)) as events:
            async for seen in events:
                yield seen
                if isinstance(seen, Turn):
                    return
        yield await self._close(turn)

    async def _close(self, turn: Turn) -> Turn:
        closed = await self._sessions.end_overdue(turn.id, now=True)
        if closed is not None:
            return closed
        found = await self._sessions.look([turn.id])
        if not found:
            raise UnknownSession  # deleted by its owner meanwhile
        return found[0]

    async def history(
        self, session_id: str, caller: Principal, *, limit: int, cursor: str | None
    ) -> ChatHistory:
        """Raises UnknownSession, BadCursor, StorageUnavailable."""
        session = await self._session(session_id, caller)
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and 0 < len(cursor) < 10):
            raise BadCursor
        before = int(cursor) if cursor is not None else None
        turns = await self._sessions.page(session, before=before, limit=limit)
        more = len(turns) == limit and turns[-1].number > session.folded + 1
        return history(session, turns, str(turns[-1].number) if more else None)

    async def delete(self, session_id: str, caller: Principal) -> None:
        """Raises UnknownSession, StorageUnavailable."""
        if not await self._sessions.delete(session_id, owner(caller)):
            raise UnknownSession

    async def _session(self, session_id: str, caller: Principal) -> Session:
        session = await self._sessions.find(session_id, owner(caller))
        if session is None:
            raise UnknownSession
        return session

    async def _prepare(self, request: ChatRequest, caller: Principal, until: Deadline) -> Prepared:
        if request.namespace is not None and not caller.may_read(request.namespace):
            raise NotReadable(request.namespace)
        session = await self._session(request.session_id, caller) if request.session_id else None
        investigation_id = request.investigation_id or (session.investigation_id if session else None)
        earlier = session.about if session else About()
        named = subject(request.message, request.namespace or earlier.namespace)
        about = named if named.names_an_object else earlier.subject
        bound = await self._of_investigation(investigation_id, caller) if investigation_id else None
        cluster = bound.cluster if bound else earlier.cluster
        findings, trouble = await self._findings(bound, named, about, cluster, caller, until)
        topic = classify(request.message, findings.names)
        if topic is None and named.names_an_object and not request.message.strip().count(" "):
            topic = Topic.why  # an object's name alone
        question = Question(
            owner=owner(caller),
            reads=caller.namespaces,
            session_id=request.session_id,
            investigation_id=request.investigation_id,
            about=About.of(
                Subject(about.target, about.labels, request.namespace or named.namespace or about.namespace),
                cluster,
            ),
            message=to_be_kept(request.message),
            include_context=request.include_context,
            include_metrics=request.include_metrics,
        )
        return Prepared(question, findings, topic, trouble)

    async def _findings(
        self,
        bound: Findings | None,
        named: Subject,
        about: Subject,
        cluster: str | None,
        caller: Principal,
        until: Deadline,
    ) -> tuple[Findings, str | None]:
        """Of the object the question names; else of the investigation; else of what was named before."""
        if bound is not None and (not named.names_an_object or _is_about(bound, named)):
            return bound, None
        wanted = named if named.names_an_object else about
        if not wanted.names_an_object:
            return Findings(None, ""), None
        found = await self._looked_up(wanted, cluster, caller, until)
        if isinstance(found, Verdict):
            names = names_of(found, *wanted.labels.values(), wanted.namespace)
            taken = found.context_used.get("snapshot_at")
            return Findings(found, f"As of {taken}:" if taken else "As of now:", names), None
        if bound is not None:
            return bound, found
        return Findings(None, ""), found

    async def _of_investigation(self, investigation_id: str, caller: Principal) -> Findings:
        async with self._one_reads:
            record = await self._ledger.get(investigation_id, tenant=caller.tenant)
        if record is None or not visible(record, caller):
            raise UnknownInvestigation
        names = names_of(
            record.known, record.request.alert_name, record.namespace, *record.request.labels.values()
        )
        state = f"The investigation {record.id} is {record.status.value}."
        if record.known is None:
            state = f"{state} {summary_of(record)}"
        cluster = self._clusters.route(record.request).cluster
        return Findings(record.known, state, names, record.id, cluster)

    async def _looked_up(
        self, wanted: Subject, cluster: str | None, caller: Principal, until: Deadline
    ) -> Verdict | str:
        """Findings about an object; or why there are none, where a model may still answer."""
        try:
            # Whatever comes of it is to be recorded after it.
            return await self._look_up.about(wanted, caller, within=until.to_wait, cluster=cluster)
        except (EvidenceAway, NothingKnown) as error:
            if not self._with_model():
                raise
            return str(error)

    def _reply(self, prepared: Prepared, word: str) -> Reply | None:
        topic, findings = prepared.topic, prepared.findings
        if topic is None:
            return None
        if findings.verdict is None and findings.investigation_id is None and topic is not Topic.help:
            return None
        detail = None if word == NO_MODEL else "the time was too short for a model"
        return reply(topic, findings, degraded_reason=word, detail=detail)


def told(turn: Turn) -> ChatAnswer:
    """An ended turn's answer. Raises NothingKnown: it has none."""
    if turn.reply is None:
        raise NothingKnown(turn.error_code or "no-model", turn.error or "there is no answer")
    return answer(turn, turn.reply)


def stood_in(turn: Turn, interim: Reply) -> Turn:
    """As it is told when its end cannot be read: by triage, as it would end had no model answered. Pure."""
    said = "the database did not tell in time whether a model has answered; the history will"
    reply = interim.model_copy(update={"degraded_reason": TIMEOUT, "degraded_detail": said})
    return replace(turn, reply=reply, ended_at=turn.asked_at + turn.life)


def nobody_can(prepared: Prepared, word: str) -> NothingKnown:
    if prepared.trouble is not None:
        return NothingKnown(word, f"{prepared.trouble}; the time that is left is too short for a model")
    known = prepared.findings.verdict is not None or prepared.findings.investigation_id is not None
    how = (
        ""
        if known
        else " Name the investigation (`investigation_id`), or the object as Kind/namespace/name, e.g. "
        '"why does Deployment/shop/checkout fail?"'
    )
    return NothingKnown(word, f"{what_can_be_asked()}{how}")


def owner(caller: Principal) -> Owner:
    return Owner(caller.tenant, caller.name)


def _is_about(findings: Findings, named: Subject) -> bool:
    """Whether the question's object is one of the findings' own."""
    names = (
        [named.target.name]
        if named.target
        else [name for label, name in named.labels.items() if label != "namespace"]
    )
    return all(name in findings.names for name in names)
