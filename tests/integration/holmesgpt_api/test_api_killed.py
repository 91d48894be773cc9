"""The API's process is killed while runs are at a model: none is lost, none is asked for twice, and its callers find
theirs again."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import context_api
from tests.fakes.model import model
from tests.support.engine import Engine, engine
from tests.support.holmesgpt import ended, place
from tests.support.investigations import cause, evidence, found
from tests.support.ports import free_ports
from tests.support.postgres import MakeDatabase

pytestmark = [
    pytest.mark.needs("holmes-engine"),
    pytest.mark.requirement("HAPI-005", "HAPI-029", "HAPI-040"),
    pytest.mark.xdist_group("holmes-engine"),
]

INVESTIGATE, CHAT = "/api/v1/investigate", "/api/v1/chat"
ABOUT = "why does Deployment.apps/shop/checkout fail?"
ID = "ev-00000000000000e1"
RUNS, STEPS = 3, 3
KEYS = {"Idempotency-Key": "asked-again"}
UNHURRIED = {"sync_answer_timeout": 240}
"""Seconds: a process takes several to start, and nobody is to be answered by triage meanwhile."""


@contextmanager
def replica(there: Engine, port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = there.place.api_process(port, **there.with_model, **UNHURRIED)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def calling(there: Engine, port: int) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the replica, once it answers."""
    headers = {"Authorization": f"Bearer {there.place.api_key}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=240) as client:
        async with asyncio.timeout(60):
            while True:
                try:
                    await client.get("/health")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
        yield client


def alert(number: int) -> dict[str, Any]:
    labels = {"namespace": "shop", "pod": "checkout-1"}
    told = {"number": str(number)}
    return {"alert_name": "KubePodCrashLooping", "namespace": "shop", "labels": labels, "annotations": told}


async def test_an_api_killed_while_runs_are_at_a_model_loses_none_and_doubles_none(
    fresh_database: MakeDatabase, tmp_path: Path
):
    with context_api() as context, model() as fake:
        context.causes = found(cause(evidence_ids=[ID]), evidence=[evidence(ID)])
        here = place(fresh_database(SCHEMA, migrated=True), context.url, tmp_path)
        (port,) = free_ports(1)
        fake.mood = "hangs"
        with engine(here, context, fake, llm_timeout=240) as there:
            with replica(there, port) as first:
                async with calling(there, port) as api:
                    waits = asyncio.create_task(api.post(INVESTIGATE, json=alert(0), headers=KEYS))
                    asks = asyncio.create_task(api.post(CHAT, json={"message": ABOUT}, headers=KEYS))
                    taken = [await api.post(f"{INVESTIGATE}/async", json=alert(n + 1)) for n in range(RUNS)]
                    await asyncio.to_thread(fake.wait_for, RUNS + 2)
                    first.kill()
                    lost = await asyncio.gather(waits, asks, return_exceptions=True)
            with replica(there, port):
                async with calling(there, port) as api:
                    again = asyncio.create_task(api.post(INVESTIGATE, json=alert(0), headers=KEYS))
                    answer = asyncio.create_task(api.post(CHAT, json={"message": ABOUT}, headers=KEYS))
                    fake.mood = "concludes"
                    fake.let_go()
                    ids = [one.json()["investigation_id"] for one in taken]
                    bodies = [await ended(api, one, within=180) for one in ids]
                    bodies.append((await again).json())
                    chatted = (await answer).json()
                    listed = (await api.get(INVESTIGATE)).json()

    assert all(isinstance(one, httpx.TransportError) for one in lost), lost
    assert {(one["status"], one["engine"], one["degraded_reason"]) for one in bodies} == {
        ("completed", "holmesgpt", None)
    }
    assert {one["metadata"]["model"]["resumed"] for one in bodies} == {0}
    assert sorted(one["investigation_id"] for one in listed["items"]) == sorted(
        [*ids, bodies[-1]["investigation_id"]]
    )
    assert chatted["metadata"]["engine"] == "holmesgpt"
    assert len(fake.requests) == (RUNS + 1) * STEPS + 2, "nothing was asked twice"
