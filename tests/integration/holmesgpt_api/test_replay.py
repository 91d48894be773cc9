"""An ended investigation is concluded again from its own evidence, and the two verdicts are compared."""

from __future__ import annotations

from typing import Any

import pytest

from libs.contracts.replay import VerdictDifference
from tests.fakes.context_api import FakeContextApi
from tests.integration.holmesgpt_api.test_events import followed, names
from tests.support.engine import Engine
from tests.support.holmesgpt import Place, ended, serving, working
from tests.support.investigations import DATABASE, cause, found

pytestmark = pytest.mark.requirement("HAPI-161", "HAPI-005")

INVESTIGATE = "/api/v1/investigate"
ALERT = {"alert_name": "KubePodCrashLooping", "namespace": "shop", "labels": {"pod": "checkout-1"}}


async def test_triages_replay_asks_nobody_and_differs_in_nothing(here: Place, context: FakeContextApi):
    settings = here.settings()
    async with working(settings), serving(settings, here.api_key) as api:
        first = (await api.post(INVESTIGATE, json=ALERT)).json()
        asked = len(context.calls)
        # The cluster has changed since: a replay does not look at it.
        context.causes = found(cause(DATABASE, reason="OutOfMemory"))
        taken = await api.post(f"{INVESTIGATE}/{first['investigation_id']}/replay", json={})
        again = await ended(api, taken.json()["investigation_id"])
        told = await followed(api, again["investigation_id"])

    assert taken.status_code == 202
    assert again["investigation_id"] != first["investigation_id"]
    assert again["metadata"]["replay_of"] == first["investigation_id"]
    assert again["results"] == first["results"]
    assert VerdictDifference.model_validate(again["metadata"]["diff"]).same
    assert len(context.calls) == asked
    assert names(told) == ["started", "running", "degraded", "completed"]


async def test_what_runs_or_failed_or_is_not_configured_is_refused(here: Place, context: FakeContextApi):
    settings = here.settings()
    async with serving(settings, here.api_key) as api:
        id_ = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()["investigation_id"]
        early = await api.post(f"{INVESTIGATE}/{id_}/replay", json={})
        unknown = await api.post(f"{INVESTIGATE}/{id_}/replay", json={"engine": "holmesgpt"})
        engine = await api.post(f"{INVESTIGATE}/{id_}/replay", json={"engine": "oracle"})
        missing = await api.post(f"{INVESTIGATE}/inv-unknown/replay", json={})
        context.mood = "refuses"
        async with working(settings):
            await ended(api, id_)
        failed = await api.post(f"{INVESTIGATE}/{id_}/replay")

    assert (early.status_code, early.json()["code"]) == (409, "investigation-not-ended")
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown-here")
    assert engine.status_code == 422
    assert missing.status_code == 404
    assert (failed.status_code, failed.json()["code"]) == (409, "nothing-to-replay")


async def replayed_by_a_model(there: Engine) -> None:
    """Called by the tests with a real engine, which they share."""
    async with serving(there.settings(), there.place.api_key) as api:
        first = await _ended(api, (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json())
        calls = len(there.context.calls)
        path = f"{INVESTIGATE}/{first['investigation_id']}/replay"
        wrong = await api.post(path, json={"model": "another"})
        again = await _ended(api, (await api.post(path, json={"model": "primary"})).json())
        plain = await _ended(api, (await api.post(path, json={"engine": "triage"})).json())

    assert wrong.status_code == 422
    assert (first["engine"], again["engine"], plain["engine"]) == ("holmesgpt", "holmesgpt", "triage")
    assert again["metadata"]["replay"]["model"] == "primary"
    assert again["metadata"]["diff"]["cause"] is None
    assert [(one["tool"], one["ok"]) for one in again["metadata"]["model"]["tools"]] == [
        ("get_causes", False)
    ]
    assert len(there.context.calls) == calls
    assert plain["degraded_reason"] == "model-not-asked"
    assert plain["metadata"]["diff"]["engine"] == {"before": "holmesgpt", "after": "triage"}


async def _ended(api: Any, taken: dict[str, Any]) -> dict[str, Any]:
    return await ended(api, taken["investigation_id"], within=90)
