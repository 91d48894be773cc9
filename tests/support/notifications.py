"""A notifications service for tests: in this process, its worker beside it or as a process to be killed.

Run as `python -m tests.support.notifications SETTINGS` (JSON) it is that worker process.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from libs.auth.authenticator import Authenticator
from libs.auth.new_keys import new_keys_file
from libs.metrics import Metrics
from libs.storage import Database
from services.notifications import wiring
from services.notifications.main import create_app
from services.notifications.settings import Settings
from tests.support.children import start
from tests.support.postgres import FreshDatabase

PATH = "/api/v1/notifications"
QUICK = {
    "worker_heartbeat": 0.2,
    "worker_poll": 0.1,
    "worker_graceful_stop": 0.5,
    "delivery_first_pause": 0.2,
    "delivery_longest_pause": 0.4,
    "channel_pause": 0.3,
    "slack_interval": 0.0,
    "slack_timeout": 2.0,
    "smtp_timeout": 5.0,
}
"""Everything that waits, waits less; nothing else differs from an installation."""

SOON_MISSED = {"worker_stalled_after": 0.8}
"""Where workers are killed, and nowhere else: a machine that stands still for a second has no dead worker on it."""

ENDED = frozenset({"sent", "partially_sent", "failed"})


@dataclass(frozen=True)
class Place:
    """Everything a service needs, with keys of its own."""

    values: dict[str, Any]
    api_key: str

    def missing_workers_soon(self) -> Place:
        return replace(self, values={**self.values, **SOON_MISSED})

    def settings(self, **others: Any) -> Settings:
        return Settings.model_validate({**QUICK, **self.values, **others})

    def worker_process(self, **others: Any) -> subprocess.Popen[bytes]:
        settings = json.dumps({**QUICK, **self.values, **others})
        return start("tests.support.notifications", settings, stdout=subprocess.PIPE)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        database = Database(self.settings(), application=wiring.SERVICE)
        try:
            yield database
        finally:
            await database.close()

    async def run(self, statement: str, **values: Any) -> list[Mapping[str, Any]]:
        """One statement on the service's own tables."""
        async with self.database() as database, database.begin() as conn:
            result = await conn.execute(text(statement), values)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []


def place(database: FreshDatabase, folder: Path) -> Place:
    keys = folder / "keys.yaml"
    made = new_keys_file(keys)
    values = {"database_url": database.url(wiring.SERVICE), "auth_keys_file": str(keys)}
    return Place(values, made.operator_key)


@asynccontextmanager
async def serving(
    here: Place, *, authenticator: Authenticator | None = None, **others: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """The API in this process; a client that calls it with the operator's key."""
    settings = here.settings(**others)
    app = create_app(settings, authenticator=authenticator or Authenticator.from_settings(settings))
    headers = {"Authorization": f"Bearer {here.api_key}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", headers=headers, timeout=60
        ) as client,
    ):
        yield client


@asynccontextmanager
async def working(here: Place, **others: Any) -> AsyncIterator[Metrics]:
    """Its worker in this process."""
    stop, metrics = asyncio.Event(), Metrics(wiring.SERVICE)
    task = asyncio.create_task(wiring.working(here.settings(**others), metrics, stop))
    try:
        yield metrics
    finally:
        stop.set()
        await task


def telling(**fields: Any) -> dict[str, Any]:
    return {
        "subject": "[P1] CheckoutDown on Deployment/shop/checkout",
        "body": "Cause: ConfigMap/shop/settings",
        "priority": "P1",
        "incident_id": "inc-1",
        "episode_id": "epi-1",
        **fields,
    }


async def send(api: httpx.AsyncClient, key: str | None = None, **fields: Any) -> dict[str, Any]:
    """Have it told; the answer."""
    headers = {"Idempotency-Key": key} if key else {}
    answer = await api.post(PATH, json=telling(**fields), headers=headers)
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def until(
    api: httpx.AsyncClient,
    notification_id: str,
    wanted: Callable[[dict[str, Any]], bool] = lambda one: one["status"] in ENDED,
    *,
    within: float = 20,
) -> dict[str, Any]:
    """The notification once it is as wanted."""
    body: dict[str, Any] = {}
    try:
        async with asyncio.timeout(within):
            while True:
                body = (await api.get(f"{PATH}/{notification_id}")).json()
                if wanted(body):
                    return body
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not in {within} s; it is {body}") from None


if __name__ == "__main__":
    asyncio.run(
        wiring.working(
            Settings.model_validate(json.loads(sys.argv[1])), Metrics(wiring.SERVICE), asyncio.Event()
        )
    )
