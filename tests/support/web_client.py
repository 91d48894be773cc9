"""The sample service called in process: no socket, no disk."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from libs.auth import Authenticator
from libs.metrics import Metrics
from libs.web import Checks
from tests.support import keyrings
from tests.support.web_service import Settings, application

OPERATOR, VIEWER = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
"""Keys of two callers, fresh for each run of the suite."""


def authenticator() -> Authenticator:
    entry = keyrings.api_key_entry
    return Authenticator(
        keyrings.ring(
            api_keys=[
                entry(OPERATOR, id="operator", roles=["operator"]),
                entry(VIEWER, id="viewer", roles=["viewer"], tenant="other"),
            ]
        )
    )


@dataclass
class Called:
    """The application, and a client that is the operator unless told otherwise."""

    app: FastAPI
    http: httpx.AsyncClient
    metrics: Metrics

    def count(self, name: str, **labels: str) -> float | None:
        """A metric's value."""
        return self.metrics.registry.get_sample_value(name, labels)


@contextlib.asynccontextmanager
async def calling(checks: Checks | None = None, **settings: Any) -> AsyncIterator[Called]:
    metrics = Metrics("sample")
    app = application(Settings(**settings), metrics, authenticator=authenticator(), checks=checks)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://localhost",
            headers={"Authorization": f"Bearer {OPERATOR}"},
        ) as http,
    ):
        yield Called(app, http, metrics)
