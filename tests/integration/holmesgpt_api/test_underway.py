"""While a model is asked, a look shows what it has seen until now; the real HolmesGPT, a scripted model, a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from libs.storage import Database
from services.holmesgpt_api.adapters.underway import PACKED_AT_MOST, PostgresUnderway
from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import context_api
from tests.fakes.model import model
from tests.integration.holmesgpt_api.test_resume import ALERT, ASKED, INVESTIGATE, Telling, prepare
from tests.support.engine import Engine, engine
from tests.support.holmesgpt import ended, place, serving
from tests.support.postgres import MakeDatabase

pytestmark = [
    pytest.mark.needs("holmes-engine"),
    pytest.mark.requirement("HAPI-003", "HAPI-075"),
    pytest.mark.xdist_group("holmes-engine"),
]


@pytest.fixture(scope="module")
def there(module_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with context_api() as context, model() as fake:
        here = place(module_database(SCHEMA, migrated=True), context.url, tmp_path_factory.mktemp("underway"))
        with engine(here, context, fake) as running:
            yield running


async def at_its_third_tool(there: Engine, api: httpx.AsyncClient, telling: Telling) -> str:
    taken = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()
    assert await asyncio.to_thread(telling.reached.wait, 60)
    return str(taken["investigation_id"])


def shown(body: dict[str, Any]) -> set[str]:
    return {one["id"] for one in body["results"]["evidence"]}


async def test_evidence_grows_while_the_model_asks(there: Engine):
    telling = prepare(there)
    async with serving(there.settings(), there.place.api_key) as api:
        id_ = await at_its_third_tool(there, api, telling)
        now = (await api.get(f"{INVESTIGATE}/{id_}")).json()
        listed = (await api.get(INVESTIGATE)).json()["investigations"]
        telling.go_on.set()
        later = await ended(api, id_, within=60)

    assert (now["status"], now["engine"], now["degraded_reason"]) == (
        "running",
        "triage",
        "model-still-running",
    )
    assert set(ASKED.values()) <= shown(now)
    used = now["metadata"]["model"]
    assert [one["tool"] for one in used["tools"]] == ["get_causes"] * 2
    assert used["requests"] >= 2
    assert now["metadata"]["tokens_used"] == used["prompt_tokens"] + used["completion_tokens"] > 0
    assert listed[0]["investigation_id"] == id_
    assert later["engine"] == "holmesgpt"
    assert later["metadata"]["tokens_used"] > now["metadata"]["tokens_used"]


@pytest.mark.parametrize(
    "course", [b"of another release", bytes(PACKED_AT_MOST + 1)], ids=["unreadable", "too much for a look"]
)
async def test_what_cannot_be_told_leaves_triages_result(there: Engine, course: bytes):
    telling = prepare(there)
    database = Database(there.settings(), application=SCHEMA)
    try:
        async with serving(there.settings(), there.place.api_key) as api:
            id_ = await at_its_third_tool(there, api, telling)
            assert await PostgresUnderway(database).so_far(id_) is not None
            async with database.begin() as conn:
                await conn.execute(
                    text("UPDATE step SET course = :course WHERE investigation_id = :id"),
                    {"course": course, "id": id_},
                )
            answered = await api.get(f"{INVESTIGATE}/{id_}")
            telling.go_on.set()
            later = await ended(api, id_, within=60)
    finally:
        telling.go_on.set()
        await database.close()

    assert answered.status_code == 200
    assert answered.json()["results"]["cause"] is not None
    assert not set(ASKED.values()) & shown(answered.json())
    assert later["engine"] == "holmesgpt"


async def test_of_what_was_never_begun_nothing_is_known(there: Engine):
    database = Database(there.settings(), application=SCHEMA)
    try:
        assert await PostgresUnderway(database).so_far("inv-0") is None
    finally:
        await database.close()
