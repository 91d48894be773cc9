"""Keeps each run's last step at the model in PostgreSQL, under the fence of the run that has the say.

One row per run under way: a step holds everything before it. The database removes it when the run ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sqlalchemy import text

from libs.storage import Database
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.engine.messages import Phase


class Keeping(StrEnum):
    kept = "kept"
    not_kept = "not kept"
    """There is no such step to add an answer to; the run goes on without."""
    no_say = "no say"
    """The investigation has ended, or a later run has taken over: this one should stop."""


@dataclass(frozen=True, slots=True)
class LastStep:
    """What a run goes on from."""

    number: int
    phase: Phase
    messages: bytes
    answer: bytes | None
    course: bytes
    """What had been seen and spent by then."""


class Steps(Protocol):
    """Both raise StorageUnavailable."""

    async def asks(
        self, run: Claimed, *, number: int, phase: Phase, model: str, messages: bytes, course: bytes
    ) -> Keeping:
        """A step is about to be asked; it takes the place of the one before."""
        ...

    async def answered(self, run: Claimed, *, number: int, answer: bytes, course: bytes) -> Keeping:
        """The step was answered."""
        ...

    async def last(self, run: Claimed, *, model: str) -> LastStep | None:
        """The last step that this investigation's runs have kept with this model and these words."""
        ...


ASKS = text("""
    INSERT INTO step (investigation_id, fence, number, phase, model, messages, course)
    SELECT id, fence, :number, :phase, :model, :messages, :course FROM investigation
     WHERE id = :id AND fence = :fence AND ended_at IS NULL FOR SHARE
    ON CONFLICT (investigation_id) DO UPDATE
       SET fence = excluded.fence, number = excluded.number, phase = excluded.phase, model = excluded.model,
           messages = excluded.messages, answer = NULL, course = excluded.course, stored_at = now()
""")
ANSWERED = text("""
    WITH run AS (
        SELECT id, fence FROM investigation
         WHERE id = :id AND fence = :fence AND ended_at IS NULL FOR SHARE
    ), kept AS (
        UPDATE step SET answer = :answer, course = :course, stored_at = now() FROM run
         WHERE step.investigation_id = run.id AND step.fence = run.fence AND step.number = :number
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM run) AS says, (SELECT count(*) FROM kept) AS kept
""")
LAST = text("""
    SELECT step.number, step.phase, step.messages, step.answer, step.course
      FROM step JOIN investigation ON investigation.id = step.investigation_id
     WHERE step.investigation_id = :id AND investigation.fence = :fence AND step.model = :model
""")


class PostgresSteps:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def asks(
        self, run: Claimed, *, number: int, phase: Phase, model: str, messages: bytes, course: bytes
    ) -> Keeping:
        values = {"number": number, "phase": phase, "model": model, "messages": messages, "course": course}
        async with self._database.begin() as conn:
            done = await conn.execute(ASKS, {"id": run.id, "fence": run.fence, **values})
        return Keeping.kept if done.rowcount else Keeping.no_say

    async def answered(self, run: Claimed, *, number: int, answer: bytes, course: bytes) -> Keeping:
        values = {"number": number, "answer": answer, "course": course}
        async with self._database.begin() as conn:
            row = (await conn.execute(ANSWERED, {"id": run.id, "fence": run.fence, **values})).one()
        if not row.says:
            return Keeping.no_say
        return Keeping.kept if row.kept else Keeping.not_kept

    async def last(self, run: Claimed, *, model: str) -> LastStep | None:
        async with self._database.begin() as conn:
            found = await conn.execute(LAST, {"id": run.id, "fence": run.fence, "model": model})
            row = found.mappings().first()
        if row is None:
            return None
        answer = None if row["answer"] is None else bytes(row["answer"])
        return LastStep(row["number"], row["phase"], bytes(row["messages"]), answer, bytes(row["course"]))
