"""Keeps approvals in PostgreSQL. What is agreed to is done at most once: a row goes from approved to executing once."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import text

from libs.contracts.evidence import EvidenceItem
from libs.storage import Database
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.custom.approval import (
    Approval,
    State,
    UnknownApproval,
    Wanted,
    approval,
    standing,
)
from services.holmesgpt_api.domain.record import Claimed

_log = logging.getLogger(__name__)

MOST = 10
"""Changes that one investigation may ask for. A model that wants more is not asking, it is trying."""

PAUSE = timedelta(milliseconds=500)
"""Between two looks for decisions. People take longer."""

OUTCOME = 300
"""Characters of what a foreign system answered that are kept for people."""

_COLUMNS = """
    id, toolset, version, tool, arguments, why, state, asked_at, expires_at, decided_by, decided_at, comment, outcome
"""
_RUN = text("""
    SELECT 1 FROM investigation WHERE id = :id AND fence = :fence AND ended_at IS NULL FOR NO KEY UPDATE
""")
_OF = text("SELECT 1 FROM investigation WHERE id = :id FOR NO KEY UPDATE")
_MANY = text("SELECT count(*) FROM tool_approval WHERE investigation = :id AND key <> :key")
_ASK = text("""
    INSERT INTO tool_approval (id, investigation, key, toolset, version, tool, arguments, why, expires_at)
    VALUES (:approval, :id, :key, :toolset, :version, :tool, CAST(:arguments AS jsonb), :why,
            clock_timestamp() + CAST(:within AS interval))
    ON CONFLICT (investigation, key) DO NOTHING
""")
_ABANDONED = text("""
    UPDATE tool_approval SET state = 'unknown', ended_at = clock_timestamp()
     WHERE investigation = :id AND key = :key AND state = 'executing' AND fence < :fence
""")
_KNOWN = text(f"SELECT {_COLUMNS} FROM tool_approval WHERE investigation = :id AND key = :key")  # noqa: S608
_ONE = text(f"SELECT {_COLUMNS} FROM tool_approval WHERE investigation = :id AND id = :approval")  # noqa: S608
_ANSWER = text("SELECT answer FROM tool_approval WHERE id = :approval")
_DECIDE = text(f"""
    UPDATE tool_approval
       SET state = :state, decided_by = :by, decided_at = clock_timestamp(), comment = :comment
     WHERE investigation = :id AND id = :approval AND state = 'pending' AND expires_at > clock_timestamp()
    RETURNING {_COLUMNS}
""")  # noqa: S608
_EXPIRE = text("""
    UPDATE tool_approval SET state = 'expired', ended_at = clock_timestamp()
     WHERE investigation = :id AND id = :approval AND state = 'pending' AND expires_at <= clock_timestamp()
""")
_BEGIN = text("""
    UPDATE tool_approval SET state = 'executing', fence = :fence, executed_at = clock_timestamp()
     WHERE investigation = :id AND id = :approval AND state = 'approved'
""")
_END = text("""
    UPDATE tool_approval
       SET state = :state, outcome = :outcome, answer = CAST(:answer AS jsonb), ended_at = clock_timestamp()
     WHERE id = :approval AND fence = :fence AND state IN ('executing', 'unknown')
""")
_NEWS = text("""
    SELECT id FROM tool_approval
     WHERE id = ANY(:ids) AND (state <> 'pending' OR expires_at <= clock_timestamp())
""")


class TooMany(Exception):
    """This investigation has asked for as many changes as it may."""


class NoSay(Exception):
    """The investigation has ended, or a later run has taken over."""


class PostgresApprovals:
    """Raises StorageUnavailable everywhere. Use it with `async with` where decisions are waited for."""

    def __init__(self, database: Database, *, pause: timedelta = PAUSE) -> None:
        self._database, self._pause = database, pause.total_seconds()
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        """By approval; two runs of one investigation may wait for the same one, until the earlier is stopped."""
        self._somebody = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> PostgresApprovals:
        self._task = asyncio.create_task(self._look(), name="decisions about changes")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    # ── the run's side ──────────────────────────────────────────────────────────────────────────────────────

    async def ask(self, run: Claimed, wanted: Wanted, *, within: timedelta) -> Approval:
        """The approval of this change: a new one, or the one that this investigation has asked for before.

        One that an earlier run began to do and did not end is `unknown` from now on.

        Raises:
            TooMany, NoSay
        """
        key = wanted.key
        values = {"id": run.id, "fence": run.fence, "key": key}
        async with self._database.begin() as conn:
            if not (await conn.execute(_RUN, {"id": run.id, "fence": run.fence})).first():
                raise NoSay
            await conn.execute(_ABANDONED, values)
            known = (await conn.execute(_KNOWN, {"id": run.id, "key": key})).mappings().first()
            if known is None:
                many: int = (await conn.execute(_MANY, {"id": run.id, "key": key})).scalar_one()
                if many >= MOST:
                    raise TooMany
                asked = {
                    "approval": f"apr-{uuid.uuid4().hex}",
                    "id": run.id,
                    "key": key,
                    "toolset": wanted.toolset,
                    "version": wanted.version,
                    "tool": wanted.tool,
                    "arguments": json.dumps(wanted.arguments),
                    "why": wanted.why,
                    "within": within,
                }
                await conn.execute(_ASK, asked)
                known = (await conn.execute(_KNOWN, {"id": run.id, "key": key})).mappings().one()
        return approval(dict(known))

    async def decided(self, investigation: str, asked: Approval) -> Approval:
        """Wait until somebody has decided, or until it is too late to."""
        if asked.state is not State.pending:
            return asked
        news = asyncio.Event()
        self._waiting[asked.id].add(news)
        self._somebody.set()
        try:
            while True:
                await news.wait()
                news.clear()
                found = await self._as_it_is(investigation, asked.id)
                if found.state is not State.pending:
                    return found
        finally:
            self._waiting[asked.id].discard(news)
            if not self._waiting[asked.id]:
                del self._waiting[asked.id]
            if not self._waiting:
                self._somebody.clear()

    async def begin(self, run: Claimed, asked: Approval) -> bool:
        """It is about to be done, by this run and once. False: it may not be (any more)."""
        values = {"id": run.id, "fence": run.fence, "approval": asked.id}
        async with self._database.begin() as conn:
            if not (await conn.execute(_RUN, {"id": run.id, "fence": run.fence})).first():
                return False
            return bool((await conn.execute(_BEGIN, values)).rowcount)

    async def end(
        self, run: Claimed, asked: Approval, state: State, outcome: str, answer: EvidenceItem | None
    ) -> None:
        """What came of it. After its investigation has ended it is still told to people."""
        written = None if answer is None else answer.model_dump_json()
        values = {
            "approval": asked.id,
            "fence": run.fence,
            "state": state.value,
            "outcome": outcome.replace("\0", "\ufffd")[:OUTCOME],
            # jsonb stores no NUL; the answer is only for a run that is taken up again.
            "answer": None if written is None or "\\u0000" in written else written,
        }
        async with self._database.begin() as conn:
            await conn.execute(_OF, {"id": run.id})
            await conn.execute(_END, values)

    async def answer(self, asked: Approval) -> EvidenceItem | None:
        async with self._database.begin() as conn:
            kept = (await conn.execute(_ANSWER, {"approval": asked.id})).scalar_one_or_none()
        return None if kept is None else EvidenceItem.model_validate(kept)

    # ── the people's side ───────────────────────────────────────────────────────────────────────────────────

    async def decide(
        self, investigation: str, approval_id: str, *, approved: bool, by: str, comment: str | None
    ) -> Approval:
        """Decide, once; the same decision again changes nothing.

        Raises:
            UnknownApproval, DecidedAlready, TooLate
        """
        values = {"id": investigation, "approval": approval_id}
        state = State.approved if approved else State.denied
        async with self._database.begin() as conn:
            await conn.execute(_OF, {"id": investigation})
            decided = await conn.execute(
                _DECIDE, {**values, "state": state.value, "by": by, "comment": comment}
            )
            row = decided.mappings().first()
            if row is not None:
                return approval(dict(row))
            await conn.execute(_EXPIRE, values)
            row = (await conn.execute(_ONE, values)).mappings().first()
        if row is None:
            raise UnknownApproval
        known = approval(dict(row))
        standing(known, approved=approved)
        return known

    async def _as_it_is(self, investigation: str, approval_id: str) -> Approval:
        values = {"id": investigation, "approval": approval_id}
        async with self._database.begin() as conn:
            await conn.execute(_OF, {"id": investigation})
            await conn.execute(_EXPIRE, values)
            row = (await conn.execute(_ONE, values)).mappings().first()
        if row is None:
            raise NoSay
        return approval(dict(row))

    async def _look(self) -> None:
        while True:
            await self._somebody.wait()
            try:
                async with self._database.begin() as conn:
                    found: Sequence[str] = (
                        (await conn.execute(_NEWS, {"ids": list(self._waiting)})).scalars().all()
                    )
                for one in found:
                    for news in self._waiting.get(one, ()):
                        news.set()
            except StorageUnavailable as error:
                _log.info("no look for decisions: %s", error)
            except Exception:
                # All others who wait must still hear of theirs.
                _log.exception("a look for decisions failed")
            await asyncio.sleep(self._pause)
