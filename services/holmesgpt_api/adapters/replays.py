"""Records replays, each with the jobs that will end it. Fulfils `domain.replay.Replays`."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import orjson
from sqlalchemy import text

from libs.jobs import Jobs
from libs.storage import Database
from services.holmesgpt_api.adapters import ledger_sql
from services.holmesgpt_api.adapters.ledger import document, opened, values_of
from services.holmesgpt_api.adapters.run_course import evidence_in
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.domain.replay import FROZEN_AT_MOST, Kept, Rerun
from services.holmesgpt_api.domain.verdict import Verdict

# A verdict that was given again came of no run of its own; the key it was kept under holds what its asker may read.
_KEPT = text("""
    SELECT interim::text AS interim,
           CASE WHEN CAST(:shown AS boolean) THEN coalesce(shown, (
               SELECT first.shown FROM investigation AS first
                WHERE first.id = one.verdict->>'cached_from' AND first.tenant = one.tenant)) END AS shown
      FROM investigation AS one WHERE id = :id AND tenant = :tenant
""")

_log = logging.getLogger(__name__)


class PostgresReplays:
    def __init__(
        self, database: Database, jobs: Jobs, *, life: timedelta, most_open: int | None = None
    ) -> None:
        """`life`: from being asked for to its deadline. `most_open`: of one caller, investigations and replays together."""
        self._database, self._jobs, self._life, self._most_open = database, jobs, life, most_open
        self._one_at_a_time = asyncio.Lock()

    async def kept(self, investigation_id: str, *, tenant: str, shown: bool) -> Kept:
        async with self._database.begin() as conn:
            found = await conn.execute(_KEPT, {"id": investigation_id, "tenant": tenant, "shown": shown})
            row = found.mappings().first()
        if row is None:
            return Kept()
        triage = None if row["interim"] is None else Verdict.model_validate_json(row["interim"])
        if row["shown"] is None:
            return Kept(triage)
        try:
            # Not on the loop, and one after the other: thousands of facts take a while to be read, and much memory.
            async with self._one_at_a_time:
                return Kept(triage, await asyncio.to_thread(evidence_in, bytes(row["shown"]), FROZEN_AT_MOST))
        except ValueError as error:
            _log.info("what %s was shown cannot be read: %s", investigation_id, type(error).__name__)
            return Kept(triage)

    async def open(self, rerun: Rerun) -> Record:
        replay = rerun.replay
        values = {
            **values_of(rerun.commission, self._life, self._most_open),
            "seen": sorted(rerun.seen),
            "replay": orjson.dumps(
                {"of": replay.of, "engine": replay.engine, "model": replay.model, "prompt": replay.prompt}
            ).decode(),
            "frozen": document(rerun.frozen),
            "original": document(rerun.original),
        }
        async with self._database.begin() as conn:
            found = await opened(
                conn, self._jobs, ledger_sql.OPEN_REPLAY, values, rerun.commission, self._life
            )
        return found.record
