"""Chat sessions in memory that keep the promises of `domain.chat.ports.Sessions`; tests/integration holds them to it.

`jobs` lists what would be run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from libs.contracts.chat import ChatEvent
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.chat.errors import (
    OtherInvestigation,
    StillAnswering,
    TooManyQuestions,
    TooManySessions,
    UnknownSession,
)
from services.holmesgpt_api.domain.chat.history import KEPT_TURNS
from services.holmesgpt_api.domain.chat.session import (
    Key,
    Owner,
    Question,
    Reply,
    Said,
    Session,
    TakenTurn,
    Turn,
)
from services.holmesgpt_api.domain.errors import KeyReused
from services.holmesgpt_api.domain.verdict import Verdict


@dataclass
class _Row:
    turn: Turn
    question: Question
    interim: Reply | None
    verdict: Verdict | None
    deadline: datetime
    fence: int = 0


@dataclass
class MemorySessions:
    idle: timedelta = timedelta(minutes=30)
    most_sessions: int = 200
    most_questions: int = 20
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    away: bool = False
    """True: the database does not answer."""
    jobs: list[str] = field(default_factory=list)
    _sessions: dict[str, Session] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _rows: dict[str, _Row] = field(default_factory=dict)

    def _now(self) -> datetime:
        if self.away:
            raise StorageUnavailable("unreachable", "away", retry_after=timedelta(seconds=1))
        return self.clock()

    async def find(self, session_id: str, owner: Owner) -> Session | None:
        now, session = self._now(), self._sessions.get(session_id)
        return session if session and session.owner == owner and session.expires_at > now else None

    async def asked_before(self, owner: Owner, key: Key) -> Turn | None:
        self._now()
        for row in self._rows.values():
            known = row.question.key
            if row.question.owner == owner and known is not None and known.word == key.word:
                if known.digest != key.digest:
                    raise KeyReused(row.turn.id)
                return row.turn
        return None

    async def _known(self, question: Question) -> Turn | None:
        return await self.asked_before(question.owner, question.key) if question.key else None

    async def answered(self, question: Question, reply: Reply) -> Turn:
        if (known := await self._known(question)) is not None:
            return known
        row = await self._ask(question, timedelta(0))
        row.turn = replace(row.turn, reply=reply, ended_at=self.clock())
        return row.turn

    async def open(
        self, question: Question, *, interim: Reply | None, verdict: Verdict | None, life: timedelta
    ) -> Turn:
        now = self._now()
        if (known := await self._known(question)) is not None:
            return known
        mine = [
            row for row in self._rows.values() if row.question.owner == question.owner and not row.turn.ended
        ]
        if len(mine) >= self.most_questions:
            raise TooManyQuestions(self.most_questions)
        row = await self._ask(question, life)
        row.interim, row.verdict, row.deadline = interim, verdict, now + life
        self.jobs += [f"talk {row.turn.id}", f"end_turn {row.turn.id}"]
        return row.turn

    async def _ask(self, question: Question, life: timedelta) -> _Row:
        now = self._now()
        session = await self._session_for(question, now)
        number = self._numbers[session.id] = self._numbers[session.id] + 1
        old = [
            id_
            for id_, row in self._rows.items()
            if row.turn.session_id == session.id and row.turn.number <= number - KEPT_TURNS
        ]
        for id_ in old:
            del self._rows[id_]
        self._sessions[session.id] = replace(
            session,
            about=question.about,
            investigation_id=session.investigation_id or question.investigation_id,
            last_at=now,
            expires_at=now + self.idle + life,
            folded=session.folded + len(old),
        )
        turn = Turn(
            id=f"chat-{len(self._numbers)}-{number}",
            session_id=session.id,
            number=number,
            message=question.message,
            include_context=question.include_context,
            include_metrics=question.include_metrics,
            asked_at=now,
            life=life,
        )
        row = self._rows[turn.id] = _Row(turn, question, None, None, now + life)
        return row

    async def _session_for(self, question: Question, now: datetime) -> Session:
        if question.session_id is None:
            live = [
                one for one in self._sessions.values() if one.owner == question.owner and one.expires_at > now
            ]
            if len(live) >= self.most_sessions:
                raise TooManySessions(self.most_sessions)
            id_ = f"session-{len(self._numbers) + 1}"
            self._numbers[id_] = 0
            self.jobs.append(f"tidy {id_}")
            session = Session(
                id_, question.owner, question.investigation_id, question.about, now, now, now + self.idle, 0
            )
            self._sessions[id_] = session
            return session
        found = await self.find(question.session_id, question.owner)
        if found is None:
            raise UnknownSession
        if any(row.turn.session_id == found.id and not row.turn.ended for row in self._rows.values()):
            raise StillAnswering
        if found.investigation_id is not None and question.investigation_id not in (
            None,
            found.investigation_id,
        ):
            raise OtherInvestigation
        return found

    async def look(self, ids: Collection[str]) -> Sequence[Turn]:
        self._now()
        return [self._rows[one].turn for one in ids if one in self._rows]

    async def take(self, turn_id: str, *, ends_by: int | None = None) -> TakenTurn | None:
        now, row = self._now(), self._rows.get(turn_id)
        if row is None or row.turn.ended:
            return None
        row.fence += 1
        session = self._sessions[row.turn.session_id]
        earlier = [
            Said(one.turn.message, one.turn.reply.text)
            for one in self._rows.values()
            if one.turn.session_id == session.id and one.turn.number < row.turn.number and one.turn.reply
        ]
        return TakenTurn(
            id=turn_id,
            fence=row.fence,
            owner=session.owner,
            reads=row.question.reads,
            message=row.turn.message,
            namespace=session.about.namespace,
            cluster=session.about.cluster,
            interim=row.interim,
            verdict=row.verdict,
            time_left=row.deadline - now,
            earlier=tuple(earlier),
            folded=session.folded,
        )

    def _of_run(self, taken: TakenTurn) -> _Row | None:
        self._now()
        row = self._rows.get(taken.id)
        return row if row and not row.turn.ended and row.fence == taken.fence else None

    async def note(self, taken: TakenTurn, event: ChatEvent) -> bool:
        row = self._of_run(taken)
        if row is None:
            return False
        numbered = event.model_copy(update={"number": len(row.turn.events) + 1})
        row.turn = replace(row.turn, events=(*row.turn.events, numbered))
        return True

    async def end(self, taken: TakenTurn, reply: Reply | None, *, code: str = "", error: str = "") -> bool:
        row = self._of_run(taken)
        if row is None:
            return False
        self._end(row, reply, code, error)
        return True

    def _end(self, row: _Row, reply: Reply | None, code: str, error: str) -> None:
        now = self.clock()
        row.turn = replace(
            row.turn,
            reply=reply,
            ended_at=now,
            error_code=None if reply else code,
            error=None if reply else error,
        )
        session = self._sessions[row.turn.session_id]
        self._sessions[session.id] = replace(session, last_at=now, expires_at=now + self.idle)

    async def end_overdue(self, turn_id: str, *, now: bool = False) -> Turn | None:
        at, row = self._now(), self._rows.get(turn_id)
        if row is None or row.turn.ended or not (now or row.deadline <= at):
            return None
        said = (
            "no place at the model was free in time"
            if row.fence == 0
            else "the model had not answered in time"
        )
        reply = row.interim and row.interim.model_copy(
            update={"degraded_reason": "model-timeout", "degraded_detail": said}
        )
        row.fence += 1
        self._end(
            row,
            reply,
            "model-timeout",
            "The model had not answered in time, and triage has no answer to this question.",
        )
        return row.turn

    async def page(self, session: Session, *, before: int | None, limit: int) -> Sequence[Turn]:
        self._now()
        turns = [row.turn for row in self._rows.values() if row.turn.session_id == session.id]
        newest = sorted(turns, key=lambda one: -one.number)
        return [one for one in newest if before is None or one.number < before][:limit]

    async def delete(self, session_id: str, owner: Owner) -> bool:
        if await self.find(session_id, owner) is None:
            return False
        self._forget(session_id)
        return True

    def _forget(self, session_id: str) -> None:
        del self._sessions[session_id]
        self._rows = {id_: row for id_, row in self._rows.items() if row.turn.session_id != session_id}

    async def tidy(self, session_id: str) -> bool:
        now, session = self._now(), self._sessions.get(session_id)
        if session is None:
            return False
        if session.expires_at > now:
            self.jobs.append(f"tidy {session_id}")
            return False
        self._forget(session_id)
        return True
