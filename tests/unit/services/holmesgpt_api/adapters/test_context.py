"""The Context API's faults become the engine's words: try later, or never."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from libs.clients import ContextClient
from libs.contracts.causes import NoCause
from services.holmesgpt_api.adapters.context import ContextApi
from services.holmesgpt_api.domain.errors import Impossible, NotNow
from tests.support.investigations import CHECKOUT, NOW, found

pytestmark = pytest.mark.requirement("HAPI-011", "HAPI-029", "HAPI-166")

SECOND = timedelta(seconds=1)


@asynccontextmanager
async def context(answer: Callable[[httpx.Request], httpx.Response]) -> AsyncIterator[ContextApi]:
    async with ContextClient("http://context.test", transport=httpx.MockTransport(answer)) as client:
        yield ContextApi(client)


async def test_causes_are_asked_for_the_target_and_its_onset():
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, text=found().model_dump_json())

    async with context(answer) as api:
        assert (
            await api.causes(CHECKOUT, onset=NOW, priority="P0", tenant="default", deadline=SECOND) == found()
        )

    assert asked[0].url.path == "/api/v1/context/causes/shop/Deployment.apps/checkout"
    assert asked[0].url.params["onset"] == NOW.isoformat()
    assert asked[0].headers["x-request-priority"] == "P0"


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_context_api_in_trouble_may_answer_later(status: int):
    async with context(lambda _: httpx.Response(status, headers={"Retry-After": "7"})) as api:
        with pytest.raises(NotNow) as away:
            await api.resolve({}, tenant="default", deadline=SECOND)

    assert away.value.code == "context-unavailable"
    assert away.value.retry_after == timedelta(seconds=7)
    assert f"http-{status}" in away.value.detail


async def test_garbage_is_no_answer():
    async with context(lambda _: httpx.Response(200, text='{"ranked": 7}')) as api:
        with pytest.raises(NotNow) as garbage:
            await api.causes(CHECKOUT, onset=None, priority="P2", tenant="default", deadline=SECOND)

    assert "unexpected-answer" in garbage.value.detail


@pytest.mark.parametrize("status", [400, 401, 403, 422])
async def test_a_refusal_is_final(status: int):
    async with context(
        lambda _: httpx.Response(status, json={"title": "No", "status": status, "code": "no"})
    ) as api:
        with pytest.raises(Impossible) as refused:
            await api.causes(CHECKOUT, onset=None, priority="P2", tenant="default", deadline=SECOND)

    assert refused.value.code == "context-refused"
    assert f"HTTP {status}" in refused.value.detail


async def test_an_object_that_the_evidence_does_not_hold_is_an_answer_without_a_cause():
    problem = {
        "title": "Unknown object",
        "status": 404,
        "code": "unknown-object",
        "detail": "no such Deployment",
    }
    async with context(lambda _: httpx.Response(404, json=problem)) as api:
        answer = await api.causes(CHECKOUT, onset=None, priority="P2", tenant="default", deadline=SECOND)

    assert (answer.no_cause, answer.no_cause_reason) == (True, NoCause.insufficient)
    assert answer.not_looked_at == ["no such Deployment"]


async def test_labels_of_a_cluster_that_nobody_has_evidence_of_name_no_object():
    problem = {"title": "Unknown cluster", "status": 404, "code": "unknown-cluster", "detail": "not this one"}
    async with context(lambda _: httpx.Response(404, json=problem)) as api:
        resolution = await api.resolve({"cluster": "elsewhere"}, tenant="default", deadline=SECOND)

    assert (resolution.target, resolution.reason, resolution.detail) == (
        None,
        "unknown-cluster",
        "not this one",
    )
