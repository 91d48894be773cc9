"""Whose turn it is where many ask, and what is gathered before anybody does, over HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from libs.auth import TokenMinter
from libs.auth.permissions import Role
from libs.clients import ContextClient
from libs.contracts.context import Resolution
from services.context_api.steps.ahead import BUSY
from services.context_api.steps.turns import Turns
from tests.support.context_service import PATIENCE_S, RECORDING, RING, Running, of, running

pytestmark = pytest.mark.requirement("API-BR-CAPI-014", "API-BR-CAPI-020")

CONTEXT = "/api/v1/context"
ALERT = json.loads((RECORDING / "alert.json").read_text())["alerts"][0]
ONSET = datetime.fromisoformat(ALERT["startsAt"])
KEPT = f"{CONTEXT}/findings/shop/Deployment/checkout"
SERVICE = of("holmesgpt-api", role=Role.service)


def turns_of(here: Running) -> Turns:
    return here.ports.desk.answers._turns


@asynccontextmanager
async def held(here: Running) -> AsyncIterator[None]:
    """Something is being worked out while the block runs; everything that is not kept waits."""
    begun, go = threading.Event(), threading.Event()

    def find() -> bytes:
        begun.set()
        assert go.wait(PATIENCE_S)
        return b""

    task = asyncio.create_task(turns_of(here).run("held", find))
    try:
        assert await asyncio.to_thread(begun.wait, PATIENCE_S)
        yield
    finally:
        go.set()
        await task


@pytest.fixture
async def here() -> AsyncIterator[Running]:
    async with running(most_waiting=2) as made:
        (await made.client.get(KEPT)).raise_for_status()
        yield made


def asked(here: Running, path: str, headers: Mapping[str, str] | None = None) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(here.client.get(f"{CONTEXT}/{path}", headers=headers or {}))


def waiting(here: Running, lane: str) -> float:
    return here.count("context_api_lane_waiting", lane=lane)


async def test_critical_investigations_are_answered_before_what_came_earlier(here: Running):
    order: list[str] = []
    async with held(here):
        normal = asked(here, "causes/shop/Deployment/checkout")
        normal.add_done_callback(lambda _: order.append("normal"))
        await here.until(lambda: waiting(here, "normal") == 1)
        urgent = asked(here, "causes/data/StatefulSet/orders-db", {**SERVICE, "X-Request-Priority": "P0"})
        urgent.add_done_callback(lambda _: order.append("critical"))
        await here.until(lambda: waiting(here, "critical") == 1)

    answers = await asyncio.gather(normal, urgent)

    assert [answer.status_code for answer in answers] == [200, 200]
    assert order == ["critical", "normal"]
    assert here.count("context_api_lane_turns_total", lane="critical", why="a-service-said-so") == 1
    assert here.count("context_api_lane_wait_seconds_count", lane="critical") == 1
    assert (waiting(here, "critical"), waiting(here, "normal")) == (0, 0)


async def test_an_alerts_severity_says_how_urgent_it_is(here: Running):
    body = {"alert": {"labels": {**ALERT["labels"], "severity": "critical"}}}

    answer = await here.client.post(f"{CONTEXT}/bundle", json=body)
    older = await here.client.get(f"{CONTEXT}/alert/critical/CheckoutErrors", params={"namespace": "shop"})

    assert (answer.status_code, older.status_code) == (200, 200)
    assert here.count("context_api_lane_turns_total", lane="critical", why="alert-severity") == 2


async def test_a_full_lane_says_so_and_when_to_come_back_and_the_others_have_room(here: Running):
    async with held(here):
        first = [asked(here, f"evidence/shop/Deployment/checkout?limit={size}") for size in (1, 2)]
        await here.until(lambda: waiting(here, "normal") == 2)
        refused = await asked(here, "causes/data/StatefulSet/orders-db")
        urgent = asked(
            here, "findings/data/StatefulSet/orders-db", {**SERVICE, "X-Request-Priority": "critical"}
        )
        await here.until(lambda: waiting(here, "critical") == 1)

    assert {one.status_code for one in await asyncio.gather(*first, urgent)} == {200}
    assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    assert refused.json()["detail"] == "2 normal questions wait already"
    assert int(refused.headers["retry-after"]) >= 1
    assert here.count("context_api_lane_refused_total", lane="normal") == 1


async def test_a_caller_who_fills_a_lane_makes_room_for_another(here: Running):
    async with held(here):
        first, second = [asked(here, f"evidence/shop/Deployment/checkout?limit={size}") for size in (1, 2)]
        await here.until(lambda: waiting(here, "normal") == 2)
        other = asked(here, "causes/data/StatefulSet/orders-db", of("ben", tenant="default"))
        refused = await second

    assert [(await one).status_code for one in (first, other)] == [200, 200]
    assert (refused.status_code, refused.json()["code"]) == (503, "busy")


async def test_what_is_kept_waits_for_nothing(here: Running):
    async with held(here):
        async with asyncio.timeout(PATIENCE_S):
            kept = await here.client.get(KEPT)
        had_its_turn = here.count("context_api_lane_wait_seconds_count", lane="normal")

    assert kept.status_code == 200
    assert had_its_turn == 2  # what was asked before, and what holds the thread


async def test_nobody_but_a_service_chooses_its_lane(here: Running):
    answer = await here.client.get(
        f"{CONTEXT}/causes/shop/Deployment/checkout", headers={"X-Request-Priority": "critical"}
    )

    assert answer.status_code == 200
    assert here.count("context_api_lane_turns_total", lane="normal", why="word-of-no-service") == 1


async def test_a_models_tools_ask_with_their_investigations_priority(here: Running):
    run = TokenMinter(lambda: RING, service="holmesgpt-api").mint_for_run(
        "inv-1", caller="ann", tenant="default", namespaces=["*"], left=timedelta(hours=1)
    )
    headers = {"Authorization": f"Bearer {run}", "X-Request-Priority": "P0"}

    answer = await here.client.get(f"{CONTEXT}/causes/shop/Deployment/checkout", headers=headers)

    assert answer.status_code == 200
    assert here.count("context_api_lane_turns_total", lane="critical", why="a-service-said-so") == 1


@pytest.mark.requirement("API-BR-SEC-006")
async def test_a_services_word_that_is_none_is_refused_by_the_headers_name(here: Running):
    path = f"{CONTEXT}/causes/shop/Deployment/checkout"
    answer = await here.client.get(path, headers={**SERVICE, "X-Request-Priority": "urgent"})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["header.x-request-priority"]


def client_of(here: Running) -> ContextClient:
    minter = TokenMinter(lambda: RING, service="alerts")
    return ContextClient("http://localhost", token=minter, transport=httpx.ASGITransport(app=here.app))


SOON: dict[str, Any] = {"tenant": "default", "deadline": timedelta(seconds=PATIENCE_S)}


async def resolved(here: Running) -> Resolution:
    """As the alerts service asks when an alert has arrived."""
    async with client_of(here) as alerts:
        return await alerts.resolve(ALERT["labels"], onset=ONSET, **SOON)


def ahead(here: Running, outcome: str) -> float:
    return here.count("context_api_ahead_total", outcome=outcome)


@pytest.mark.requirement("API-BR-CAPI-015")
async def test_an_alerts_causes_are_there_when_its_investigation_asks_for_them(here: Running):
    found = await resolved(here)
    await here.until(lambda: turns_of(here).idle and ahead(here, "begun") == 1)
    found_before = here.count("context_api_answers_total", outcome="found")
    assert found.owner is not None
    async with client_of(here) as holmes:
        answer = await holmes.causes(found.owner, onset=ONSET, priority="P0", **SOON)

    assert answer.ranked
    assert here.count("context_api_answers_total", outcome="found") == found_before
    assert ahead(here, "used") == 1
    assert here.count("context_api_lane_turns_total", lane="background", why="gathered-ahead") == 1


@pytest.mark.requirement("API-BR-CAPI-015")
async def test_an_investigation_that_is_faster_moves_what_is_gathered_up(here: Running):
    async with held(here):
        found = await resolved(here)
        await here.until(lambda: waiting(here, "background") == 1)
        assert found.owner is not None
        holmes = client_of(here)
        asking = asyncio.create_task(holmes.causes(found.owner, onset=ONSET, priority="P0", **SOON))
        await here.until(lambda: waiting(here, "critical") == 1)
        moved = (waiting(here, "background"), ahead(here, "used"))
    answer = await asking
    await holmes.close()

    assert moved == (0, 1)
    assert answer.ranked


@pytest.mark.requirement("API-BR-CAPI-015")
async def test_the_same_alert_twice_is_gathered_once(here: Running):
    async with held(here):
        await resolved(here)
        await here.until(lambda: waiting(here, "background") == 1)
        await resolved(here)
        under_way = ahead(here, "under-way")
    await here.until(lambda: turns_of(here).idle)
    await resolved(here)
    await here.until(lambda: turns_of(here).idle)

    assert under_way == 1
    assert ahead(here, "begun") == 1


@pytest.mark.requirement("API-BR-CAPI-015")
async def test_where_others_wait_nothing_is_gathered_ahead():
    async with running(most_waiting=8) as here:
        (await here.client.get(KEPT)).raise_for_status()
        async with held(here):
            others = [
                asked(here, f"evidence/shop/Deployment/checkout?limit={size}") for size in range(1, BUSY + 1)
            ]
            await here.until(lambda: waiting(here, "normal") == BUSY)
            found = await resolved(here)
        await asyncio.gather(*others)

        assert found.exists
        assert (ahead(here, "dropped-busy"), ahead(here, "begun")) == (1, 0)


@pytest.mark.requirement("API-BR-CAPI-015", "API-BR-CAPI-018")
async def test_nobody_but_a_service_has_anything_gathered(here: Running):
    answer = await here.client.post(
        f"{CONTEXT}/resolve", params={"onset": ALERT["startsAt"]}, json={"labels": ALERT["labels"]}
    )

    assert answer.json()["exists"] is True
    assert "context_api_ahead_total{" not in here.scraped()


@pytest.mark.requirement("API-BR-CAPI-015", "API-BR-CAPI-018")
async def test_what_is_gathered_is_what_that_tenants_service_may_read(here: Running):
    minter = TokenMinter(lambda: RING, service="test")
    narrow = minter.mint("alerts", tenant="other", roles=[Role.service], namespaces=["shop"])
    headers = {"Authorization": f"Bearer {narrow}"}
    asked_for: dict[str, Any] = {
        "url": f"{CONTEXT}/resolve",
        "params": {"onset": ALERT["startsAt"]},
        "headers": headers,
    }
    mine = await here.client.post(
        **asked_for, json={"labels": {"namespace": "shop", "deployment": "checkout"}}
    )
    await here.until(lambda: turns_of(here).idle and ahead(here, "begun") == 1)
    answer = await here.client.get(
        f"{CONTEXT}/causes/shop/Deployment.apps/checkout", params=asked_for["params"], headers=headers
    )
    refused = await here.client.post(
        **asked_for, json={"labels": {"namespace": "data", "pod": "orders-db-0"}}
    )

    assert mine.status_code == 200
    assert ahead(here, "used") == 1
    assert "orders-db-config" not in answer.text
    assert refused.status_code == 403


@pytest.mark.requirement("API-BR-SEC-006")
async def test_a_time_at_which_nothing_can_have_begun_is_refused(here: Running):
    answer = await here.client.post(f"{CONTEXT}/resolve?onset=soon", json={"labels": ALERT["labels"]})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["query.onset"]
