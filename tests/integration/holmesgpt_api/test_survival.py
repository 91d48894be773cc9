"""Workers are killed in the middle of a run; every investigation ends once."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from libs.storage import Database
from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import FakeContextApi
from tests.support.holmesgpt import Place, ended, serving, working

pytestmark = pytest.mark.requirement("HAPI-005", "HAPI-029", "HAPI-040")


@pytest.fixture
def here(here: Place) -> Place:
    return here.missing_workers_soon()


INVESTIGATE = "/api/v1/investigate"
ALERT = {"alert_name": "A", "labels": {"pod": "checkout-1", "namespace": "shop"}}


async def test_a_killed_workers_run_is_taken_over_and_ends_once(here: Place, context: FakeContextApi):
    context.mood = "hangs"
    async with serving(here.settings(), here.api_key) as api:
        worker = here.worker_process()
        try:
            taken = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()
            await asyncio.to_thread(context.wait_for_calls, 1, "/api/v1/context/resolve")
            running = (await api.get(f"{INVESTIGATE}/{taken['investigation_id']}")).json()
        finally:
            worker.kill()
            worker.wait()
        context.mood = "answers"
        async with working(here.settings()) as metrics:
            body = await ended(api, taken["investigation_id"])
            counted = metrics.exposition().decode()

    assert (running["status"], running["progress"]) == ("running", 10)
    assert (body["status"], body["metadata"]["runs"]) == ("completed", 2)
    assert len(context.asked("/api/v1/context/causes")) == 1
    assert 'holmesgpt_api_investigations_total{engine="triage",outcome="cause"} 1.0' in counted


async def test_a_run_that_kills_every_worker_still_ends_at_its_deadline(here: Place, context: FakeContextApi):
    context.mood = "hangs"
    async with serving(here.settings(), here.api_key) as api:
        taken = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()
        for number in (1, 2):
            worker = here.worker_process()
            try:
                await asyncio.to_thread(context.wait_for_calls, number, "/api/v1/context/resolve")
            finally:
                worker.kill()
                worker.wait()
        await deadline_passes(here)
        async with working(here.settings()):
            body = await ended(api, taken["investigation_id"])

    assert (body["status"], body["error_code"]) == ("failed", "deadline-passed")
    assert "Last stage: resolving the alert's labels" in body["error"]
    assert len(context.asked("/api/v1/context/resolve")) == 2


async def deadline_passes(here: Place) -> None:
    database = Database(here.settings(), application=SCHEMA)
    async with database.begin() as conn:
        await conn.execute(text("UPDATE investigation SET deadline_at = now()"))
    await database.close()


async def test_a_stopped_worker_gives_its_run_back(here: Place, context: FakeContextApi):
    context.mood = "hangs"
    async with serving(here.settings(), here.api_key) as api:
        async with working(here.settings()):
            taken = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()
            await asyncio.to_thread(context.wait_for_calls, 1, "/api/v1/context/resolve")
        context.mood = "answers"
        async with working(here.settings()):
            body = await ended(api, taken["investigation_id"])

    assert (body["status"], body["metadata"]["runs"]) == ("completed", 2)
