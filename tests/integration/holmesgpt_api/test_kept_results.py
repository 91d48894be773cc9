"""The same question is worked on once: while it runs it is shared, and afterwards a model's verdict is given again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.context_api import FakeContextApi
from tests.integration.holmesgpt_api.test_events import followed, names
from tests.support.holmesgpt import Place, ended, serving, working
from tests.support.investigations import cause, evidence, found
from tests.support.scripted_engine import interpreter

pytestmark = pytest.mark.requirement("HAPI-141", "HAPI-145")

INVESTIGATE = "/api/v1/investigate"
ALERT = {"alert_name": "concludes", "namespace": "shop", "labels": {"pod": "checkout-1"}}
NETWORKS = {"127.0.0.1/32": {"principal": "team", "roles": ["api_user"], "namespaces": ["*"]}}


async def test_the_same_question_at_once_is_one_run_for_whoever_may_read_the_same(
    here: Place, context: FakeContextApi
):
    settings = here.settings(trusted_networks=NETWORKS)
    async with (
        serving(settings, here.api_key) as api,
        httpx.AsyncClient(transport=api._transport, base_url="http://127.0.0.1", timeout=60) as team,
    ):
        # Nobody works yet, so whoever asks meanwhile asks at once; who waits for an answer does so until its deadline.
        patience = {"X-Request-Deadline": "4"}
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(one.post(f"{INVESTIGATE}{way}", json=question, headers=patience))
                for number in range(10)
                for one in (api, team)
                for way in ("", "/async")
                for question in [{**ALERT, "request_id": f"r{number}"}]
            ]
            other = group.create_task(api.post(f"{INVESTIGATE}/async", json={**ALERT, "priority": "low"}))
            keys = {"Idempotency-Key": "k"}
            keyed = group.create_task(api.post(f"{INVESTIGATE}/async", json=ALERT, headers=keys))
        ids = {task.result().json()["investigation_id"] for task in asked}
        apart = {task.result().json()["investigation_id"] for task in (other, keyed)}
        async with working(settings):
            bodies = [await ended(one, id_) for id_ in ids for one in (api, team)]
            bodies += [await ended(api, id_) for id_ in apart]
        later = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()

    assert len(ids) == 1
    assert {task.result().status_code for task in asked} == {200, 202}
    assert {body["status"] for body in bodies} == {"completed"}
    assert len(apart | ids | {later["investigation_id"]}) == 4
    assert len(context.asked("/api/v1/context/causes")) == 3


def with_engine(here: Place, folder: Path, **others: Any) -> Any:
    """A model that concludes at once, for alerts that are called `concludes`."""
    return here.settings(
        llm_model="scripted",
        llm_provider="local_llm",
        llm_base_url="http://127.0.0.1:9",
        engine_python=str(interpreter(folder, "ready")),
        max_running=2,
        **others,
    )


async def asked(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    taken = (await api.post(f"{INVESTIGATE}/async", json={**ALERT, **fields})).json()
    return await ended(api, taken["investigation_id"])


async def test_a_models_verdict_answers_the_same_question_again_while_the_evidence_is_the_same(
    here: Place, context: FakeContextApi, tmp_path: Path
):
    settings = with_engine(here, tmp_path)
    async with working(settings) as metrics, serving(settings, here.api_key) as api:
        first = await asked(api)
        again = await asked(api, request_id="another")
        third = await asked(api)
        other = await asked(api, annotations={"summary": "another question"})
        changed = evidence("e1").model_copy(update={"content_hash": "f" * 64})
        context.causes = found(cause(), evidence=[changed])
        moved = await asked(api)
        told = await followed(api, again["investigation_id"])
        replayed = await ended(
            api,
            (await api.post(f"{INVESTIGATE}/{again['investigation_id']}/replay")).json()["investigation_id"],
        )
        counted = metrics.exposition().decode()

    assert {one["engine"] for one in (first, again, third, other, moved)} == {"holmesgpt"}
    assert again["metadata"]["cached_from"] == third["metadata"]["cached_from"] == first["investigation_id"]
    assert (again["summary"], again["results"]) == (first["summary"], first["results"])
    assert (first["metadata"]["tokens_used"], again["metadata"]["tokens_used"]) == (15, 0)
    assert [one["metadata"].get("cached_from") for one in (first, other, moved, replayed)] == [None] * 4
    assert names(told)[-2:] == ["interim", "completed"]
    assert 'holmesgpt_api_llm_runs_total{outcome="concluded"} 4.0' in counted
    assert 'holmesgpt_api_cache_hits_total{cache_type="result"} 2.0' in counted
    assert 'holmesgpt_api_cache_misses_total{cache_type="result"} 3.0' in counted


@pytest.mark.parametrize("ttl", [0, 0.001])
async def test_what_is_too_old_is_asked_anew(here: Place, tmp_path: Path, ttl: float):
    settings = with_engine(here, tmp_path, result_cache_ttl=ttl)
    async with working(settings), serving(settings, here.api_key) as api:
        bodies = [await asked(api) for _ in range(2)]

    assert [body["metadata"].get("cached_from") for body in bodies] == [None, None]


async def test_triages_verdict_in_a_models_place_is_not_kept(here: Place, tmp_path: Path):
    settings = with_engine(here, tmp_path)
    async with working(settings) as metrics, serving(settings, here.api_key) as api:
        bodies = [await asked(api, alert_name="fails") for _ in range(2)]
        counted = metrics.exposition().decode()

    assert [body["degraded_reason"] for body in bodies] == ["model-unauthorized"] * 2
    assert 'holmesgpt_api_llm_runs_total{outcome="model-unauthorized"} 2.0' in counted
