# ruff: noqa: S608 - only this module's own names are put into its statements
"""Keeps each run's last step at the model in PostgreSQL, under the fence of the run that has the say.

One row per run under way: a step holds everything before it. The database removes it when the run ends. A run is an
investigation's or that of a chat's question, each with a table of its own.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.holmesgpt_api.engine.messages import Phase


class Run(Protocol):
    """One that has been taken up; `fence` tells it from those before."""

    @property
    def id(self) -> str: ...

    @property
    def fence(self) -> int: ...


class Keeping(StrEnum):
    kept = "kept"
    not_kept = "not kept"
    """There is no such step to add an answer to; the run goes on without."""
    no_say = "no say"
    """What it was to answer has ended, or a later run has taken over: this one should stop."""


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
        self, run: Run, *, number: int, phase: Phase, model: str, messages: bytes, course: bytes
    ) -> Keeping:
        """A step is about to be asked; it takes the place of the one before."""
        ...

    async def answered(self, run: Run, *, number: int, answer: bytes, course: bytes) -> Keeping:
        """The step was answered."""
        ...

    async def last(self, run: Run, *, model: str) -> LastStep | None:
        """The last step that this run, or one before it, has kept with this model and these words."""
        ...


class Transactions(Protocol):
    """`libs.storage.Database`, or the line before it."""

    def begin(self) -> AbstractAsyncContextManager[AsyncConnection]: ...


@dataclass(frozen=True, slots=True)
class Statements:
    """Of one kind of runs."""

    asks: TextClause
    answered: TextClause
    last: TextClause

    @classmethod
    def of(cls, runs: str, steps: str, run: str) -> Statements:
        """Args:
        runs, steps: tables.
        run: the column of `steps` that names the run.
        """
        has_the_say = (
            f"SELECT id, fence FROM {runs} WHERE id = :id AND fence = :fence AND ended_at IS NULL FOR SHARE"
        )
        return cls(
            asks=text(f"""
                INSERT INTO {steps} ({run}, fence, number, phase, model, messages, course)
                SELECT id, fence, :number, :phase, :model, :messages, :course FROM ({has_the_say}) AS run
                ON CONFLICT ({run}) DO UPDATE
                   SET fence = excluded.fence, number = excluded.number, phase = excluded.phase,
                       model = excluded.model, messages = excluded.messages, answer = NULL,
                       course = excluded.course, stored_at = now()
            """),
            answered=text(f"""
                WITH run AS ({has_the_say}), kept AS (
                    UPDATE {steps} AS step SET answer = :answer, course = :course, stored_at = now() FROM run
                     WHERE step.{run} = run.id AND step.fence = run.fence AND step.number = :number
                    RETURNING 1
                )
                SELECT (SELECT count(*) FROM run) AS says, (SELECT count(*) FROM kept) AS kept
            """),
            last=text(f"""
                SELECT step.number, step.phase, step.messages, step.answer, step.course
                  FROM {steps} AS step JOIN {runs} AS run ON run.id = step.{run}
                 WHERE step.{run} = :id AND run.fence = :fence AND step.model = :model
            """),
        )


INVESTIGATIONS = Statements.of("investigation", "step", "investigation_id")
QUESTIONS = Statements.of("chat_turn", "chat_step", "turn_id")


class PostgresSteps:
    def __init__(self, database: Transactions, of: Statements) -> None:
        self._database, self._of = database, of

    async def asks(
        self, run: Run, *, number: int, phase: Phase, model: str, messages: bytes, course: bytes
    ) -> Keeping:
        values = {"number": number, "phase": phase, "model": model, "messages": messages, "course": course}
        async with self._database.begin() as conn:
            done = await conn.execute(self._of.asks, {"id": run.id, "fence": run.fence, **values})
        return Keeping.kept if done.rowcount else Keeping.no_say

    async def answered(self, run: Run, *, number: int, answer: bytes, course: bytes) -> Keeping:
        values = {"number": number, "answer": answer, "course": course}
        async with self._database.begin() as conn:
            row = (await conn.execute(self._of.answered, {"id": run.id, "fence": run.fence, **values})).one()
        if not row.says:
            return Keeping.no_say
        return Keeping.kept if row.kept else Keeping.not_kept

    async def last(self, run: Run, *, model: str) -> LastStep | None:
        async with self._database.begin() as conn:
            found = await conn.execute(self._of.last, {"id": run.id, "fence": run.fence, "model": model})
            row = found.mappings().first()
        if row is None:
            return None
        answer = None if row["answer"] is None else bytes(row["answer"])
        return LastStep(row["number"], row["phase"], bytes(row["messages"]), answer, bytes(row["course"]))
