"""A list is filtered, read page by page, and found by an index whatever is asked for."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from libs.storage import Database
from services.holmesgpt_api.adapters import ledger_sql
from services.holmesgpt_api.wiring import SCHEMA
from tests.support.holmesgpt import Place, serving, working

pytestmark = pytest.mark.requirement("HAPI-041", "HAPI-005")

INVESTIGATE = "/api/v1/investigate"
LABELS = {"pod": "checkout-1", "namespace": "shop"}


async def names(api: httpx.AsyncClient, **asked: Any) -> list[str]:
    """Over all pages of two."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        answer = await api.get(INVESTIGATE, params={"limit": 2, **asked, **more})
        assert answer.status_code == 200, answer.text
        found += [one["alert_name"] for one in answer.json()["items"]]
        cursor = answer.json()["next_cursor"]
    return found


async def test_each_filter_finds_what_it_names_over_all_pages(here: Place):
    settings = here.settings()
    async with serving(settings, here.api_key) as api:
        async with working(settings):
            for name in ("A", "B", "A"):
                await api.post(
                    INVESTIGATE, json={"alert_name": name, "labels": LABELS, "priority": "critical"}
                )
        waiting = [
            (await api.post(f"{INVESTIGATE}/async", json={"alert_name": name, "namespace": "data"})).json()
            for name in ("C", "D", "E")
        ]
        await api.post(f"{INVESTIGATE}/{waiting[0]['investigation_id']}/cancel")
        rows = (await api.get(INVESTIGATE)).json()["items"]
        times = {one["alert_name"]: one["timestamp"] for one in rows}
        found = {
            "status": await names(api, status="completed"),
            "cancelled": await names(api, status="cancelled"),
            "alert_name": await names(api, alert_name="A"),
            "namespace": await names(api, namespace="data"),
            "priority": await names(api, priority="critical"),
            "level": await names(api, priority="P0", alert_name="B"),
            "engine": await names(api, engine="triage"),
            "other": await names(api, engine="holmesgpt"),
            "since": await names(api, since=times["C"]),
            "until": await names(api, until=times["C"]),
            "span": await names(api, since=times["C"], until=times["E"], status="started"),
        }

    assert found == {
        "status": ["A", "B", "A"],
        "cancelled": ["C"],
        "alert_name": ["A", "A"],
        "namespace": ["E", "D", "C"],
        "priority": ["A", "B", "A"],
        "level": ["B"],
        "engine": ["A", "B", "A"],
        "other": [],
        "since": ["E", "D", "C"],
        "until": ["A", "B", "A"],
        "span": ["D"],
    }


async def test_a_cursor_is_for_its_own_filter_and_nonsense_is_refused(here: Place):
    async with serving(here.settings(), here.api_key) as api:
        for _ in range(3):
            await api.post(f"{INVESTIGATE}/async", json={"alert_name": "A", "labels": LABELS})
            await api.post(f"{INVESTIGATE}/async", json={"alert_name": "B", "labels": LABELS})
        first = (await api.get(INVESTIGATE, params={"limit": 1, "alert_name": "A"})).json()
        other = await api.get(INVESTIGATE, params={"cursor": first["next_cursor"], "alert_name": "B"})
        none = await api.get(INVESTIGATE, params={"cursor": first["next_cursor"]})
        wrong = [
            await api.get(INVESTIGATE, params=params)
            for params in (
                {"status": "over"},
                {"priority": "P9"},
                {"engine": "oracle"},
                {"since": "yesterday"},
                {"alert_name": "a\0b"},
                {"alert_name": ""},
            )
        ]

    assert (other.status_code, other.json()["code"]) == (422, "bad-cursor")
    assert none.status_code == 422
    assert {answer.status_code for answer in wrong} <= {400, 422}


@pytest.mark.parametrize(
    "asked",
    [
        {"status": "failed"},
        {"alert_name": "rare"},
        {"namespace": "rare"},
        {"priority": "P0"},
        {"engine": "rare"},
    ],
)
async def test_a_rare_value_among_many_rows_is_found_without_reading_them_all(
    here: Place, asked: dict[str, str]
):
    async with serving(here.settings(), here.api_key):
        database = Database(here.settings(), application=SCHEMA)
        async with database.begin() as conn:
            await conn.execute(text(_MANY))
            await conn.execute(text("ANALYZE investigation"))
            values = {"tenant": "default", "limit": 20, **asked}
            statement = text(f"EXPLAIN {ledger_sql.page(values.keys()).text}")
            plan = "\n".join((await conn.execute(statement, values)).scalars())
        await database.close()

    assert f"investigation_by_{next(iter(asked)).removesuffix('_name')}" in plan


_MANY = """
    INSERT INTO investigation (id, tenant, asker, reads, digest, request, namespace, priority, seen, created_at,
                               deadline_at, status)
    SELECT 'inv-' || n, 'default', 'ana', '{*}', '', '{"alert_name": "A"}', 'shop', 'P2', '{shop}',
           now() - n * interval '1 second', now() + interval '1 hour', 'running'
      FROM generate_series(1, 5000) AS n
"""
