"""Redis holds the rate limits: how it is shows in /health from looks in the background, and never keeps a caller."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest

from libs.cache.settings import RedisSettings
from libs.metrics import Metrics
from libs.web import health
from tests.support.redis import RedisServer
from tests.support.web_client import OPERATOR, authenticator
from tests.support.web_service import Settings, application

pytestmark = [
    pytest.mark.requirement("HAPI-016", "HAPI-017", "HAPI-069", "HAPI-126"),
    pytest.mark.needs("redis-server"),
]


class Limited(Settings, RedisSettings):
    """A service whose limits may stand in Redis."""


async def until(http: httpx.AsyncClient, status: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            body: dict[str, Any] = (await http.get("/health")).json()
            if body["checks"]["redis"]["status"] == status:
                return body
            await asyncio.sleep(0.02)


async def test_it_is_told_when_it_hangs_and_when_it_is_back_and_callers_are_answered_meanwhile(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(health, "EVERY", timedelta(milliseconds=50))
    monkeypatch.setattr(health, "WHILE_UNHEALTHY", timedelta(milliseconds=50))
    settings = Limited.model_validate({"redis_url": own_redis.url})
    app = application(settings, Metrics("sample"), authenticator=authenticator())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http,
    ):
        before = await until(http, "healthy")
        own_redis.freeze()
        hanging = await until(http, "unhealthy")
        began = time.monotonic()
        statuses = {(await http.get("/health")).status_code for _ in range(50)}
        fifty = time.monotonic() - began
        ready = await http.get("/ready")
        answer = await http.get("/api/v1/notes/a", headers={"Authorization": f"Bearer {OPERATOR}"})
        own_redis.thaw()
        after = await until(http, "healthy")

    assert [one["status"] for one in (before, hanging, after)] == ["healthy", "degraded", "healthy"]
    assert (statuses, ready.status_code, answer.status_code) == ({200}, 200, 200)
    assert fifty < 50 * settings.redis_timeout.total_seconds(), (
        "one that asked Redis would wait for it each time"
    )
