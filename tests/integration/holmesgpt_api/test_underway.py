"""While a model is asked, a look shows what it has seen until now; the real HolmesGPT, a scripted model, a real database."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from libs.redaction import Redactor
from libs.storage import Database
from services.holmesgpt_api.adapters import underway
from services.holmesgpt_api.adapters.run_course import COURSE_AT_MOST, Course, so_far
from services.holmesgpt_api.adapters.underway import PACKED_AT_MOST, PostgresUnderway
from services.holmesgpt_api.domain.so_far import SoFar
from services.holmesgpt_api.engine.messages import ToolCalled
from services.holmesgpt_api.engine.packing import pack
from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import context_api
from tests.fakes.model import model
from tests.integration.holmesgpt_api.test_resume import ALERT, ASKED, INVESTIGATE, Telling, prepare
from tests.support.engine import Engine, engine
from tests.support.holmesgpt import ended, place, serving
from tests.support.investigations import evidence
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
        listed = (await api.get(INVESTIGATE)).json()["items"]
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


def much(size: int) -> bytes:
    """A course as it is stored, whose evidence is so many bytes that cannot be packed."""
    course = Course({"": "m"}, 0.0, Redactor(bytes(16)))
    fact = evidence("ev-00000000000000ff", summary=os.urandom(size // 2).hex())
    course.called(ToolCalled(tool="get_causes", arguments={}, ok=True, evidence=[fact]))
    return course.packed()


@pytest.mark.parametrize(
    ("course", "is_told"),
    [
        (b"of another release", False),
        (much(PACKED_AT_MOST // 2), True),
        (much(PACKED_AT_MOST), False),
        (pack({"evidence": "x" * COURSE_AT_MOST}, at_most=PACKED_AT_MOST), False),
        (pack([], at_most=PACKED_AT_MOST), False),
    ],
    ids=["unreadable", "much", "too much", "unfolds to too much", "no course"],
)
async def test_what_cannot_be_told_leaves_triages_result(there: Engine, course: bytes, is_told: bool):
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
            told = await PostgresUnderway(database).so_far(id_)
            answered = await api.get(f"{INVESTIGATE}/{id_}")
            telling.go_on.set()
            later = await ended(api, id_, within=60)
    finally:
        telling.go_on.set()
        await database.close()

    assert (told is not None) == is_told
    assert answered.status_code == 200
    assert answered.json()["results"]["cause"] is not None
    assert ("ev-00000000000000ff" in shown(answered.json())) == is_told
    assert later["engine"] == "holmesgpt"


async def test_a_step_is_read_once_however_many_ask(there: Engine, monkeypatch: pytest.MonkeyPatch):
    read: list[int] = []

    def counted(number: int, packed: bytes) -> SoFar:
        read.append(number)
        return so_far(number, packed)

    monkeypatch.setattr(underway, "so_far", counted)
    telling = prepare(there)
    async with serving(there.settings(), there.place.api_key) as api:
        id_ = await at_its_third_tool(there, api, telling)
        bodies = await asyncio.gather(*(api.get(f"{INVESTIGATE}/{id_}") for _ in range(20)))
        telling.go_on.set()
        await ended(api, id_, within=60)

    assert len({tuple(sorted(shown(one.json()))) for one in bodies}) == 1
    assert len(read) == len(set(read))


async def test_of_what_was_never_begun_nothing_is_known(there: Engine):
    database = Database(there.settings(), application=SCHEMA)
    try:
        assert await PostgresUnderway(database).so_far("inv-0") is None
    finally:
        await database.close()
