"""Fast routes: described like any other, answered without FastAPI."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from libs.web import FastRequest, fast_route
from libs.web.body import BodyTooLarge
from tests.support.web_service import Note

pytestmark = pytest.mark.requirement("API-BR-API-002", "INT-BR-WH-006", "HAPI-042")


async def handler(request: FastRequest):
    """Take a note."""
    raise AssertionError("only described here")


def route(**changes):
    given = {
        "permission": "ingest:alerts",
        "summary": "Take",
        "request_model": Note,
        "response_model": Note,
        "status": 202,
        **changes,
    }
    return fast_route("POST", "/api/v1/hook", handler, **given)


def test_a_permission_nobody_knows_is_refused_when_it_is_written():
    with pytest.raises(ValueError, match="ingest:everything"):
        route(permission="ingest:everything")


async def test_a_handler_reads_the_body_to_the_limit_only():
    async def receive():
        return {"type": "http.request", "body": b"abcd", "more_body": True}

    request = FastRequest("/", {}, None, None, FastAPI(), receive, 3)

    with pytest.raises(BodyTooLarge):
        await request.body()
