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
    "GET /api/v1/alerts/history",
    "GET /api/v1/context/action-history",
    "GET /api/v1/context/action-history/{alert_type}",
    "GET /api/v1/context/alert/{severity}/{alert_name}",
    "GET /api/v1/context/bundle/stream",
    "GET /api/v1/context/causes/{namespace}/{kind}/{name}",
    "GET /api/v1/context/discover",
    "GET /api/v1/context/evidence/{evidence_id}",
    "GET /api/v1/context/evidence/{namespace}/{kind}/{name}",
    "GET /api/v1/context/findings/{namespace}/{kind}/{name}",
    "GET /api/v1/context/health",
    "GET /api/v1/context/investigation/{investigation_type}",
    "GET /api/v1/context/kubernetes/{namespace}/{resource}",
    "GET /api/v1/context/logs/{namespace}/{pod}",
    "GET /api/v1/context/metrics/{namespace}/{resource}",
    "GET /api/v1/context/patterns/{signature}",
    "GET /api/v1/context/topology/{namespace}/{kind}/{name}",
    "GET /api/v1/namespace/{namespace}/context",
    "GET /api/v1/namespace/{namespace}/resources",
    "GET /api/v1/service-discovery",
    "GET /api/v1/toolset.yaml",
    "GET /api/v1/toolsets",
    "GET /api/v1/toolsets/stats",
    "POST /api/v1/context/bundle",
    "POST /api/v1/context/resolve",
    "POST /api/v1/context/snapshots",
    "POST /api/v1/patterns/analyze",
    "POST /api/v1/toolsets/refresh",
    "POST /mcp",
}
"""All that needs `view:context`. None of them changes anything; what is posted are questions too long for a query, and
a refresh of what is never kept."""


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
        # Where a door opens, what lies behind it was not started and fails: that is no refusal.
        transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
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
