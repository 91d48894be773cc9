"""Feedback is kept once for each caller, counted, and told with the investigation."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import text

from libs.storage import Database
from services.holmesgpt_api.wiring import SCHEMA
from tests.support.holmesgpt import Place, ended, serving, working

pytestmark = pytest.mark.requirement("HAPI-172", "HAPI-174", "HAPI-043")

INVESTIGATE = "/api/v1/investigate"
ALERT = {"alert_name": "KubePodCrashLooping", "namespace": "shop", "labels": {"pod": "checkout-1"}}
NETWORKS = {"127.0.0.1/32": {"principal": "team", "roles": ["api_user"], "namespaces": ["*"]}}
OBJECT = {"kind": "ConfigMap", "namespace": "data", "name": "settings"}


async def test_each_caller_counts_once_and_the_last_word_stands(here: Place):
    settings = here.settings(trusted_networks=NETWORKS)
    async with working(settings), serving(settings, here.api_key) as api:
        id_ = (await api.post(INVESTIGATE, json=ALERT)).json()["investigation_id"]
        path = f"{INVESTIGATE}/{id_}/feedback"
        first = await api.post(path, json={"helpful": True, "correct_cause": True})
        second = await api.post(path, json={"helpful": False, "correct_cause": False, "actual_cause": OBJECT})
        async with httpx.AsyncClient(transport=api._transport, base_url="http://127.0.0.1") as team:
            other = await team.post(path, json={"helpful": True, "comment": "found it at once"})
        body = (await api.get(f"{INVESTIGATE}/{id_}")).json()
        metrics = api._transport.app.state.metrics.exposition().decode()  # type: ignore[attr-defined]
        kept = await rows(here)

    assert (first.json()["replaced"], second.json()["replaced"], other.json()["replaced"]) == (
        False,
        True,
        False,
    )
    assert body["metadata"]["feedback"] == other.json()["feedback"]
    assert body["metadata"]["feedback"] == {
        "given": 2,
        "helpful": 1,
        "not_helpful": 1,
        "correct_cause": 0,
        "wrong_cause": 1,
    }
    assert sorted((one[0], one[1]["name"] if one[1] else None) for one in kept) == [
        (False, "settings"),
        (True, None),
    ]
    assert 'holmesgpt_api_feedback_total{correct_cause="no",helpful="no"} 1.0' in metrics
    assert 'holmesgpt_api_feedback_total{correct_cause="unsaid",helpful="yes"} 1.0' in metrics


async def rows(here: Place) -> list[tuple[bool, dict[str, str] | None]]:
    database = Database(here.settings(), application=SCHEMA)
    async with database.begin() as conn:
        found = await conn.execute(text("SELECT helpful, actual_cause FROM investigation_feedback"))
        kept = [(one[0], one[1]) for one in found]
    await database.close()
    return kept


async def test_there_is_nothing_to_say_of_what_runs_or_cannot_be_seen(here: Place):
    networks = {"127.0.0.1/32": {"principal": "team", "roles": ["api_user"], "namespaces": ["other"]}}
    settings = here.settings(trusted_networks=networks)
    async with serving(settings, here.api_key) as api:
        id_ = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()["investigation_id"]
        early = await api.post(f"{INVESTIGATE}/{id_}/feedback", json={"helpful": True})
        async with working(settings):
            await ended(api, id_)
        async with httpx.AsyncClient(transport=api._transport, base_url="http://127.0.0.1") as team:
            foreign = await team.post(f"{INVESTIGATE}/{id_}/feedback", json={"helpful": True})
        empty = await api.post(f"{INVESTIGATE}/{id_}/feedback", json={})

    assert (early.status_code, early.json()["code"]) == (409, "investigation-not-ended")
    assert foreign.status_code == 404
    assert empty.status_code == 422


async def test_it_is_forgotten_with_its_investigation(here: Place):
    settings = here.settings(investigation_retention=0.001)
    async with working(settings), serving(settings, here.api_key) as api:
        id_ = (await api.post(INVESTIGATE, json=ALERT)).json()["investigation_id"]
        await api.post(f"{INVESTIGATE}/{id_}/feedback", json={"helpful": True})
        database = Database(settings, application=SCHEMA)
        async with database.begin() as conn:
            await conn.execute(text("DELETE FROM investigation"))
            left = await conn.execute(
                text(
                    "SELECT (SELECT count(*) FROM investigation_feedback) + count(*) FROM investigation_event"
                )
            )
            assert left.scalar_one() == 0
        await database.close()
