"""Keeps chat sessions in PostgreSQL, each question with the jobs that will end it. Fulfils `domain.chat.ports.Sessions`."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.chat import ChatEvent
from libs.jobs import Jobs
from libs.storage import Database, statements
from libs.storage.few import Few
from services.holmesgpt_api.adapters import chat_sql as sql
from services.holmesgpt_api.domain.chat.errors import (
    OtherInvestigation,
    StillAnswering,
    TooManyQuestions,
    TooManySessions,
    UnknownSession,
)
from services.holmesgpt_api.domain.chat.history import KEPT_TURNS, MOST_FOLDED, MOST_TURNS
from services.holmesgpt_api.domain.chat.session import (
    About,
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

TALK, END_TURN, TIDY = CHAT_JOBS = "talk", "end_turn", "tidy_chat"
"""Names of the jobs; `worker.py` says what they do."""

EVENTS = 100
"""Events of one question that are kept: a model's steps and tools are bounded below that."""

# jsonb and text store no NUL. An escaped backslash before "u0000" is none.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one caller."""

    sessions: int
    questions: int


class PostgresSessions:
    def __init__(self, database: Database, jobs: Jobs, *, idle: timedelta, limits: Limits) -> None:
        """`idle`: how long a session lives after its last question was answered."""
        self._jobs, self._idle, self._limits = jobs, idle, limits
        # What chats wait for, investigations must not.
        self._few = Few(database)

    async def find(self, session_id: str, owner: Owner) -> Session | None:
        async with self._few.begin() as conn:
            row = await statements.first(conn, sql.FIND, {"id": session_id, **_of(owner)})
        return None if row is None else _session(row)

    async def asked_before(self, owner: Owner, key: Key) -> Turn | None:
        async with self._few.begin() as conn:
            return await _by_key(conn, owner, key)

    async def answered(self, question: Question, reply: Reply) -> Turn:
        async with self._few.begin() as conn:
            known = await _by_key(conn, question.owner, question.key, alone=True)
            return known or await self._ask(conn, question, life=timedelta(0), reply=reply)

    async def open(
        self, question: Question, *, interim: Reply | None, verdict: Verdict | None, life: timedelta
    ) -> Turn:
        async with self._few.begin() as conn:
            known = await _by_key(conn, question.owner, question.key, alone=True)
            if known is not None:
                return known
            turn = await self._ask(conn, question, life=life, interim=interim, verdict=verdict)
            ends_by = await self._jobs.defer(conn, END_TURN, {"turn_id": turn.id}, in_=life)
            await self._jobs.defer(conn, TALK, {"turn_id": turn.id, "ends_by": ends_by})
        return turn

    async def _ask(
        self,
        conn: AsyncConnection,
        question: Question,
        *,
        life: timedelta,
        interim: Reply | None = None,
        verdict: Verdict | None = None,
        reply: Reply | None = None,
    ) -> Turn:
        owner = _of(question.owner)
        if reply is None:
            # Only these: a hundred who wait for one lock would hold a connection each.
            await statements.rows(conn, sql.ONE_AT_A_TIME, owner)
            if (await statements.one(conn, sql.QUESTIONS, owner))["count"] >= self._limits.questions:
                raise TooManyQuestions(self._limits.questions)
        session_id = await self._session_for(conn, question)
        values = {
            "id": session_id,
            "about": _told_about(question),
            "investigation_id": question.investigation_id,
            "idle": self._idle,
            "life": life,
        }
        session = await statements.one(conn, sql.USE, values)
        if session["turns"] > KEPT_TURNS:
            await conn.execute(sql.FOLD, {"id": session_id, "up_to": session["turns"] - KEPT_TURNS})
        asked = {
            "id": f"chat-{uuid.uuid4().hex}",
            "session_id": session_id,
            "number": session["turns"],
            **owner,
            "reads": list(question.reads),
            "message": question.message,
            "include_context": question.include_context,
            "include_metrics": question.include_metrics,
            "interim": _document(interim),
            "verdict": _document(verdict),
            "reply": _document(reply),
            "key": question.key.word if question.key else None,
            "digest": question.key.digest if question.key else None,
            "life": life,
        }
        return _turn(await statements.one(conn, sql.ASK, asked))

    async def _session_for(self, conn: AsyncConnection, question: Question) -> str:
        """The session the question goes on with, locked until the commit; or a new one."""
        owner = _of(question.owner)
        if question.session_id is not None:
            row = await statements.first(conn, sql.LOCK, {"id": question.session_id, **owner})
            if row is None:
                raise UnknownSession
            if row["answering"]:
                raise StillAnswering
            known = row["investigation_id"]
            if known is not None and question.investigation_id not in (None, known):
                raise OtherInvestigation
            return question.session_id
        # Unlocked: of several that begin at one moment a few may be too many, which does no harm.
        if (await statements.one(conn, sql.SESSIONS, owner))["count"] >= self._limits.sessions:
            raise TooManySessions(self._limits.sessions)
        values = {
            "id": f"session-{uuid.uuid4().hex}",
            **owner,
            "investigation_id": question.investigation_id,
            "about": _told_about(question),
            "idle": self._idle,
        }
        row = await statements.one(conn, sql.BEGIN, values)
        await self._jobs.defer(conn, TIDY, {"session_id": row["id"]}, in_=self._idle)
        return str(row["id"])

    async def look(self, ids: Collection[str]) -> Sequence[Turn]:
        async with self._few.begin() as conn:
            rows = await statements.rows(conn, sql.LOOK, {"ids": list(ids)})
        return [_turn(row) for row in rows]

    async def take(self, turn_id: str, *, ends_by: int | None = None) -> TakenTurn | None:
        async with self._few.begin() as conn:
            row = await statements.first(conn, sql.TAKE, {"id": turn_id})
            if row is None:
                return None
            session = await statements.one(conn, sql.ABOUT, {"id": row["session_id"]})
            asked = {
                "session_id": row["session_id"],
                "number": row["number"],
                "limit": MOST_TURNS + MOST_FOLDED,
            }
            first = row["number"] == 1
            earlier = [] if first else await statements.rows(conn, sql.EARLIER, asked)
        interim, verdict = row["interim"], row["verdict"]
        about = About.model_validate_json(session["about"])
        return TakenTurn(
            id=row["id"],
            fence=row["fence"],
            owner=Owner(row["tenant"], row["owner"]),
            reads=tuple(row["reads"]),
            message=row["message"],
            namespace=about.namespace,
            cluster=about.cluster,
            interim=None if interim is None else Reply.model_validate_json(interim),
            verdict=None if verdict is None else Verdict.model_validate_json(verdict),
            time_left=row["time_left"],
            earlier=tuple(Said(one["message"], one["answer"]) for one in reversed(earlier)),
            folded=session["folded"] + max(0, row["number"] - 1 - session["folded"] - len(earlier)),
            ends_by=ends_by,
        )

    async def note(self, taken: TakenTurn, event: ChatEvent) -> bool:
        values = {"id": taken.id, "fence": taken.fence, "event": _document(event), "most": EVENTS}
        async with self._few.begin() as conn:
            noted = await statements.changed(conn, sql.NOTE, values)
        return bool(noted)

    async def end(self, taken: TakenTurn, reply: Reply | None, *, code: str = "", error: str = "") -> bool:
        values = {
            "id": taken.id,
            "fence": taken.fence,
            "reply": _document(reply),
            "code": None if reply else code,
            "error": None if reply else error.replace("\0", "�"),
        }
        async with self._few.begin() as conn:
            ended = await statements.first(conn, sql.END, values) is not None
            if ended and taken.ends_by is not None:
                # To find that there is nothing to end would cost as much as the rest of this.
                await self._jobs.withdraw(conn, taken.ends_by)
        return ended

    async def end_overdue(self, turn_id: str, *, now: bool = False) -> Turn | None:
        async with self._few.begin() as conn:
            row = await statements.first(conn, sql.END_OVERDUE, {"id": turn_id, "now": now})
            if row is not None:
                await conn.execute(sql.USED, {"id": turn_id})
        return None if row is None else _turn(row)

    async def page(self, session: Session, *, before: int | None, limit: int) -> Sequence[Turn]:
        values = {"id": session.id, "before": before, "limit": limit}
        async with self._few.begin() as conn:
            rows = await statements.rows(conn, sql.PAGE, values)
        return [_turn(row) for row in rows]

    async def delete(self, session_id: str, owner: Owner) -> bool:
        async with self._few.begin() as conn:
            lived = (await conn.execute(sql.DELETE, {"id": session_id, **_of(owner)})).scalar_one_or_none()
        return bool(lived)

    async def tidy(self, session_id: str) -> bool:
        async with self._few.begin() as conn:
            if (await conn.execute(sql.TIDY, {"id": session_id})).rowcount:
                return True
            left = (await conn.execute(sql.LEFT, {"id": session_id})).scalar_one_or_none()
            if left is not None:
                await self._jobs.defer(conn, TIDY, {"session_id": session_id}, in_=left)
        return False


async def _by_key(
    conn: AsyncConnection, owner: Owner, key: Key | None, *, alone: bool = False
) -> Turn | None:
    """What was asked with the key. `alone`: nobody else records one with it until the commit. Raises KeyReused."""
    if key is None:
        return None
    values = {**_of(owner), "key": key.word}
    if alone:
        await conn.execute(sql.ONE_KEY, values)
    row = await statements.first(conn, sql.BY_KEY, values)
    if row is None:
        return None
    if bytes(row["digest"]) != key.digest:
        raise KeyReused(row["id"])
    return _turn(row)


def _told_about(question: Question) -> str:
    # Without what is empty: a process of before there were several clusters reads the rows of others too.
    return question.about.model_dump_json(exclude_none=True)


def _of(owner: Owner) -> dict[str, str]:
    return {"tenant": owner.tenant, "owner": owner.name}


def _session(row: statements.Row) -> Session:
    return Session(
        id=row["id"],
        owner=Owner(row["tenant"], row["owner"]),
        investigation_id=row["investigation_id"],
        about=About.model_validate_json(row["about"]),
        created_at=row["created_at"],
        last_at=row["last_at"],
        expires_at=row["expires_at"],
        folded=row["folded"],
    )


def _turn(row: statements.Row) -> Turn:
    reply = row["reply"]
    return Turn(
        id=row["id"],
        session_id=row["session_id"],
        number=row["number"],
        message=row["message"],
        include_context=row["include_context"],
        include_metrics=row["include_metrics"],
        asked_at=row["asked_at"],
        ended_at=row["ended_at"],
        reply=None if reply is None else Reply.model_validate_json(reply),
        error_code=row["error_code"],
        error=row["error"],
        life=row["life"],
        events=tuple(ChatEvent.model_validate(one) for one in row.get("events") or ()),
    )


def _document(value: BaseModel | None) -> str | None:
    return None if value is None else _NUL.sub(r"\1\\ufffd", value.model_dump_json())
