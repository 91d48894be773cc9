"""Cancelling over HTTP: the state is changed at once, the work stops soon, and its place is free."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from tests.fakes.context_api import FakeContextApi
from tests.integration.holmesgpt_api.test_events import followed, names
from tests.support.engine import Engine
from tests.support.holmesgpt import Place, ended, serving, working

pytestmark = pytest.mark.requirement("HAPI-005", "HAPI-037", "HAPI-043")

INVESTIGATE = "/api/v1/investigate"
ALERT = {"alert_name": "KubePodCrashLooping", "namespace": "shop", "labels": {"pod": "checkout-1"}}


async def test_a_running_one_is_cancelled_and_its_place_is_free_within_a_second(
    here: Place, context: FakeContextApi
):
    context.mood = "hangs"
    # One place, and a patience that outlasts the test: only the cancelling can free it.
    settings = here.settings(worker_concurrency=1, context_api_timeout=60)
    async with working(settings), serving(settings, here.api_key) as api:
        first = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()["investigation_id"]
        await asyncio.to_thread(context.wait_for_calls, 1, "/api/v1/context/resolve")
        waiting = asyncio.create_task(api.post(INVESTIGATE, json={**ALERT, "alert_name": "Second"}))
        context.mood = "answers"
        began = time.monotonic()
        answer = await api.post(f"{INVESTIGATE}/{first}/cancel")
        again = await api.post(f"{INVESTIGATE}/{first}/cancel")
        second = await waiting
        took = time.monotonic() - began
        told = await followed(api, first)
        counted = (await api.get(f"{INVESTIGATE}/{first}")).json()

    body = answer.json()
    assert (answer.status_code, again.status_code) == (200, 200)
    assert (body["status"], body["error_code"], body["results"]) == ("cancelled", "cancelled", None)
    assert body["investigation"]["status"] == "cancelled"
    assert body["summary"].startswith("No result: the investigation was cancelled by ")
    assert again.json() | {"timestamp": ""} == counted | {"timestamp": ""}
    assert second.json()["status"] == "completed"
    assert took < 5  # a second or two; the hanging call would have taken a minute
    assert names(told)[-1] == "cancelled"


async def test_who_waits_for_one_that_is_cancelled_is_told_so(here: Place):
    async with serving(here.settings(), here.api_key) as api:
        waiting = asyncio.create_task(api.post(INVESTIGATE, json=ALERT))
        async with asyncio.timeout(10):
            while not (listed := (await api.get(INVESTIGATE)).json()["items"]):
                await asyncio.sleep(0.02)
        await api.post(f"{INVESTIGATE}/{listed[0]['investigation_id']}/cancel")
        answer = await waiting

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["strategies"] == []


async def test_one_that_is_not_begun_yet_never_begins(here: Place, context: FakeContextApi):
    settings = here.settings()
    async with serving(settings, here.api_key) as api:
        id_ = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()["investigation_id"]
        await api.post(f"{INVESTIGATE}/{id_}/cancel")
        async with working(settings):
            other = (await api.post(INVESTIGATE, json={**ALERT, "alert_name": "Second"})).json()
        body = (await api.get(f"{INVESTIGATE}/{id_}")).json()

    assert other["status"] == "completed"
    assert (body["status"], body["metadata"]["runs"]) == ("cancelled", 0)
    assert len(context.asked("/api/v1/context/causes")) == 1


async def test_an_ended_one_and_a_strangers_are_refused(here: Place):
    networks = {"127.0.0.1/32": {"principal": "team", "roles": ["api_user"], "namespaces": ["shop"]}}
    settings = here.settings(trusted_networks=networks)
    async with serving(settings, here.api_key) as api:
        mine = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()["investigation_id"]
        async with httpx.AsyncClient(transport=api._transport, base_url="http://127.0.0.1") as team:
            foreign = await team.post(f"{INVESTIGATE}/{mine}/cancel")
        async with working(settings):
            await ended(api, mine)
        late = await api.post(f"{INVESTIGATE}/{mine}/cancel")
        unknown = await api.post(f"{INVESTIGATE}/inv-unknown/cancel")

    assert (foreign.status_code, foreign.json()["code"]) == (403, "not-yours")
    assert (late.status_code, late.json()["code"]) == (409, "investigation-ended")
    assert "completed" in late.json()["detail"]
    assert unknown.status_code == 404


async def cancelled_at_the_model(there: Engine) -> None:
    """Called by the tests with a real engine, which they share."""
    there.model.mood = "hangs"
    async with serving(there.settings(), there.place.api_key) as api:
        id_ = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()["investigation_id"]
        await asyncio.to_thread(there.wait_for_children, 1, within=60)
        began = time.monotonic()
        answer = await api.post(f"{INVESTIGATE}/{id_}/cancel")
        await asyncio.to_thread(there.wait_for_children, 0, within=10)
        took = time.monotonic() - began
        told = await followed(api, id_)

    assert answer.json()["status"] == "cancelled"
    assert took < 5
    assert "interim" in names(told)
    assert names(told)[-1] == "cancelled"
