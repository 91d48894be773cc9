"""Investigations that wait for a place at the model, and workers that have a scripted model in the engine's place.

Run as `python -m tests.support.held SETTINGS SECONDS` it is such a worker: its model takes that long for each, and never
concludes.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from libs.jobs import Jobs
from libs.storage import Database
from services.holmesgpt_api import worker
from services.holmesgpt_api.adapters.ledger import PostgresLedger
from services.holmesgpt_api.domain.commission import commission
from services.holmesgpt_api.domain.model import ModelFailed, Told
from services.holmesgpt_api.domain.ports import ReportProgress
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.domain.verdict import Verdict
from services.holmesgpt_api.settings import Settings
from services.holmesgpt_api.steps.deepen import Deepening
from services.holmesgpt_api.steps.leash import Leash
from services.holmesgpt_api.wiring import SCHEMA
from tests.support.children import start
from tests.support.investigations import CHECKOUT, caller, claimed, found, request

VERDICT = conclude(found(), CHECKOUT, claimed(), "model-still-running")
LIFE = timedelta(minutes=5)

_TAKEN = text("""
    SELECT investigation FROM investigation_event
     WHERE name = 'running' AND data->>'stage' = 'asking the model' ORDER BY at
""")
_ENDS = text("""
    SELECT investigation, count(*) AS ends FROM investigation_event
     WHERE name IN ('completed', 'failed', 'cancelled') GROUP BY investigation
""")


@dataclass
class Hall:
    """Where they wait."""

    ledger: PostgresLedger
    database: Database

    async def held(self, tenant: str, priority: str = "medium", number: int = 1) -> list[str]:
        return [await self._one(tenant, priority) for _ in range(number)]

    async def taken_in(self, tenant: str, priority: str) -> str:
        """Recorded, and not triaged yet."""
        asked = request(target=CHECKOUT.model_dump(), priority=priority)
        return (
            await self.ledger.open(commission(asked, caller(tenant=tenant, namespaces=["*"]), None))
        ).record.id

    async def _one(self, tenant: str, priority: str) -> str:
        run = await self.ledger.claim(await self.taken_in(tenant, priority))
        assert run is not None
        assert await self.ledger.hold(run, VERDICT, ["shop"])
        return run.id

    async def place(self, id_: str, tenant: str) -> int | None:
        record = await self.ledger.get(id_, tenant=tenant)
        assert record is not None
        return record.queue_position

    async def taken(self) -> list[str]:
        """In the order in which they were, those that were taken again after a crash as often as they were."""
        return list(await self._all(_TAKEN))

    async def ends(self) -> dict[str, int]:
        async with self.database.begin() as conn:
            rows = (await conn.execute(_ENDS)).all()
        return {row.investigation: row.ends for row in rows}

    async def wait_for_ends(self, number: int, *, within: float = 60) -> None:
        async with asyncio.timeout(within):
            while len(await self.ends()) < number:
                await asyncio.sleep(0.05)

    async def waiting_before(self, id_: str) -> int:
        """As its event told."""
        said = text("SELECT (data->>'waiting_before')::int FROM investigation_event WHERE investigation = :id "
                    "AND name = 'held'")  # fmt: skip
        return int((await self._all(said, id=id_))[0])

    async def execute(self, statement: str, **values: Any) -> None:
        async with self.database.begin() as conn:
            await conn.execute(text(statement), values)

    async def _all(self, statement: Any, **values: Any) -> Sequence[Any]:
        async with self.database.begin() as conn:
            return (await conn.execute(statement, values)).scalars().all()


@asynccontextmanager
async def hall(settings: Settings) -> AsyncIterator[Hall]:
    database = Database(settings, application=SCHEMA)
    jobs = Jobs(database, service=SCHEMA)
    worker.declare(jobs)
    try:
        yield Hall(PostgresLedger(database, jobs, life=LIFE), database)
    finally:
        await database.close()


class SlowModel:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def ask(
        self, run: Claimed, interim: Verdict, *, within: timedelta, report_progress: ReportProgress
    ) -> Told:
        await asyncio.sleep(self._seconds)
        raise ModelFailed("model-unsupported", "it is scripted")


async def work(settings: Settings, seconds: float, stop: asyncio.Event) -> None:
    database = Database(settings, application=SCHEMA)
    jobs = Jobs(database, service=SCHEMA, settings=settings)
    ledger = PostgresLedger(database, jobs, life=LIFE)
    async with Leash(ledger) as leash:
        worker.register_model(jobs, Deepening(ledger, SlowModel(seconds), on_leash=leash.on), life=LIFE)
        await jobs.run_worker(stop)


def worker_process(settings: dict[str, Any], seconds: float) -> subprocess.Popen[bytes]:
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return start("tests.support.held", json.dumps(settings), str(seconds), **nowhere)


if __name__ == "__main__":
    asyncio.run(work(Settings.model_validate(json.loads(sys.argv[1])), float(sys.argv[2]), asyncio.Event()))
