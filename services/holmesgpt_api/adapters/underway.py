"""Reads what a run at the model has seen until its last stored step. Fulfils `domain.ports.Underway`."""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy import text

from libs.storage import Database
from services.holmesgpt_api.adapters.run_course import so_far
from services.holmesgpt_api.domain.so_far import SoFar

PACKED_AT_MOST = 512 * 1024
"""Bytes of a step's course that are read for a look; of a run that has seen more, what it saw is told at its end."""

_log = logging.getLogger(__name__)

_COURSE = text("""
    SELECT number, course FROM step
     WHERE investigation_id = :id AND octet_length(course) <= CAST(:at_most AS integer)
""")


class PostgresUnderway:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def so_far(self, investigation_id: str) -> SoFar | None:
        values = {"id": investigation_id, "at_most": PACKED_AT_MOST}
        async with self._database.begin() as conn:
            row = (await conn.execute(_COURSE, values)).mappings().first()
        if row is None:
            return None
        try:
            # Not on the loop: thousands of facts take a while to be read.
            return await asyncio.to_thread(so_far, row["number"], bytes(row["course"]))
        except ValueError as error:
            # Of another release, or what has unfolded to more than is kept in memory for a look.
            _log.info("what %s has seen so far is not told: %s", investigation_id, type(error).__name__)
            return None
