"""How a bench asks the HolmesGPT API of a running stack."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import orjson

from tests.support.stack import INCIDENT, Stack

MODEL = "scripted"
STUCK = 60
"""Runs that hang on their model while `/health` is asked."""
PATIENCE_S = 120.0


def client(stack: Stack) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=stack.urls["holmesgpt_api"], headers=stack.headers(), timeout=60, trust_env=False
    )


async def until_ready(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await _llm(http)) != "healthy":
            await asyncio.sleep(0.2)


async def _llm(http: httpx.AsyncClient) -> str:
    health: dict[str, Any] = (await http.get("/health")).json()
    return str(health["checks"]["llm"]["status"])


def alert() -> dict[str, Any]:
    labels = orjson.loads((INCIDENT / "alert.json").read_bytes())["alerts"][0]["labels"]
    return {"alert_name": labels["alertname"], "namespace": labels["namespace"], "labels": labels}


def apart() -> dict[str, str]:
    """Each question has a run of its own; otherwise the same one asked at once would share one."""
    return {"Idempotency-Key": uuid4().hex}
