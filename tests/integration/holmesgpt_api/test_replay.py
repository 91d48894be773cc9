"""An ended investigation is concluded again from its own evidence, and the two verdicts are compared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from libs.contracts.causes import CausesAnswer
from libs.contracts.replay import VerdictDifference
from services.holmesgpt_api.engine import prompt
from services.holmesgpt_api.engine.wordings import PROMPT_VERSION, WORDINGS
from tests.fakes.context_api import FakeContextApi
from tests.fakes.model import telemetry
from tests.integration.holmesgpt_api.test_events import followed, names
from tests.support.engine import Engine
from tests.support.holmesgpt import Place, ended, serving, working
from tests.support.investigations import DATABASE, cause, evidence, found

pytestmark = pytest.mark.requirement("HAPI-161", "HAPI-005")

INVESTIGATE = "/api/v1/investigate"
CITED = "ev-00000000000000e1"
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


async def test_a_replay_that_is_sent_again_with_its_key_is_made_once(here: Place):
    settings, key = here.settings(), {"Idempotency-Key": "again"}
    bodies: list[dict[str, str] | None] = [{}, {}, {}, None]
    async with working(settings), serving(settings, here.api_key) as api:
        first = (await api.post(INVESTIGATE, json=ALERT)).json()["investigation_id"]
        second = (await api.post(INVESTIGATE, json={**ALERT, "priority": "low"})).json()["investigation_id"]
        path = f"{INVESTIGATE}/{first}/replay"
        asked = [api.post(path, json=body, headers=key) for body in bodies]
        at_once = await asyncio.gather(*asked)
        taken = at_once[0].json()["investigation_id"]
        await ended(api, taken)
        late = await api.post(path, json={}, headers=key)
        refused = [
            await api.post(path, json={"engine": "triage"}, headers=key),
            await api.post(f"{INVESTIGATE}/{second}/replay", json={}, headers=key),
            await api.post(f"{INVESTIGATE}/async", json=ALERT, headers=key),
        ]
        others = [
            await api.post(path, json={}),
            await api.post(path, json={}, headers={"Idempotency-Key": "b"}),
        ]
        listed = (await api.get(INVESTIGATE)).json()["items"]

    assert {one.status_code for one in (*at_once, late, *others)} == {202}
    assert {one.json()["investigation_id"] for one in (*at_once, late)} == {taken}
    assert {(one.status_code, one.json()["code"]) for one in refused} == {(422, "idempotency-key-reused")}
    apart = {taken, first, second, *(one.json()["investigation_id"] for one in others)}
    assert len(apart) == 5
    assert {one["investigation_id"] for one in listed} == apart


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


async def replayed_from_all_that_was_shown(there: Engine) -> None:
    """As above: a replay is given what the first model saw and did not cite, whether that one concluded or not."""
    unused = evidence("ev-00000000000000f7", summary="the model has seen this and cites it nowhere")
    about = found(cause(evidence_ids=[CITED]), evidence=[evidence(CITED), unused])
    async with serving(there.settings(), there.place.api_key) as api:
        for mood in ("concludes", "invents"):
            there.model.mood, there.context.about = mood, _first_triage_then(about)
            first = await _ended(api, (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json())
            there.model.mood = "concludes"
            there.model.requests.clear()
            path = f"{INVESTIGATE}/{first['investigation_id']}/replay"
            again = await _ended(api, (await api.post(path, json={"engine": "holmesgpt"})).json())

            assert first["engine"] == ("holmesgpt" if mood == "concludes" else "triage")
            assert unused.id not in [one["id"] for one in first["results"]["evidence"]]
            told = telemetry(there.model.requests[0]["messages"][1]["content"])
            assert unused.id in [one["id"] for one in told["evidence"]]
            assert again["engine"] == "holmesgpt"
            there.model.requests.clear()
            path = f"{INVESTIGATE}/{again['investigation_id']}/replay"
            third = await _ended(api, (await api.post(path, json={"engine": "holmesgpt"})).json())
            told = telemetry(there.model.requests[0]["messages"][1]["content"])
            assert unused.id in [one["id"] for one in told["evidence"]]
            assert third["metadata"]["replay_of"] == again["investigation_id"]


def _first_triage_then(answer: CausesAnswer) -> Callable[[str], CausesAnswer]:
    """Triage sees the cited fact alone; whoever asks after it, all."""
    asked: list[str] = []

    def about(path: str) -> CausesAnswer:
        asked.append(path)
        if len(asked) > 1:
            return answer
        return answer.model_copy(update={"evidence": [one for one in answer.evidence if one.id == CITED]})

    return about


async def replayed_in_other_words(there: Engine) -> None:
    """As above: the model is asked under the version that the replay names, in every question of its run."""
    async with serving(there.settings(), there.place.api_key) as api:
        first = await _ended(api, (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json())
        path = f"{INVESTIGATE}/{first['investigation_id']}/replay"
        listed = (await api.get("/api/v1/models")).json()["prompts"]
        unknown = await api.post(path, json={"prompt_version": "2025-1"})
        told, heard = {}, {}
        for version in WORDINGS:
            there.model.requests.clear()
            told[version] = await _ended(api, (await api.post(path, json={"prompt_version": version})).json())
            heard[version] = [one["messages"][0]["content"] for one in there.model.requests]

    assert [one["version"] for one in listed] == list(WORDINGS)
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown-here")
    assert all(version in unknown.json()["detail"] for version in WORDINGS)
    assert first["metadata"]["model"]["prompt"] == PROMPT_VERSION
    for version in WORDINGS:
        assert heard[version] == [prompt.system(version)] * 2 + [prompt.formatting(version)]
        assert told[version]["engine"] == "holmesgpt"
        assert told[version]["metadata"]["replay"]["prompt"] == version
        assert told[version]["metadata"]["model"]["prompt"] == version
    assert len({words[0] for words in heard.values()}) == len(WORDINGS)


async def _ended(api: Any, taken: dict[str, Any]) -> dict[str, Any]:
    return await ended(api, taken["investigation_id"], within=90)
