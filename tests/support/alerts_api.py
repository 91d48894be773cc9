"""The alerts service's application on a real database, called without sockets."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from libs.auth import Authenticator
from services.alerts.main import create_app
from services.alerts.settings import Settings
from services.alerts.wiring import Ports
from tests.support import keyrings
from tests.support.postgres import FreshDatabase

WEBHOOK = "/api/v1/webhooks/alertmanager"


@dataclass
class Credentials:
    """One of each kind; fresh for each application."""

    ingest: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    viewer: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    shop_viewer: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    stranger: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """A viewer and sender of another tenant."""

    def authenticator(self) -> Authenticator:
        entry = keyrings.api_key_entry
        return Authenticator(
            keyrings.ring(
                api_keys=[
                    entry(self.ingest, id="am", roles=["ingest"]),
                    entry(self.viewer, id="viewer", roles=["viewer"]),
                    entry(self.shop_viewer, id="shop", roles=["viewer"], namespaces=["shop", "d?ta-*"]),
                    entry(
                        self.stranger,
                        id="stranger",
                        roles=["viewer", "ingest"],
                        tenant="other",
                        namespaces=["*"],
                    ),
                ],
                basic=[keyrings.basic_entry(self.password)],
            )
        )


@dataclass
class Api:
    app: FastAPI
    http: httpx.AsyncClient
    keys: Credentials

    @property
    def ports(self) -> Ports:
        ports: Ports = self.app.state.ports
        return ports

    def bearer(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}

    async def post(self, body: bytes, *, key: str | None = None, path: str = WEBHOOK, **more: Any) -> Any:
        headers = self.bearer(key or self.keys.ingest) | {"Content-Type": "application/json"}
        return await self.http.post(path, content=body, headers=headers | more.pop("headers", {}), **more)

    async def get(self, path: str, *, key: str | None = None, **query: Any) -> Any:
        return await self.http.get(path, params=query, headers=self.bearer(key or self.keys.viewer))


@asynccontextmanager
async def running_app(fresh: FreshDatabase, **changes: Any) -> AsyncIterator[Api]:
    keys = Credentials()
    settings = Settings(**{**fresh.values("alerts"), **changes})
    app = create_app(settings, authenticator=keys.authenticator())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, raise_app_exceptions=False), base_url="http://alerts"
        ) as http,
    ):
        yield Api(app, http, keys)
