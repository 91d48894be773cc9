"""A Context API for tests: in this process, from a recording, with its metrics to be read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from fastapi import FastAPI

from libs.auth import Authenticator, TokenMinter
from libs.auth.keys import KeyRing
from libs.auth.permissions import Role
from libs.metrics import Metrics
from services.context_api.main import create_app
from services.context_api.settings import Settings
from services.context_api.wiring import Ports
from tests.support.keyrings import hs256_entry, ring
from tests.support.source import ROOT

RING: KeyRing = ring(jwt=[hs256_entry()])
RECORDING = ROOT / "examples" / "incidents" / "orders-database-config"
PATIENCE_S = 300
"""For what must come at all; a busy machine is not what is tested."""


def token(name: str, *, tenant: str = "default", role: Role = Role.operator, namespaces: str = "*") -> str:
    return TokenMinter(lambda: RING, service="test").mint(
        name, tenant=tenant, roles=[role], namespaces=[namespaces], ttl=timedelta(hours=6)
    )


def of(name: str, *, tenant: str = "default", role: Role = Role.operator) -> Mapping[str, str]:
    """Headers of a caller."""
    return {"Authorization": f"Bearer {token(name, tenant=tenant, role=role)}"}


@dataclass
class Running:
    app: FastAPI
    client: httpx.AsyncClient
    metrics: Metrics

    @property
    def ports(self) -> Ports:
        ports: Ports = self.app.state.ports
        return ports

    def scraped(self) -> str:
        return self.metrics.exposition().decode()

    def count(self, name: str, **labels: str) -> float:
        """A metric's value; 0 where there is none of these labels."""
        told = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
        found = re.search(
            rf"^{re.escape(name + (f'{{{told}}}' if told else ''))} (\S+)$", self.scraped(), re.MULTILINE
        )
        return float(found[1]) if found else 0.0

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Running]:
    """Started; its recording is being read."""
    metrics = Metrics("context-api")
    values = {
        "recorded_cluster": RECORDING,
        "alerts_url": "http://127.0.0.1:9",
        "answer_timeout": timedelta(seconds=PATIENCE_S),
        **settings,
    }
    app = create_app(Settings.model_validate(values), metrics=metrics, authenticator=Authenticator(RING))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://localhost",
            headers=of("ann"),
            timeout=PATIENCE_S,
        ) as client,
    ):
        yield Running(app, client, metrics)
