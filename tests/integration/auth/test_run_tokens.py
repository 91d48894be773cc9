"""What a run's token opens at every door of every service: evidence its caller may read, and nothing else."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from libs.auth import Authenticator, TokenMinter
from tests.support.keyrings import hs256_entry, ring
from tools.services import example_app, services

pytestmark = pytest.mark.requirement("API-BR-SEC-004", "API-BR-CAPI-018", "HAPI-170")

RING = ring(jwt=[hs256_entry()])
READS_EVIDENCE = {
    "GET /api/v1/context/causes/{namespace}/{kind}/{name}",
    "GET /api/v1/context/evidence/{evidence_id}",
    "GET /api/v1/context/evidence/{namespace}/{kind}/{name}",
    "GET /api/v1/context/findings/{namespace}/{kind}/{name}",
    "GET /api/v1/context/health",
    "GET /api/v1/context/kubernetes/{namespace}/{resource}",
    "GET /api/v1/context/logs/{namespace}/{pod}",
    "POST /api/v1/context/resolve",
}
"""All that needs `view:context`. None of them changes anything; `resolve` takes labels, and a query is too short."""


def token() -> str:
    return TokenMinter(lambda: RING, service="holmesgpt-api").mint_for_run(
        "inv-7", caller="ann", tenant="default", namespaces=["*"], left=timedelta(minutes=1)
    )


def guarded(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Every documented operation that needs a credential."""
    return [
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if operation.get("security")
    ]


async def refused(app: FastAPI, method: str, path: str) -> bool:
    app.state.edge.authenticator = Authenticator(RING)  # as its start does; nothing else of it is started
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="http://localhost",
        headers={"Authorization": f"Bearer {token()}", "Content-Type": "application/json"},
    ) as client:
        answer = await client.request(method, re.sub(r"\{[^}]+\}", "x", path))
    assert answer.status_code != 401, answer.text
    return answer.status_code == 403 and answer.json()["code"] == "not-allowed"


@pytest.mark.parametrize("service", services())
async def test_a_runs_token_opens_the_doors_to_evidence_and_no_other(service: str):
    app = example_app(service)
    doors = guarded(app.openapi())

    opened = {f"{method} {path}" for method, path in doors if not await refused(app, method, path)}

    assert doors
    assert opened == (READS_EVIDENCE if service == "context_api" else set())
