"""The alerts service's archive as it is asked for earlier episodes."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from libs.auth.permissions import Role
from libs.auth.principal import Principal, principal_for
from libs.clients import AlertsClient
from libs.contracts.alerts import AlertPage
from libs.contracts.bundle import ContextSource
from services.context_api.adapters.history import MOST_INCIDENTS, AlertHistory
from services.context_api.domain.errors import NoArchive
from services.context_api.domain.history import report
from tests.support.kube import NOW
from tests.unit.services.context_api.domain.test_history import episode, incident

pytestmark = pytest.mark.requirement("HAPI-BR-CONTEXT-006", "API-BR-CAPI-006")


def caller(*namespaces: str) -> Principal:
    return principal_for(
        "ann", tenant="default", roles=[Role.viewer], namespaces=namespaces, method="token", credential="k"
    )


async def asked(handler, who: Principal):
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return handler(request)

    async with AlertsClient("http://alerts", transport=httpx.MockTransport(answer)) as client:
        history = AlertHistory(client, deadline=timedelta(milliseconds=400))
        return await history.past("HighErrorRate", "shop", who, None), seen


def archive(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/api/v1/alerts":
        page = AlertPage(items=[episode(n, days=n) for n in range(1, 15)])
        return httpx.Response(200, content=page.model_dump_json())
    number = int(request.url.path.rpartition("/i")[2])
    return httpx.Response(200, content=incident(number, "OOMKilled").model_dump_json())


async def test_episodes_come_with_the_causes_of_the_newest_and_no_more_calls_than_that():
    past, seen = await asked(archive, caller("*"))

    assert len(past.episodes) == 14
    assert len(past.incidents or {}) == MOST_INCIDENTS
    assert len(seen) == 1 + MOST_INCIDENTS
    assert dict(seen[0].url.params) == {"alertname": "HighErrorRate", "limit": "50", "namespace": "shop"}


async def test_what_the_caller_may_not_read_is_neither_told_nor_asked_about():
    past, seen = await asked(archive, caller("bank"))

    assert past.episodes == []
    assert len(seen) == 1


@pytest.mark.parametrize("status", [500, 503, 404, 429])
async def test_an_archive_that_fails_costs_the_answer_nothing_but_its_past(status: int):
    past, _ = await asked(lambda _: httpx.Response(status, json={}), caller("*"))

    assert past.episodes == ()
    assert "alerts" in past.missing


async def latest(handler, who: Principal):
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return handler(request)

    async with AlertsClient("http://alerts", transport=httpx.MockTransport(answer)) as client:
        history = AlertHistory(client, deadline=timedelta(milliseconds=400))
        return await history.latest("f", who, timedelta(seconds=2)), seen


def newest(fingerprint: str):
    found = episode(7, days=1).model_copy(update={"fingerprint": fingerprint})
    return lambda _: httpx.Response(200, content=AlertPage(items=[found]).model_dump_json())


async def test_an_alert_is_found_by_its_fingerprint():
    found, seen = await latest(newest("f"), caller("shop"))

    assert found is not None
    assert found.id == "e7"
    assert dict(seen[0].url.params) == {"fingerprint": "f", "limit": "1"}


async def test_an_archive_that_does_not_know_fingerprints_gives_no_other_alert_instead():
    assert (await latest(newest("another"), caller("*")))[0] is None


async def test_an_alert_of_a_namespace_the_caller_may_not_read_is_none():
    assert (await latest(newest("f"), caller("bank")))[0] is None


@pytest.mark.parametrize("status", [500, 404])
async def test_an_archive_that_fails_is_said_with_what_to_give_instead(status: int):
    with pytest.raises(NoArchive, match="give the alert's labels"):
        await latest(lambda _: httpx.Response(status, json={}), caller("*"))


@pytest.mark.parametrize(("status", "outcome"), [(200, "read"), (503, "failed"), (404, "failed")])
async def test_how_the_archive_took_part_is_told_with_what_it_told(status: int, outcome: str):
    def handler(request: httpx.Request) -> httpx.Response:
        return archive(request) if status == 200 else httpx.Response(status, json={})

    past, _ = await asked(handler, caller("*"))
    told = report(ContextSource.action_history, past, NOW)

    assert [(part.name, part.outcome, bool(part.reason)) for part in told.parts or []] == [
        ("alerts", outcome, status != 200)
    ]
    assert report(ContextSource.patterns, past, NOW).parts is None


async def test_an_archive_that_does_not_answer_in_time_is_late():
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("no", request=request)

    past, _ = await asked(handler, caller("*"))

    assert past.outcome == "late"
