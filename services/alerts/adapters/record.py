"""Record: the service's tables, one transaction at a time, and what is written along with it.

A step reads and writes inside `Record.begin()`; the timeline entries it notes and the jobs it defers are
written with it in one go, or not at all. Which tables mean what is the neighbouring modules' business.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
import psycopg
from psycopg.rows import DictRow, dict_row
from sqlalchemy import text

from libs.contracts.alerts import Decision
from libs.jobs import Jobs
from libs.storage import Database, storage_faults
from libs.storage.database import driver
from services.alerts.domain.labels import storable

Parameters = Sequence[Any] | Mapping[str, Any] | None

_NOW = text("SELECT now()")

_NOTE = """
INSERT INTO timeline (subject, key, at, event, detail, decision)
SELECT * FROM unnest(
    %b::text[], %b::text[], %s::timestamptz[], %b::text[], %b::text[], %b::text[]::jsonb[])
ON CONFLICT (subject, key) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Note:
    """One timeline entry. `key` names the fact within its subject: noted twice, it is written once."""

    subject: str
    key: str
    event: str
    detail: str = ""
    decision: Decision | None = None


@dataclass
class Work:
    """One transaction under way."""

    connection: psycopg.AsyncConnection[Any]
    now: datetime
    """The database's clock, so that several hosts agree."""
    _notes: list[Note] = field(default_factory=list)
    _jobs: list[tuple[str, Mapping[str, object], timedelta | None]] = field(default_factory=list)

    def note(self, *notes: Note) -> None:
        """Write these to the timeline when the transaction commits."""
        self._notes += notes

    def decided(self, subject: str, decision: Decision, *, during: str) -> None:
        """Note a decision; `during` names the occasion, of which each subject has one decision."""
        key = f"{decision.subject}@{during}"
        self.note(Note(subject, key, "decided", decision.detail, decision))

    def defer(self, task: str, /, *, in_: timedelta | None = None, **args: object) -> None:
        """Have this job exist when the transaction commits."""
        self._jobs.append((task, args, in_))

    async def rows(self, statement: str, parameters: Parameters = None) -> list[DictRow]:
        async with self.connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statement, parameters)
            return await cursor.fetchall()

    async def row(self, statement: str, parameters: Parameters = None) -> DictRow | None:
        found = await self.rows(statement, parameters)
        return found[0] if found else None

    async def execute(self, statement: str, parameters: Parameters = None) -> int:
        """Returns how many rows it touched."""
        cursor = await self.connection.execute(statement, parameters)
        return int(cursor.rowcount)

    async def finish(self, jobs: Jobs) -> None:
        """Send notes and jobs in one go."""
        if not self._notes and not self._jobs:
            return
        async with self.connection.pipeline():
            if self._notes:
                await self.connection.execute(_NOTE, _columns(self._notes, self.now))
            for task, args, in_ in self._jobs:
                statement, values = jobs.defer_statement(task, args, in_=in_)
                await self.connection.execute(statement, values)


def _columns(notes: list[Note], now: datetime) -> tuple[list[Any], ...]:
    return (
        [note.subject for note in notes],
        [note.key for note in notes],
        [now] * len(notes),
        [note.event for note in notes],
        [storable(note.detail) for note in notes],
        [as_json(note.decision.model_dump()) if note.decision else None for note in notes],
    )


def as_json(value: object) -> str:
    """JSON that a jsonb column takes."""
    return orjson.dumps(storable(value)).decode()


class Record:
    """Fulfils what the steps need of storage."""

    def __init__(self, database: Database, jobs: Jobs) -> None:
        self._database, self._jobs = database, jobs

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Work]:
        """A transaction, committed with its notes and jobs when the block ends.

        Raises:
            StorageUnavailable: try again later; nothing was written, or all of it (steps are repeatable).
        """
        with storage_faults():
            async with self._database.begin() as connection:
                now = (await connection.execute(_NOW)).scalar_one()
                work = Work(await driver(connection), now)
                yield work
                await work.finish(self._jobs)
