"""The course of an investigation over HTTP: every event once, in order, for whoever may see it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from libs.contracts.course import EVENTS, EventName
from libs.storage import Database
from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import FakeContextApi
from tests.support.holmesgpt import Place, ended, serving, working

pytestmark = pytest.mark.requirement("HAPI-129", "HAPI-005", "HAPI-037")

INVESTIGATE = "/api/v1/investigate"
ALERT = {"alert_name": "KubePodCrashLooping", "namespace": "shop", "labels": {"pod": "checkout-1"}}
WITH_MODEL = {"llm_model": "away", "llm_provider": "local_llm", "llm_base_url": "http://127.0.0.1:9"}


@dataclass(frozen=True)
class Event:
    number: int
    name: EventName
    data: dict[str, Any]


def events(body: str) -> list[Event]:
    """What a stream said; each event is held to its contract."""
    found = []
    for block in body.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            name, data = EventName(fields["event"]), json.loads(fields["data"])
            EVENTS[name].model_validate(data)
            found.append(Event(int(fields["id"]), name, data))
    return found


def names(told: Sequence[Event]) -> list[str]:
    return [one.name.value for one in told]


async def followed(api: httpx.AsyncClient, id_: str, **headers: str) -> list[Event]:
    answer = await api.get(f"{INVESTIGATE}/{id_}/events", headers={**headers})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return events(answer.text)


async def taken(api: httpx.AsyncClient, **fields: Any) -> str:
    answer = await api.post(f"{INVESTIGATE}/async", json={**ALERT, **fields})
    id_: str = answer.json()["investigation_id"]
    return id_


async def test_an_investigation_is_followed_from_its_start_to_its_end(here: Place):
    settings = here.settings()
    async with serving(settings, here.api_key) as api, asyncio.TaskGroup() as group:
        id_ = await taken(api)
        live = group.create_task(followed(api, id_))
        async with working(settings):
            body = await ended(api, id_)
        replayed = await followed(api, id_)

    told = live.result()
    assert told == replayed
    assert [one.number for one in told] == list(range(1, len(told) + 1))
    assert names(told) == ["started", "running", "progress", "progress", "progress", "degraded", "completed"]
    assert told[-2].data["reason"] == "no-model-configured"
    assert told[-1].data["summary"] == body["summary"]
    assert told[-1].data["target"]["name"] == "orders-db-config"
    assert told[-1].data["confidence"] == body["results"]["cause"]["confidence"]["value"]


@pytest.mark.parametrize("after", range(9))
async def test_who_comes_back_gets_what_it_has_not_had(here: Place, after: int):
    settings = here.settings()
    async with working(settings), serving(settings, here.api_key) as api:
        id_ = await taken(api)
        await ended(api, id_)
        whole = await followed(api, id_)
        by_header = await api.get(f"{INVESTIGATE}/{id_}/events", headers={"Last-Event-ID": str(after)})
        by_query = await api.get(f"{INVESTIGATE}/{id_}/events", params={"last_event_id": after})

    if after >= len(whole):
        assert (by_header.status_code, by_query.status_code) == (204, 204)
    else:
        assert events(by_header.text) == events(by_query.text) == whole[after:]


async def test_a_failure_is_the_last_event(here: Place, context: FakeContextApi):
    context.mood = "refuses"
    settings = here.settings()
    async with working(settings), serving(settings, here.api_key) as api:
        id_ = await taken(api)
        told = await followed(api, id_)

    assert names(told)[-1] == "failed"
    assert told[-1].data["error_code"] == "context-refused"


async def test_triages_verdict_is_told_before_a_model_is_asked_and_so_is_why_none_answered(here: Place):
    settings = here.settings(**WITH_MODEL, engine_python="/nowhere")
    async with working(settings), serving(settings, here.api_key) as api:
        id_ = await taken(api)
        told = await followed(api, id_)

    by_name = {one.name.value: one.data for one in told}
    assert names(told)[-6:] == ["progress", "interim", "held", "running", "degraded", "completed"]
    assert by_name["interim"]["target"]["name"] == "orders-db-config"
    assert by_name["held"]["waiting_before"] == 0
    assert by_name["degraded"]["reason"] == "engine-unavailable"


async def test_what_is_committed_is_told_whatever_statement_changed_it(here: Place):
    """Every state a row has had is an event, and an event tells of no state that was rolled back."""
    async with serving(here.settings(), here.api_key) as api:
        id_ = await taken(api)
        database = Database(here.settings(), application=SCHEMA)
        with pytest.raises(ZeroDivisionError):
            await undone(database)
        async with database.begin() as conn:
            await conn.execute(text("UPDATE investigation SET stage = 'by hand', progress = 60"))
        async with database.begin() as conn:
            await conn.execute(
                text(
                    "UPDATE investigation SET status = 'failed', error = 'x', error_code = 'y', ended_at = now()"
                )
            )
        told = await followed(api, id_)
        await database.close()

    assert names(told) == ["started", "progress", "failed"]
    assert told[1].data | {"at": ""} == {"at": "", "stage": "by hand", "progress": 60}


async def undone(database: Database) -> None:
    async with database.begin() as conn:
        await conn.execute(text("UPDATE investigation SET stage = 'undone', progress = 50"))
        raise ZeroDivisionError


async def test_writers_at_once_leave_no_gap_and_a_row_has_no_end_of_events(here: Place):
    async with serving(here.settings(), here.api_key) as api:
        id_ = await taken(api)
        database = Database(here.settings(), application=SCHEMA)

        async def write(number: int) -> None:
            async with database.begin() as conn:
                await conn.execute(text("UPDATE investigation SET stage = :stage"), {"stage": str(number)})

        for begin in range(0, 1050, 25):
            await asyncio.gather(*(write(number) for number in range(begin, begin + 25)))
        async with database.begin() as conn:
            await conn.execute(
                text(
                    "UPDATE investigation SET status = 'failed', error = 'x', error_code = 'y', ended_at = now()"
                )
            )
        told = await followed(api, id_)
        await database.close()

    assert [one.number for one in told] == list(range(1, 1002))
    assert names(told)[-1] == "failed"


async def test_who_may_not_see_an_investigation_finds_no_events_of_it(here: Place):
    networks = {"127.0.0.1/32": {"principal": "team", "roles": ["api_user"], "namespaces": ["shop"]}}
    async with serving(here.settings(trusted_networks=networks), here.api_key) as api:
        id_ = await taken(api, namespace="data")
        async with httpx.AsyncClient(transport=api._transport, base_url="http://127.0.0.1") as team:
            foreign = await team.get(f"{INVESTIGATE}/{id_}/events")
        unknown = await api.get(f"{INVESTIGATE}/inv-unknown/events")
        wrong = await api.get(f"{INVESTIGATE}/{id_}/events", headers={"Last-Event-ID": "-1"})

    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.json()["code"] == unknown.json()["code"] == "unknown-investigation"
    assert wrong.status_code == 422


async def test_a_caller_has_so_many_streams_and_gets_them_back(here: Place):
    settings = here.settings(event_streams_per_caller=2)
    async with serving(settings, here.api_key) as api:
        id_ = await taken(api)
        async with asyncio.TaskGroup() as group:
            open_ = [group.create_task(followed(api, id_)) for _ in range(2)]
            await asyncio.sleep(0.3)
            refused = await api.get(f"{INVESTIGATE}/{id_}/events")
            async with working(settings):
                await ended(api, id_)
        again = await followed(api, id_)

    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-streams")
    assert refused.headers["retry-after"]
    assert [task.result() for task in open_] == [again] * 2
    assert names(again)[-1] == "completed"
