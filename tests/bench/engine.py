"""What asking a model costs beyond the model: investigations through the real engine, and `/health` beside a stuck one.

The model is scripted and answers at once, so that what is measured is ours and HolmesGPT's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

import httpx
import orjson

from tests.fakes.model import FakeModel, model
from tests.support.stack import INCIDENT, Stack, running

MODEL = "scripted"
AT_ONCE, INVESTIGATIONS = 4, 40
STUCK, LOOKS = 60, 400
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class EngineRun:
    """Times in seconds; `health` while `stuck` runs hang on the model."""

    triage: float
    alone: float
    steps: int
    tokens: int
    per_second: float
    stuck: int
    health_p50: float
    health_p99: float
    health_worst: float


def measure(base: Path) -> EngineRun:
    """Below `base`, which other users must be able to enter: as root PostgreSQL is one of them."""
    for name in ("triage", "model"):
        (base / name).mkdir()
    with model() as fake:
        return asyncio.run(_measure(base, fake))


async def _measure(base: Path, fake: FakeModel) -> EngineRun:
    told = {
        "HOLMESGPT_LLM_MODEL": MODEL,
        "HOLMESGPT_LLM_PROVIDER": "local_llm",
        "HOLMESGPT_LLM_API_KEY": "none",
        "HOLMESGPT_LLM_BASE_URL": fake.url,
        "HOLMESGPT_MAX_RUNNING": str(STUCK),
        "RATE_LIMIT_REQUESTS": "1000000",
        "HOLMESGPT_RESULT_CACHE_TTL": "0",
    }
    services = {"context_api", "holmesgpt_api"}
    async with running(base / "triage", services=services) as stack, _client(stack) as http:
        triage = median([await _timed(lambda: _ask(http, "triage")) for _ in range(10)])
    async with running(base / "model", services=services, environment=told) as stack, _client(stack) as http:
        await _until_ready(http)
        first = await _ask(http, "holmesgpt")
        alone = median([await _timed(lambda: _ask(http, "holmesgpt")) for _ in range(10)])
        took = await _timed(lambda: _many(http))
        fake.mood = "hangs"
        health = sorted(await _beside_stuck_runs(http, fake))
        fake.let_go()
    used = first["metadata"]
    return EngineRun(
        triage=triage,
        alone=alone,
        steps=used["model"]["steps"],
        tokens=used["tokens_used"],
        per_second=INVESTIGATIONS / took,
        stuck=STUCK,
        health_p50=median(health),
        health_p99=quantiles(health, n=100)[98],
        health_worst=health[-1],
    )


def _client(stack: Stack) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=stack.urls["holmesgpt_api"], headers=stack.headers(), timeout=60, trust_env=False
    )


async def _until_ready(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await _llm(http)) != "healthy":
            await asyncio.sleep(0.2)


async def _llm(http: httpx.AsyncClient) -> str:
    health: dict[str, Any] = (await http.get("/health")).json()
    return str(health["checks"]["llm"]["status"])


def _alert() -> dict[str, Any]:
    labels = orjson.loads((INCIDENT / "alert.json").read_bytes())["alerts"][0]["labels"]
    return {"alert_name": labels["alertname"], "namespace": labels["namespace"], "labels": labels}


def _apart() -> dict[str, str]:
    """Each question has a run of its own; otherwise the same one asked at once would share one."""
    return {"Idempotency-Key": uuid4().hex}


async def _ask(http: httpx.AsyncClient, engine: str) -> dict[str, Any]:
    answer = await http.post("/api/v1/investigate", json=_alert(), headers=_apart())
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    if body["engine"] != engine:
        raise RuntimeError(f"{engine} was to answer: {body['engine']} did ({body['degraded_reason']})")
    return body


async def _timed(act: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await act()
    return time.perf_counter() - began


async def _many(http: httpx.AsyncClient) -> None:
    left = iter(range(INVESTIGATIONS))

    async def ask() -> None:
        for _ in left:
            await _ask(http, "holmesgpt")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(ask())


async def _beside_stuck_runs(http: httpx.AsyncClient, fake: FakeModel) -> list[float]:
    """The times of `/health`, one after the other, while every run waits for its model."""
    before = len(fake.requests)
    for _ in range(STUCK):
        (await http.post("/api/v1/investigate/async", json=_alert(), headers=_apart())).raise_for_status()
    await asyncio.to_thread(fake.wait_for, before + STUCK, within=PATIENCE_S)
    return [await _timed(lambda: http.get("/health")) for _ in range(LOOKS)]
