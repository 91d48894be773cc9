"""A database that takes a question and does not come back holds nobody longer than the time of the whole call.

What holds it are locks, each of which a statement would wait for much longer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import psycopg
import pytest
from psycopg import sql

from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import FakeContextApi
from tests.support.holmesgpt import Place, ended, serving, working
from tests.support.investigations import CHECKOUT

pytestmark = pytest.mark.requirement("HAPI-130")

INVESTIGATE, CHAT = "/api/v1/investigate", "/api/v1/chat"
ALERT = {"alert_name": "KubePodCrashLooping", "namespace": "shop", "target": CHECKOUT.model_dump()}
ABOUT = "why does Deployment.apps/shop/checkout fail?"
LONGEST_S = 3.0
"""Of a call, here."""
WELL_BEFORE_S = 8.0
"""A busy machine included, and before the Context API's ten seconds and what a lock is waited for."""
STATEMENT_S = 30.0
"""Half of it is what a lock is waited for."""


@asynccontextmanager
async def locked(here: Place, table: str) -> AsyncIterator[None]:
    """Nobody else reads it or writes to it."""
    async with await psycopg.AsyncConnection.connect(here.values["database_url"]) as connection:
        name = sql.SQL("{}.{}").format(sql.Identifier(SCHEMA), sql.Identifier(table))
        await connection.execute(sql.SQL("LOCK TABLE {}").format(name))
        yield
        await connection.rollback()


@asynccontextmanager
async def in_good_time() -> AsyncIterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < WELL_BEFORE_S


def api_of(here: Place) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    settings = here.settings(sync_answer_timeout=LONGEST_S, database_statement_timeout=STATEMENT_S)
    return serving(settings, here.api_key)


async def recorded(here: Place) -> None:
    """Until an investigation is."""
    async with await psycopg.AsyncConnection.connect(here.values["database_url"], autocommit=True) as look:
        async with asyncio.timeout(LONGEST_S):
            while (await (await look.execute(f"SELECT id FROM {SCHEMA}.investigation")).fetchone()) is None:
                await asyncio.sleep(0.02)


async def test_an_investigation_that_cannot_be_recorded_in_time_is_a_503_and_can_be_asked_for_again(
    here: Place,
):
    async with api_of(here) as api:
        async with in_good_time(), locked(here, "investigation"):
            answer = await api.post(INVESTIGATE, json=ALERT)
        again = await api.post(f"{INVESTIGATE}/async", json=ALERT)
        known = (await api.get(INVESTIGATE)).json()["items"]

    assert (answer.status_code, answer.json()["code"]) == (503, "storage-unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert [one["investigation_id"] for one in known] == [again.json()["investigation_id"]]


async def test_one_that_is_recorded_and_cannot_be_read_again_is_told_as_it_was_recorded(here: Place):
    async with api_of(here) as api:
        async with in_good_time():
            asking = asyncio.create_task(api.post(INVESTIGATE, json=ALERT))
            await recorded(here)
            async with locked(here, "investigation"):
                answer = await asking
        async with working(here.settings()):
            later = await ended(api, answer.json()["investigation_id"])

    body = answer.json()
    assert (answer.status_code, body["status"], body["engine"]) == (200, "started", None)
    assert (body["degraded_reason"], body["patterns"]) == ("triage-not-done", [])
    assert later["status"] == "completed"


async def test_a_question_that_cannot_be_recorded_in_time_is_a_503(here: Place):
    async with api_of(here) as api:
        async with in_good_time(), locked(here, "chat_turn"):
            answer = await api.post(CHAT, json={"message": ABOUT})
        again = await api.post(CHAT, json={"message": ABOUT})

    assert (answer.status_code, answer.json()["code"]) == (503, "storage-unavailable")
    assert again.status_code == 200


async def test_a_context_api_that_hangs_is_waited_for_no_longer_than_its_caller_waits(
    here: Place, context: FakeContextApi
):
    context.mood = "hangs"
    async with api_of(here) as api, in_good_time():
        answer = await api.post(
            CHAT, json={"message": "why is the pod checkout-1 failing?", "namespace": "shop"}
        )

    assert (answer.status_code, answer.json()["code"]) == (503, "context-unavailable")


async def test_the_past_of_an_alert_that_cannot_be_read_in_time_is_a_503(here: Place):
    asked = {"pattern_type": "alert", "alert_context": {"name": "KubePodCrashLooping"}}
    async with api_of(here) as api, in_good_time(), locked(here, "investigation"):
        answer = await api.post("/api/v1/patterns/historical", json=asked)

    assert (answer.status_code, answer.json()["code"]) == (503, "storage-unavailable")
