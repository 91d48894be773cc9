"""What workers say of their engines reaches the API's health, and is gone when they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from libs.storage import Database
from services.holmesgpt_api.adapters.engine_reports import EngineReports, Reporter
from services.holmesgpt_api.domain.engine_health import Report
from services.holmesgpt_api.wiring import SCHEMA
from tests.support.holmesgpt import Place, serving
from tests.support.postgres import MakeDatabase

pytestmark = pytest.mark.requirement("HAPI-019", "HAPI-165")


@pytest.fixture
async def database(fresh_database: MakeDatabase) -> AsyncIterator[Database]:
    made = fresh_database(SCHEMA, migrated=True)
    opened = Database(made.settings(SCHEMA), application=SCHEMA)
    yield opened
    await opened.close()


class Worker:
    def __init__(self, database: Database) -> None:
        self.report = Report("openai/m", "starting", "", 0, 5)
        self.reporter = Reporter(database, lambda: self.report)

    @asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(self.reporter.run(stop))
        try:
            yield
        finally:
            stop.set()
            await task


async def until(reports: EngineReports, wanted: str) -> Report:
    async with asyncio.timeout(10):
        while True:
            found = [one for one in (await reports.latest())[0] if wanted in (one.state, one.last_outcome)]
            if found:
                return found[0]
            await asyncio.sleep(0.02)


async def test_a_change_is_reported_at_once_and_so_is_the_end_of_a_run(database: Database):
    reports, worker = EngineReports(database), Worker(database)
    async with worker.living():
        await until(reports, "starting")
        worker.report = Report("openai/m", "ready", "HolmesGPT", 1, 5)
        worker.reporter.changed()
        ready = await until(reports, "ready")
        worker.reporter.ended("model-unauthorized")
        ended = await until(reports, "model-unauthorized")

    assert (ready.running, ready.max_running, ready.last_outcome) == (1, 5, None)
    assert ended.last_age is not None
    assert ended.last_age < timedelta(seconds=10)
    assert await reports.latest() == ([], 0)


async def test_a_worker_that_was_killed_is_not_believed_for_long(database: Database):
    reports, worker = EngineReports(database), Worker(database)
    async with worker.living():
        await until(reports, "starting")
        async with database.begin() as conn:
            await conn.execute(text("UPDATE engine SET reported_at = now() - interval '21 s'"))
        gone = await reports.latest()

    assert gone == ([], 0)


async def test_health_names_what_is_missing_and_without_a_model_nothing_is(here: Place):
    async with serving(here.settings(), here.api_key) as api:
        without = (await api.get("/health")).json()["checks"]["llm"]
    async with serving(here.settings(llm_model="m"), here.api_key) as api:
        nobody = (await api.get("/health")).json()["checks"]["llm"]

    assert without["status"] == "not_configured"
    assert (nobody["status"], "no worker with a model" in nobody["detail"]) == ("unhealthy", True)
