"""Models, toolsets, configuration and health over HTTP: the shapes callers read, who may ask, and reloads everywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from libs.contracts.providers import ConfigAnswer, ModelsAnswer, ServiceStatus
from libs.storage import Database
from services.holmesgpt_api.adapters.gatherings import Gatherings
from services.holmesgpt_api.domain.engine_health import Report
from services.holmesgpt_api.domain.overview import Tally
from services.holmesgpt_api.steps import oversee
from services.holmesgpt_api.wiring import SCHEMA
from tests.support.holmesgpt import Place, serving, working

pytestmark = pytest.mark.requirement("HAPI-021", "HAPI-022", "HAPI-023")

KEY = "sk-not-for-anybodys-eyes"
GO = {"User-Agent": "Kubernaut-HolmesGPT-Client/1.0"}
MODELS = {
    "llm": {
        "primary": {"provider": "openai", "model": "gpt-4.1", "api_key_env": "SOME_KEY"},
        "fallback": {"provider": "anthropic", "model": "claude-sonnet-4", "tools": True},
    },
    "holmesgpt": {"enabled_toolsets": ["kubernetes", "prometheus", "internet"]},
}


@pytest.fixture(autouse=True)
def _promptly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oversee, "EVERY", 0.1)
    monkeypatch.setenv("SOME_KEY", KEY)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    write(path, MODELS)
    return path


def write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document))  # JSON is YAML


def networks(role: str) -> dict[str, Any]:
    return {"trusted_networks": {"127.0.0.0/8": {"principal": "somebody", "roles": [role]}}}


@pytest.fixture
async def database(here: Place) -> AsyncIterator[Database]:
    opened = Database(here.settings(), application="test", schema=SCHEMA)
    yield opened
    await opened.close()


def tally(name: str, **fields: Any) -> Tally:
    values: dict[str, Any] = {
        "name": name,
        "state": "ready",
        "tools": True,
        "word": None,
        "requests": 4,
        "answered": 4,
        "seconds": 0.5,
        "last_age": 1.0,
    }
    return Tally(**(values | fields))


async def worker_tells(database: Database, *tallies: Tally) -> Gatherings:
    worker = Gatherings(database, role="worker")
    await worker.present(0, "d", "", tallies)
    report = Report("openai/gpt-4.1", "ready", "", 2, 5)
    async with database.begin() as conn:
        await conn.execute(
            text(
                "INSERT INTO engine (worker, model, state, detail, running, max_running)"
                " VALUES ('w', :model, :state, '', :running, :places) ON CONFLICT DO NOTHING"
            ),
            {"model": report.model, "state": report.state, "running": 2, "places": 5},
        )
    return worker


async def until(api: httpx.AsyncClient, path: str, fine: Any) -> httpx.Response:
    async with asyncio.timeout(10):
        while True:
            answer = await api.get(path)
            if fine(answer.json()):
                return answer
            await asyncio.sleep(0.05)


async def test_models_are_an_array_for_the_go_application_and_an_object_for_others(here: Place, file: Path):
    async with serving(here.settings(config_file=str(file), llm_model=None), here.api_key) as api:
        bare = await api.get("/api/v1/models", headers=GO)
        whole = await api.get("/api/v1/models")

    assert [one["name"] for one in bare.json()] == ["primary", "fallback"]
    assert {"name", "provider", "description", "available"} <= set(bare.json()[0])
    assert ModelsAnswer.model_validate(whole.json()).models[0].provider == "openai"
    assert "User-Agent" in bare.headers["vary"]
    assert "User-Agent" in whole.headers["vary"]


@pytest.mark.requirement("HAPI-110", "HAPI-021")
async def test_config_has_the_documents_keys_and_no_secret(here: Place, file: Path):
    async with serving(here.settings(config_file=str(file), llm_model=None), here.api_key) as api:
        answer = await api.get("/api/v1/config")

    body = ConfigAnswer.model_validate(answer.json())
    assert (body.llm_provider, body.llm_model) == ("openai", "openai/gpt-4.1")
    assert body.available_toolsets == ["kubernetes", "prometheus"]
    assert (body.max_concurrent_investigations, body.source, body.version) == (10, "file", 0)
    assert "internet" in body.not_honoured["holmesgpt.enabled_toolsets"]
    assert KEY not in answer.text
    assert "api_key" not in answer.text
    assert [one.role for one in body.processes] == ["api"]


@pytest.mark.requirement("HAPI-068")
@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("viewer", {"models", "toolsets", "config", "status", "health/llm", "health/dependencies"}),
        ("api_user", {"models", "toolsets", "status", "health/llm", "health/dependencies"}),
        ("ingest", set()),
    ],
)
async def test_each_answer_is_for_those_who_may_see_it(here: Place, role: str, allowed: set[str]):
    paths = ("models", "toolsets", "config", "status", "health/llm", "health/dependencies")
    async with serving(here.settings(**networks(role))) as api:
        got = {path: (await api.get(f"/api/v1/{path}")).status_code for path in paths}
        posts = [
            (await api.post(f"/api/v1/{path}")).status_code
            for path in ("config/reload", "health/monitoring/start", "health/monitoring/stop")
        ]

    assert {path for path, status in got.items() if status == 200} == allowed
    assert set(got.values()) <= {200, 403}
    assert posts == [403, 403, 403]


async def test_without_a_credential_nothing_is_told(here: Place):
    async with serving(here.settings()) as api:
        for path in ("models", "toolsets", "config", "status", "health/llm", "health/dependencies"):
            assert (await api.get(f"/api/v1/{path}")).status_code == 401
        assert (await api.get("/status")).status_code == 401


@pytest.mark.requirement("HAPI-024", "HAPI-149", "HAPI-161")
async def test_a_reload_is_taken_up_by_all_processes_and_its_version_is_told(here: Place, file: Path):
    settings = here.settings(config_file=str(file), llm_model=None, **networks("admin"))
    other = here.settings(config_file=str(file), llm_model=None, **networks("admin"))
    async with serving(settings) as api, serving(other) as beside:
        changed = {**MODELS, "budgets": {"run_tokens": 5}}
        changed["llm"] = {"primary": {"provider": "openai", "model": "gpt-5", "name": "newest"}}
        write(file, changed)
        answer = await api.post("/api/v1/config/reload")
        there = await until(beside, "/api/v1/config", lambda body: body["version"] == 1)
        told = await until(
            api, "/api/v1/config", lambda body: [one["version"] for one in body["processes"]] == [1, 1]
        )

    assert (answer.status_code, answer.json()["version"], answer.json()["changed"]) == (
        200,
        1,
        ["llm", "budgets"],
    )
    for body in (there.json(), told.json()):
        assert [one["name"] for one in body["models"]] == ["newest"]
        assert body["budgets"]["run"]["tokens"] == 5
        assert body["digest"] == answer.json()["digest"]


@pytest.mark.requirement("HAPI-147", "HAPI-152")
async def test_a_bad_file_is_refused_and_changes_nothing(here: Place, file: Path):
    settings = here.settings(config_file=str(file), llm_model=None, **networks("admin"))
    async with serving(settings) as api:
        before = (await api.get("/api/v1/config")).json()
        write(file, {"llm": {"primary": {"provider": "openai", "model": "x", "api_key": "sk-plain-text"}}})
        refused = await api.post("/api/v1/config/reload")
        after = (await api.get("/api/v1/config")).json()

    assert (refused.status_code, refused.json()["code"]) == (422, "configuration-refused")
    assert "llm.primary.api_key: a secret in plain text" in refused.json()["detail"]
    assert "sk-plain-text" not in refused.text
    assert (after["version"], after["models"]) == (0, before["models"])


@pytest.mark.requirement("HAPI-024")
async def test_a_worker_without_models_takes_up_a_reload_too(here: Place, tmp_path: Path):
    file = tmp_path / "empty.yaml"
    write(file, {"budgets": {"run_tokens": 1}})
    settings = here.settings(config_file=str(file), llm_model=None, **networks("admin"))
    async with serving(settings) as api, working(settings):
        write(file, {"budgets": {"run_tokens": 2}})
        await api.post("/api/v1/config/reload")
        told = await until(
            api,
            "/api/v1/config",
            lambda body: (
                [(one["role"], one["version"]) for one in body["processes"]] == [("api", 1), ("worker", 1)]
            ),
        )

    assert all(one["fault"] == "" for one in told.json()["processes"])


@pytest.mark.requirement("HAPI-020", "HAPI-BR-HEALTH-020", "HAPI-BR-HEALTH-024", "HAPI-BR-HEALTH-025")
async def test_health_of_the_models_is_what_workers_tell_and_503_when_triage_stands_in(
    here: Place, file: Path, database: Database
):
    settings = here.settings(config_file=str(file), llm_model=None)
    paths = ("/api/v1/health/llm", "/api/v1/health/llm/liveness", "/api/v1/health/llm/readiness")
    async with serving(settings, here.api_key) as api:
        silent = [(await api.get(path)).status_code for path in paths]
        worker = await worker_tells(database, tally("primary"), tally("fallback", stood=3, fell=1))
        fine = await until(api, paths[0], lambda body: body["status"] == "healthy")
        well = [(await api.get(path)).status_code for path in paths]
        status = ServiceStatus.model_validate((await api.get("/api/v1/status")).json())
        older = ServiceStatus.model_validate((await api.get("/status")).json())
        gone = {"state": "left-alone", "word": "model-unauthorized", "answered": 0}
        await worker.present(0, "d", "", [tally("primary", **gone), tally("fallback", **gone)])
        bad = await until(api, paths[0], lambda body: body["status"] == "unhealthy")

    assert (silent, well) == ([503] * 3, [200] * 3)
    body = fine.json()
    assert (body["response_time"], body["availability"], body["monitoring"]) == (0.5, 1.0, True)
    assert body["accuracy"] is not None
    assert (status.running, status.places, status.models_available) == (2, 5, 2)
    assert older.model_copy(update={"timestamp": status.timestamp}) == status
    assert bad.status_code == 503
    assert "primary: model-unauthorized" in bad.json()["detail"]


@pytest.mark.requirement("HAPI-BR-HEALTH-025")
async def test_without_a_model_the_models_side_lives_and_is_not_ready(here: Place):
    async with serving(here.settings(llm_model=None), here.api_key) as api:
        got = {
            path: (answer.status_code, answer.json()["status"])
            for path in ("llm", "llm/liveness", "llm/readiness")
            if (answer := await api.get(f"/api/v1/health/{path}"))
        }
        models = await api.get("/api/v1/models", headers=GO)

    assert got == {
        "llm": (200, "not_configured"),
        "llm/liveness": (200, "not_configured"),
        "llm/readiness": (503, "not_configured"),
    }
    assert models.json() == []


@pytest.mark.requirement("HAPI-BR-HEALTH-026", "HAPI-BR-HEALTH-027", "HAPI-BR-HEALTH-028")
async def test_dependencies_are_told_with_availability(here: Place):
    async with serving(here.settings(llm_model=None), here.api_key) as api:
        answer = await until(
            api, "/api/v1/health/dependencies", lambda body: body["availability"] is not None
        )

    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "healthy")
    assert {"database", "context_api", "kubernetes", "redis", "llm"} == set(body["dependencies"])


@pytest.mark.requirement("HAPI-BR-HEALTH-029", "HAPI-BR-HEALTH-030")
async def test_monitoring_is_stopped_and_started_for_all_processes(here: Place):
    settings = here.settings(llm_model=None, **networks("admin"))
    async with serving(settings) as api, serving(settings) as beside:
        stopped = (await api.post("/api/v1/health/monitoring/stop")).json()
        await until(beside, "/api/v1/health/llm", lambda body: body["monitoring"] is False)
        started = (await beside.post("/api/v1/health/monitoring/start")).json()
        await until(api, "/api/v1/health/llm", lambda body: body["monitoring"] is True)

    assert (stopped["monitoring"], started["monitoring"]) == (False, True)


HEALTH = ("llm", "llm/liveness", "llm/readiness", "dependencies")


@pytest.mark.requirement("HAPI-BR-HEALTH-031", "HAPI-BR-HEALTH-032", "HAPI-BR-HEALTH-033")
async def test_response_time_accuracy_and_availability_are_in_every_reply_about_health(
    here: Place, file: Path, database: Database
):
    settings = here.settings(config_file=str(file), llm_model=None, **networks("admin"))
    async with serving(settings) as api:
        await worker_tells(database, tally("primary"), tally("fallback", stood=3, fell=1))
        known = (await until(api, "/api/v1/health/llm", lambda body: body["status"] == "healthy")).json()
        answers = [await api.get(f"/api/v1/health/{path}") for path in HEALTH]
        answers += [await api.post(f"/api/v1/health/monitoring/{word}") for word in ("stop", "start")]

    names = ("response_time", "accuracy", "availability")
    assert all(set(names) <= set(one.json()) for one in answers)
    assert [answers[-1].json()[name] for name in names] == [known[name] for name in names]
    assert known["response_time"] == 0.5


@pytest.mark.requirement("HAPI-BR-HEALTH-034")
async def test_who_asks_for_health_too_often_gets_429_and_when_to_come_again(here: Place):
    limits = {"rate_limit_requests": 5, "rate_limit_window": 60}
    async with serving(here.settings(llm_model=None, **limits), here.api_key) as api:
        answers = [await api.get(f"/api/v1/health/{path}") for path in HEALTH * 3]

    limited = [one for one in answers if one.status_code == 429]
    assert limited
    assert all(int(one.headers["Retry-After"]) >= 1 for one in limited)


@pytest.mark.requirement("HAPI-012", "HAPI-079")
@pytest.mark.parametrize("name", ["internet", "docker", "kubernets"])
async def test_a_toolset_that_is_not_offered_is_refused_by_naming_what_is(here: Place, name: str):
    async with serving(here.settings(llm_model=None), here.api_key) as api:
        for path in ("/api/v1/investigate", "/api/v1/investigate/async"):
            refused = await api.post(path, json={"alert_name": "A", "toolsets": ["kubernetes", name]})

            assert (refused.status_code, refused.json()["code"]) == (422, "unknown-toolset")
            assert f"no toolset {name}; available: kubernetes, " in refused.json()["detail"]
        offered = (await api.get("/api/v1/toolsets")).json()["toolsets"]
        kept = (await api.get("/api/v1/investigate")).json()["items"]

    assert {"name", "description", "version", "capabilities", "enabled"} <= set(offered[0])
    assert kept == []


async def test_a_process_that_was_killed_is_forgotten(here: Place, database: Database):
    async with serving(here.settings(llm_model=None), here.api_key):
        killed = await worker_tells(database, tally("primary"))
        async with database.begin() as conn:
            for table in ("process", "model_standing"):
                await conn.execute(text(f"UPDATE {table} SET reported_at = now() - interval '11 minutes'"))
        other = Gatherings(database, role="worker")
        await other.present(0, "d", "", [])
        seen = await killed.seen()
        async with database.begin() as conn:
            rows = (
                await conn.execute(text("SELECT count(*) FROM process WHERE role = 'worker'"))
            ).scalar_one()

    assert (rows, seen.tallies) == (1, [])
