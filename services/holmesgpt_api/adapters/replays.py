"""Records replays, each with the jobs that will end it. Fulfils `domain.replay.Replays`."""

from __future__ import annotations

from datetime import timedelta

import orjson
from sqlalchemy import text

from libs.jobs import Jobs
from libs.storage import Database
from services.holmesgpt_api.adapters import ledger_sql
from services.holmesgpt_api.adapters.ledger import document, opened, values_of
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.domain.replay import Rerun
from services.holmesgpt_api.domain.verdict import Verdict

_INTERIM = text("SELECT interim::text FROM investigation WHERE id = :id AND tenant = :tenant")


class PostgresReplays:
    def __init__(
        self, database: Database, jobs: Jobs, *, life: timedelta, most_open: int | None = None
    ) -> None:
        """`life`: from being asked for to its deadline. `most_open`: of one caller, investigations and replays together."""
        self._database, self._jobs, self._life, self._most_open = database, jobs, life, most_open

    async def triage_of(self, investigation_id: str, *, tenant: str) -> Verdict | None:
        async with self._database.begin() as conn:
            found = await conn.execute(_INTERIM, {"id": investigation_id, "tenant": tenant})
            interim = found.scalar_one_or_none()
        return None if interim is None else Verdict.model_validate_json(interim)

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
