"""A HolmesGPT API for tests: in this process, its worker beside it or as a process to be killed.

Run as `python -m tests.support.holmesgpt SETTINGS` (JSON) it is that worker process, and with `api` behind it a replica of
the API.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, NoReturn

import httpx
from fastapi import FastAPI

from libs.auth.authenticator import Authenticator
from libs.auth.new_keys import new_keys_file
from libs.metrics import Metrics
from libs.web import serve
from libs.web.server import Program
from services.holmesgpt_api import wiring
from services.holmesgpt_api.main import create_app
from services.holmesgpt_api.settings import Settings
from tests.support.children import start
from tests.support.postgres import FreshDatabase

QUICK = {
    "worker_heartbeat": 0.2,
    "worker_poll": 0.1,
    "worker_graceful_stop": 0.5,
}

SOON_MISSED = {"worker_stalled_after": 0.8}
"""Where workers are killed, and nowhere else: a machine that stands still for a second has no dead worker on it."""


@dataclass(frozen=True)
class Place:
    """Everything a service needs, with keys of its own."""

    values: dict[str, Any]
    api_key: str

    def missing_workers_soon(self) -> Place:
        return replace(self, values={**self.values, **SOON_MISSED})

    def settings(self, **others: Any) -> Settings:
        return Settings.model_validate({**QUICK, **self.values, **others})

    def worker_process(self, log: IO[bytes] | None = None, **others: Any) -> subprocess.Popen[bytes]:
        settings = json.dumps({**QUICK, **self.values, **others})
        kept = {"stdout": log, "stderr": log} if log else {"stdout": subprocess.DEVNULL}
        return start("tests.support.holmesgpt", settings, **kept)

    def api_process(self, port: int, **others: Any) -> subprocess.Popen[bytes]:
        """A replica of the API on that port."""
        own = {"port": port, "metrics_port": 0, "role": "api", "rate_limit_requests": 1_000_000}
        settings = json.dumps({**QUICK, **self.values, **own, **others})
        # Nobody reads what it says, and a full pipe would stop it.
        nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return start("tests.support.holmesgpt", settings, "api", **nowhere)


def place(database: FreshDatabase, context_url: str, folder: Path) -> Place:
    keys = folder / "keys.yaml"
    made = new_keys_file(keys)
    values = {
        "database_url": database.url(wiring.SCHEMA),
        "context_api_url": context_url,
        "auth_keys_file": str(keys),
    }
    return Place(values, made.operator_key)


@asynccontextmanager
async def serving(
    settings: Settings, api_key: str | None = None, metrics: Metrics | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """The API in this process; a client that calls it, from 127.0.0.1."""
    app = create_app(settings, metrics=metrics, authenticator=Authenticator.from_settings(settings))
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", headers=headers, timeout=60
        ) as client,
    ):
        client_app: FastAPI = app
        assert client_app.state.ports
        yield client


@asynccontextmanager
async def working(settings: Settings, metrics: Metrics | None = None) -> AsyncIterator[Metrics]:
    """Its worker in this process."""
    stop, counted = asyncio.Event(), metrics or Metrics("holmesgpt-api")
    task = asyncio.create_task(wiring.working(settings, counted, stop))
    try:
        yield counted
    finally:
        stop.set()
        await task


async def ended(client: httpx.AsyncClient, investigation_id: str, *, within: float = 20) -> dict[str, Any]:
    """The investigation once it has ended."""
    body: dict[str, Any] = {}
    try:
        async with asyncio.timeout(within):
            while True:
                body = (await client.get(f"/api/v1/investigate/{investigation_id}")).json()
                if body["status"] in ("completed", "failed", "cancelled"):
                    return body
                await asyncio.sleep(0.05)
    except TimeoutError:
        shown = {name: body.get(name) for name in ("status", "progress", "engine", "metadata")}
        raise AssertionError(f"not ended within {within:g} s: {shown}") from None


def as_go_sends_it(**fields: Any) -> dict[str, Any]:
    """The Go application's body: the Python server's fields, `request_id` and `strategy_optimization`."""
    return {
        "alert_name": "KubePodCrashLooping",
        "namespace": "shop",
        "labels": {"namespace": "shop", "pod": "checkout-1", "severity": "critical"},
        "annotations": None,
        "priority": "high",
        "async_processing": False,
        "include_context": True,
        "request_id": "inv-1731921850",
        "strategy_optimization": True,
        **fields,
    }


def _api(settings: Settings) -> NoReturn:
    metrics = Metrics("holmesgpt-api")
    serve(Program("holmesgpt-api", settings, lambda: create_app(settings, metrics=metrics), metrics))


if __name__ == "__main__":
    given = Settings.model_validate(json.loads(sys.argv[1]))
    if sys.argv[2:] == ["api"]:
        _api(given)
    asyncio.run(wiring.working(given, Metrics("holmesgpt-api"), asyncio.Event()))
