"""The metrics of the architecture document (§10.1) are there under its names, from the first scrape on."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from libs.auth.authenticator import Authenticator
from libs.metrics import Metrics
from services.holmesgpt_api.main import create_app
from tests.support.holmesgpt import Place, working

pytestmark = pytest.mark.requirement("HAPI-018", "HAPI-052")

OF_THE_API = {
    "info",
    "http_requests_total",
    "http_request_duration_seconds",
    "chat_messages_total",
    "chat_response_time_seconds",
    "active_investigations",
}
OF_THE_WORKER = {
    "investigations_total",
    "investigation_duration_seconds",
    "llm_requests_total",
    "llm_tokens_used_total",
    "llm_cost_usd_total",
    "cache_hits_total",
    "cache_misses_total",
}
PREFIX = "holmesgpt_api_"


def told(metrics: Metrics) -> set[str]:
    """Names of the families; one has samples once something was counted."""
    types = [
        line.split(" ")[2] for line in metrics.exposition().decode().splitlines() if line.startswith("# TYPE")
    ]
    return {name.removeprefix(PREFIX) for name in types if name.startswith(PREFIX)}


async def test_an_api_that_nobody_has_asked_tells_them_with_its_first_answer(here: Place):
    settings, metrics = here.settings(), Metrics("holmesgpt-api")
    app = create_app(settings, metrics=metrics, authenticator=Authenticator.from_settings(settings))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client,
    ):
        await client.get("/health")

    assert OF_THE_API - told(metrics) == set()


async def test_a_worker_that_has_asked_no_model_tells_them(here: Place):
    model = {"llm_provider": "openai", "llm_model": "gpt-4.1", "llm_api_key": "none"}
    async with working(here.settings(**model, llm_base_url="http://127.0.0.1:1/v1")) as metrics:
        async with asyncio.timeout(30):
            while missing := OF_THE_WORKER - told(metrics):
                await asyncio.sleep(0.05)

    assert missing == set()
