"""Reads what a run at the model has seen until its last stored step. Fulfils `domain.ports.Underway`.

Who waits for a run asks several times a second, and its steps are seconds apart: each is unpacked once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from libs.storage import Database
from services.holmesgpt_api.adapters.run_course import so_far
from services.holmesgpt_api.domain.so_far import SoFar

PACKED_AT_MOST = 512 * 1024
"""Bytes of a step's course that are read for a look; of a run that has seen more, what it saw is told at its end."""

KEPT_AT_MOST, RUNS_AT_MOST = 2 * 1024 * 1024, 256
"""Bytes, packed, of what is kept unpacked (a tenth of what it takes in memory, about), and of how many runs."""

_log = logging.getLogger(__name__)

_STAMP = text("SELECT fence, number, stored_at FROM step WHERE investigation_id = :id")
_COURSE = text("""
    SELECT fence, number, stored_at, octet_length(course) AS bytes,
           CASE WHEN octet_length(course) <= CAST(:at_most AS integer) THEN course END AS course
      FROM step WHERE investigation_id = :id
""")

Stamp = tuple[int, int, datetime]


@dataclass(frozen=True, slots=True)
class _Kept:
    stamp: Stamp
    bytes: int
    told: SoFar | None


class PostgresUnderway:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        # One after the other: unpacking holds the interpreter, in whichever thread.
        self._one_at_a_time = asyncio.Lock()

    async def so_far(self, investigation_id: str) -> SoFar | None:
        row = await self._row(_STAMP, investigation_id)
        if row is None:
            self._kept.pop(investigation_id, None)
            return None
        kept = self._kept_since(investigation_id, _stamp(row))
        if kept is None:
            async with self._one_at_a_time:
                # Who waited finds what the one before has read.
                kept = self._kept_since(investigation_id, _stamp(row)) or await self._read(investigation_id)
        return None if kept is None else kept.told

    def _kept_since(self, investigation_id: str, stamp: Stamp) -> _Kept | None:
        kept = self._kept.get(investigation_id)
        return kept if kept is not None and kept.stamp >= stamp else None

    async def _read(self, investigation_id: str) -> _Kept | None:
        row = await self._row(_COURSE, investigation_id)
        if row is None:
            return None
        told = await self._told(investigation_id, row["number"], row["course"])
        kept = _Kept(_stamp(row), 0 if told is None else row["bytes"], told)
        self._kept[investigation_id] = kept
        self._kept.move_to_end(investigation_id)
        while len(self._kept) > RUNS_AT_MOST or sum(one.bytes for one in self._kept.values()) > KEPT_AT_MOST:
            self._kept.popitem(last=False)
        return kept

    async def _told(self, investigation_id: str, number: int, course: bytes | None) -> SoFar | None:
        if course is None:
            return None
        try:
            # Not on the loop: thousands of facts take a while to be read.
            return await asyncio.to_thread(so_far, number, bytes(course))
        except ValueError as error:
            _log.info("what %s has seen so far cannot be told: %s", investigation_id, type(error).__name__)
            return None

    async def _row(self, statement: Any, investigation_id: str) -> Any:
        values: dict[str, Any] = {"id": investigation_id}
        if statement is _COURSE:
            values["at_most"] = PACKED_AT_MOST
        async with self._database.begin() as conn:
            return (await conn.execute(statement, values)).mappings().first()


def _stamp(row: Any) -> Stamp:
    return row["fence"], row["number"], row["stored_at"]
