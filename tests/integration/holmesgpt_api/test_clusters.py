"""One HolmesGPT API for several clusters, before two Context APIs that answer differently: everything that belongs to an
investigation goes to its own cluster, and one that is away is no other's trouble.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from libs.contracts.causes import CausesAnswer
from libs.contracts.context import Resolution
from services.holmesgpt_api.settings import Settings
from services.holmesgpt_api.wiring.shared import open_contexts
from tests.fakes.context_api import FakeContextApi, context_api
from tests.fakes.model import model
from tests.support.engine import engine
from tests.support.holmesgpt import Place, as_go_sends_it, ended, serving, working
from tests.support.investigations import CHECKOUT, CONFIG, cause, evidence, found
from tests.support.ports import free_ports
from tests.support.scripted_engine import interpreter

pytestmark = pytest.mark.requirement("HAPI-179")

INVESTIGATE, CHAT = "/api/v1/investigate", "/api/v1/chat"
LABELS = {"namespace": "shop", "pod": "checkout-1"}
ALERT = {"alert_name": "KubePodCrashLooping", "namespace": "shop", "labels": LABELS}
ID = "ev-00000000000000e1"
IN_EU = CHECKOUT.model_copy(update={"cluster": "eu"})


def of_eu() -> CausesAnswer:
    config = CONFIG.model_copy(update={"cluster": "eu", "name": "eu-config"})
    return found(cause(config, evidence_ids=[ID]), evidence=[evidence(ID, config)], target=IN_EU)


@pytest.fixture
def eu() -> Iterator[FakeContextApi]:
    there = Resolution(target=IN_EU, owner=IN_EU, exists=True, reason="label:pod")
    with context_api(causes=of_eu(), resolution=there) as fake:
        yield fake


@pytest.fixture
def both(here: Place, eu: FakeContextApi) -> Place:
    """The default Context API of the folder, and another one for `eu`."""
    return replace(here, values={**here.values, "context_api_urls": {"eu": eu.url}})


async def taken(api: httpx.AsyncClient, cluster: str | None = None, **fields: Any) -> str:
    labels = {**LABELS, **({"cluster": cluster} if cluster else {})}
    answer = await api.post(f"{INVESTIGATE}/async", json={**ALERT, "labels": labels, **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["investigation_id"])


async def investigated(api: httpx.AsyncClient, cluster: str | None = None, **fields: Any) -> dict[str, Any]:
    return await ended(api, await taken(api, cluster, **fields))


def found_in(body: dict[str, Any]) -> tuple[str, str]:
    """The cause's object and its cluster."""
    target = body["results"]["cause"]["target"]
    return target["name"], target["cluster"]


@asynccontextmanager
async def running(settings: Settings, api_key: str) -> AsyncIterator[httpx.AsyncClient]:
    async with working(settings), serving(settings, api_key) as api:
        yield api


async def test_an_alert_is_investigated_in_the_cluster_that_its_label_names(
    both: Place, context: FakeContextApi, eu: FakeContextApi
):
    async with running(both.settings(), both.api_key) as api:
        unnamed, named = await investigated(api), await investigated(api, "eu")

    assert [found_in(one) for one in (unnamed, named)] == [("orders-db-config", "local"), ("eu-config", "eu")]
    assert [one["context_used"]["cluster_by"] for one in (unnamed, named)] == ["default", "alert-label"]
    assert (len(context.asked("/api/v1/context/causes")), len(eu.asked("/api/v1/context/causes"))) == (1, 1)
    assert eu.asked("/api/v1/context/causes")[0].count("cluster=eu") == 1


async def test_a_target_decides_before_the_label(both: Place, context: FakeContextApi, eu: FakeContextApi):
    async with running(both.settings(), both.api_key) as api:
        body = await investigated(api, "lab", target=IN_EU.model_dump())

    assert found_in(body) == ("eu-config", "eu")
    assert body["context_used"]["cluster_by"] == "request-target"
    assert context.asked("/api/v1/context/causes") == []


async def test_the_go_application_gets_200_and_no_result_for_a_cluster_nobody_configured(
    both: Place, context: FakeContextApi, eu: FakeContextApi
):
    networks = {"127.0.0.1/32": {"principal": "go", "roles": ["api_user"], "namespaces": ["shop"]}}
    settings = both.settings(trusted_networks=networks)
    asked = as_go_sends_it(labels={**LABELS, "cluster": "us"})
    async with running(settings, both.api_key) as api, as_nobody(api) as go:
        told, known = await go.post(INVESTIGATE, json=asked), await api.post(INVESTIGATE, json=asked)

    assert (told.status_code, known.status_code) == (200, 200)
    body = told.json()
    assert (body["status"], body["degraded_reason"], body["root_cause"]) == (
        "completed",
        "unknown-cluster",
        None,
    )
    assert body["investigation"]["summary"].startswith(
        "No result: no Context API is configured for cluster us"
    )
    assert "eu" not in body["summary"].split()
    assert "there are: eu" in known.json()["summary"]
    assert [*context.asked("/api/v1/context/res"), *eu.asked("/api/v1/context/res")] == []


@asynccontextmanager
async def as_nobody(api: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=api._transport, base_url="http://127.0.0.1", timeout=60) as go:
        yield go


async def test_one_cluster_away_degrades_its_own_investigations_alone(
    both: Place, context: FakeContextApi, eu: FakeContextApi
):
    eu.mood = "unavailable"
    async with running(both.settings(), both.api_key) as api:
        waiting = [await taken(api, "eu", alert_name=f"Alert{number}") for number in range(6)]
        # Five failures in a row open a breaker.
        await asyncio.to_thread(eu.wait_for_calls, 5, "/api/v1/context/resolve")
        body = (await api.post(INVESTIGATE, json=ALERT)).json()
        meanwhile = [(await api.get(f"{INVESTIGATE}/{one}")).json()["status"] for one in waiting]
        eu.mood = "answers"
        later = [await ended(api, one, within=40) for one in waiting]

    assert (body["status"], found_in(body)) == ("completed", ("orders-db-config", "local"))
    assert set(meanwhile) <= {"started", "running"}
    assert {found_in(one) for one in later} == {("eu-config", "eu")}


async def test_each_cluster_has_a_breaker_and_connections_of_its_own(both: Place):
    settings = both.settings()
    async with open_contexts(settings, lambda: None) as contexts:
        clients = list(contexts.values())

    assert list(contexts) == settings.clusters.addresses
    assert len({id(one.breaker) for one in clients}) == len({id(one._http) for one in clients}) == 2


async def test_health_status_and_configuration_tell_each_cluster_by_name_and_readiness_stays(here: Place):
    away = f"http://127.0.0.1:{free_ports(1)[0]}"
    urls = {"here": here.values["context_api_url"], "us": away}
    networks = {"127.0.0.1/32": {"principal": "ops", "roles": ["admin"], "namespaces": ["*"]}}
    async with serving(here.settings(context_api_urls=urls, trusted_networks=networks)) as api:
        health, ready = (await api.get("/health")).json(), await api.get("/ready")
        status = (await api.get("/api/v1/status")).json()
        config = (await api.get("/api/v1/config")).json()

    told = {name: one["status"] for name, one in health["checks"].items() if name[:4] in ("cont", "kube")}
    assert told == {
        "context_api": "healthy",
        "context_api:here": "healthy",
        "context_api:us": "unhealthy",
        "kubernetes": "healthy",
        "kubernetes:here": "healthy",
        "kubernetes:us": "unknown",
    }
    assert (health["status"], ready.status_code) == ("degraded", 200)
    assert ready.json()["services"]["context_api:us"] == "unhealthy"
    assert away not in str(health)
    assert status["clusters"] == {"here": "healthy", "us": "unhealthy"}
    assert config["clusters"] == ["here", "us"]


async def test_a_chat_bound_to_an_investigation_goes_to_its_cluster(
    both: Place, context: FakeContextApi, eu: FakeContextApi
):
    async with running(both.settings(), both.api_key) as api:
        id_ = (await investigated(api, "eu"))["investigation_id"]
        eu.calls.clear()
        asked = {"message": "why does Deployment.apps/shop/cart fail?", "investigation_id": id_}
        first = (await api.post(CHAT, json=asked)).json()
        again = {"message": "and Deployment.apps/shop/orders?", "session_id": first["session_id"]}
        await api.post(CHAT, json=again)

    assert "eu-config" in first["response"]
    assert [call.partition("?")[0].rpartition("/")[2] for call in eu.asked("/api/v1/context/causes")] == [
        "cart",
        "orders",
    ]
    assert context.asked("/api/v1/context/causes") == []


async def test_a_verdict_of_one_cluster_is_not_given_again_for_another_one_that_is_built_alike(
    here: Place, tmp_path: Path
):
    with context_api() as twin:
        bodies = []
        for url in (here.values["context_api_url"], twin.url, here.values["context_api_url"]):
            settings = here.settings(
                context_api_url=url,
                context_api_urls={"lab": "http://127.0.0.1:9"},
                llm_model="scripted",
                llm_provider="local_llm",
                llm_base_url="http://127.0.0.1:9",
                engine_python=str(interpreter(tmp_path, "ready")),
                max_running=2,
            )
            async with running(settings, here.api_key) as api:
                bodies.append(await investigated(api, alert_name="concludes"))

    assert {one["engine"] for one in bodies} == {"holmesgpt"}
    first, other, again = ([one["metadata"].get("cached_from"), one["investigation_id"]] for one in bodies)
    assert (first[0], other[0], again[0]) == (None, None, first[1])


@pytest.mark.needs("holmes-engine")
@pytest.mark.xdist_group("holmes-engine")
async def test_a_models_tools_a_replay_and_a_chat_ask_in_the_investigations_cluster(
    both: Place, context: FakeContextApi, eu: FakeContextApi
):
    context.causes = found(cause(evidence_ids=[ID]), evidence=[evidence(ID)])
    with model() as fake, engine(both, context, fake) as there:
        async with serving(there.settings(), both.api_key) as api:
            body = await ended(api, await taken(api, "eu"), within=120)
            asked = eu.asked("/api/v1/context/causes")
            eu.calls.clear()
            replay = await api.post(f"{INVESTIGATE}/{body['investigation_id']}/replay", json={})
            replayed = await ended(api, replay.json()["investigation_id"], within=60)
            after_replay = list(eu.calls)
            question = {"message": "what should I do?", "investigation_id": body["investigation_id"]}
            told = (await api.post(CHAT, json=question)).json()
            in_chat = eu.asked("/api/v1/context/causes")
            elsewhere = context.asked("/api/v1/context/causes")

    assert (body["engine"], found_in(body)) == ("holmesgpt", ("eu-config", "eu"))
    assert [one["ok"] for one in body["metadata"]["model"]["tools"]] == [True]
    assert len(asked) == 2  # triage's, and the tool's
    assert all("cluster=eu" in one for one in asked)
    assert (replayed["status"], found_in(replayed)[1]) == ("completed", "eu")
    assert [one for one in after_replay if "/health" not in one] == []
    assert told["metadata"]["engine"] == "holmesgpt"
    assert in_chat
    assert all("cluster=eu" in one for one in in_chat)
    assert elsewhere == []
