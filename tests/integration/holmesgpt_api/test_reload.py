"""A reload while HolmesGPT runs: the next investigation asks the new model, found out about by a probe of its own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import context_api
from tests.fakes.model import FakeModel, model
from tests.support.engine import engine
from tests.support.holmesgpt import ended, place, serving
from tests.support.investigations import cause, evidence, found
from tests.support.postgres import MakeDatabase

pytestmark = [
    pytest.mark.needs("holmes-engine"),
    pytest.mark.requirement("HAPI-024", "HAPI-149", "HAPI-160", "HAPI-161"),
    pytest.mark.xdist_group("holmes-engine"),
]

ID = "ev-00000000000000e1"
ALERT = {"alert_name": "A", "namespace": "shop", "labels": {"namespace": "shop", "pod": "checkout-1"}}


def write(file: Path, name: str, key: str, of: FakeModel) -> None:
    keys = file.with_name(f"{name}.key")
    keys.write_text(key)
    entry = {"name": name, "provider": "local_llm", "model": "scripted", "base_url": of.url}
    limits = {"context_tokens": 32_000, "max_tokens": 2_000, "api_key_file": str(keys)}
    file.write_text(json.dumps({"llm": {"primary": entry | limits}}))


async def investigated(api: httpx.AsyncClient) -> dict[str, Any]:
    taken = (await api.post("/api/v1/investigate/async", json=ALERT)).json()
    return await ended(api, taken["investigation_id"], within=90)


async def until(api: httpx.AsyncClient, path: str, fine: Any) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            body: dict[str, Any] = (await api.get(path)).json()
            if fine(body):
                return body
            await asyncio.sleep(0.2)


async def test_the_next_run_after_a_reload_asks_the_new_model(fresh_database: MakeDatabase, tmp_path: Path):
    answer = found(cause(evidence_ids=[ID]), evidence=[evidence(ID)])
    file = tmp_path / "settings.yaml"
    admin = {"127.0.0.0/8": {"principal": "admin", "roles": ["admin"]}}
    with context_api(causes=answer) as context, model() as first, model() as second:
        write(file, "old-house", "sk-old", first)
        here = place(fresh_database(SCHEMA, migrated=True), context.url, tmp_path)
        with_file: dict[str, Any] = {
            "llm_model": None,
            "llm_tools": None,
            "llm_probe_interval": 0.2,
            "config_file": str(file),
        }
        with engine(here, context, first, **with_file) as there:
            async with serving(there.settings(trusted_networks=admin)) as api:
                before = await investigated(api)
                write(file, "new-house", "sk-new", second)
                reloaded = await api.post("/api/v1/config/reload")
                await until(
                    api,
                    "/api/v1/config",
                    lambda body: [one["version"] for one in body["processes"]] == [1, 1],
                )
                health = await until(
                    api,
                    "/api/v1/health/llm",
                    lambda body: [one["tools"] for one in body["models"]] == [True],
                )
                after = await investigated(api)

    assert reloaded.json()["changed"] == ["llm"]
    assert [(one["engine"], one["metadata"]["model"]["answered_by"]) for one in (before, after)] == [
        ("holmesgpt", ["old-house"] * 3),
        ("holmesgpt", ["new-house"] * 3),
    ]
    assert (set(first.keys), set(second.keys)) == ({"Bearer sk-old"}, {"Bearer sk-new"})
    assert (health["status"], health["models"][0]["name"]) == ("healthy", "new-house")
    assert health["models"][0]["available"] is True


async def test_the_first_model_that_a_reload_brings_is_asked_without_a_restart(
    fresh_database: MakeDatabase, tmp_path: Path
):
    answer = found(cause(evidence_ids=[ID]), evidence=[evidence(ID)])
    file = tmp_path / "settings.yaml"
    file.write_text("{}")
    admin = {"127.0.0.0/8": {"principal": "admin", "roles": ["admin"]}}
    with context_api(causes=answer) as context, model() as fake:
        here = place(fresh_database(SCHEMA, migrated=True), context.url, tmp_path)
        with_file: dict[str, Any] = {"llm_model": None, "config_file": str(file)}
        with engine(here, context, fake, **with_file) as there:
            async with serving(there.settings(trusted_networks=admin)) as api:
                before = await investigated(api)
                none = there.processes()
                write(file, "new-house", "sk-new", fake)
                reloaded = await api.post("/api/v1/config/reload")
                await until(api, "/api/v1/health/llm", lambda body: body["status"] == "healthy")
                after = await investigated(api)
            still = there.worker.poll() is None

    assert (before["engine"], before["degraded_reason"]) == ("triage", "no-model-configured")
    assert none == []
    assert (reloaded.json()["changed"], reloaded.json()["needs_restart"]) == (["llm"], [])
    assert (after["engine"], after["metadata"]["model"]["answered_by"]) == ("holmesgpt", ["new-house"] * 3)
    assert still
