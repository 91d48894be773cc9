"""Load that goes on, at a model that takes 200 ms for each answer: every investigation ends with its verdict, in time, and
nobody's place is lost."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import context_api
from tests.fakes.model import model
from tests.support.engine import Engine, engine
from tests.support.holmesgpt import ended, place
from tests.support.investigations import cause, evidence, found
from tests.support.on_a_socket import OnASocket, on_a_socket
from tests.support.postgres import MakeDatabase

pytestmark = [
    pytest.mark.needs("holmes-engine"),
    pytest.mark.requirement("HAPI-131", "HAPI-133", "HAPI-134"),
    pytest.mark.xdist_group("holmes-engine"),
]

INVESTIGATE = "/api/v1/investigate"
ABOUT = "why does Deployment.apps/shop/checkout fail?"
ID = "ev-00000000000000e1"
LATENCY_S = 0.2
LIFE_S = 240.0
AGAIN_S = 1.0
"""Pause of a client that was told that nothing was recorded."""


@dataclass(frozen=True)
class Load:
    """`investigations` of them, `every` so many seconds one; and in their midst `chats` sockets that ask at once."""

    investigations: int
    every: float
    chats: int = 0


@dataclass(frozen=True)
class Chatted:
    """One question on a socket. `refused`: how often it was told to send it again, since nothing was recorded."""

    seconds: float
    refused: int
    body: dict[str, Any]


@dataclass(frozen=True)
class Seen:
    bodies: Sequence[dict[str, Any]]
    seconds: float
    """From the first question to the last end."""
    chats: Sequence[Chatted]

    @property
    def per_minute(self) -> float:
        return len(self.bodies) / self.seconds * 60

    def report(self) -> str:
        took = sorted(float(one["duration_seconds"]) for one in self.bodies)
        said = (
            f"{len(took)} investigations in {self.seconds:.0f} s, {self.per_minute:.0f} a minute: median "
            f"{median(took):.1f} s, p95 {quantiles(took, n=20)[18]:.1f} s, longest {took[-1]:.1f} s"
        )
        if not self.chats:
            return said
        waits = sorted(one.seconds for one in self.chats)
        refused = sum(one.refused for one in self.chats)
        return (
            f"{said}; {len(waits)} sockets: median {median(waits):.1f} s, p95 {quantiles(waits, n=20)[18]:.1f} s, "
            f"{refused} times sent again"
        )


async def under(load: Load, make: MakeDatabase, folder: Path) -> Seen:
    answer = found(cause(evidence_ids=[ID]), evidence=[evidence(ID)])
    with context_api(causes=answer) as context, model() as fake:
        here = place(make(SCHEMA), context.url, folder)
        with engine(here, context, fake, investigation_timeout=LIFE_S) as there:
            settings = there.settings(
                chat_questions=200, chat_timeout=180, database_pool_size=8, rate_limit_requests=1_000_000
            )
            async with on_a_socket(settings) as api, _client(api, there) as http:
                await _warm(http)
                fake.delay = LATENCY_S
                return await _loaded(load, http, api, there)


def _client(api: OnASocket, there: Engine) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {there.place.api_key}"}
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{api.port}", headers=headers, timeout=60, trust_env=False
    )


async def _warm(http: httpx.AsyncClient) -> None:
    """The first one waits for the engine, which takes long to start."""
    await ended(http, await _taken(http, "warm"), within=120)


async def _taken(http: httpx.AsyncClient, name: str) -> str:
    labels = {"namespace": "shop", "pod": "checkout-1"}
    answer = await http.post(f"{INVESTIGATE}/async", json={"alert_name": name, "labels": labels})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["investigation_id"])


async def _loaded(load: Load, http: httpx.AsyncClient, api: OnASocket, there: Engine) -> Seen:
    began = time.monotonic()

    taken: list[str] = []

    async def one(number: int) -> None:
        await asyncio.sleep(number * load.every)
        taken.append(await _taken(http, f"Alert{number}"))

    async def chat() -> Chatted:
        await asyncio.sleep(load.investigations * load.every / 2)
        return await _chatted(api, there)

    async with asyncio.TaskGroup() as together:
        for number in range(load.investigations):
            together.create_task(one(number))
        chats = [together.create_task(chat()) for _ in range(load.chats)]
    # One after the other: fifty who ask all the time how far theirs is would be the load.
    bodies = [await ended(http, id_, within=LIFE_S + 10) for id_ in taken]
    return Seen(bodies, time.monotonic() - began, [one.result() for one in chats])


async def _chatted(api: OnASocket, there: Engine) -> Chatted:
    headers = {"Authorization": f"Bearer {there.place.api_key}"}
    async with connect(api.chat, additional_headers=headers, proxy=None, open_timeout=60) as socket:
        asked, refused = time.monotonic(), 0
        while True:
            await socket.send(json.dumps({"message": ABOUT}))
            body: dict[str, Any] = {"kind": "not yet"}
            while "kind" in body:
                body = json.loads(await socket.recv())
            if body.get("code") != "storage-unavailable":
                return Chatted(time.monotonic() - asked, refused, body)
            refused += 1
            await asyncio.sleep(AGAIN_S)


def check(seen: Seen, *, per_minute: float) -> None:
    print(seen.report())
    assert {(one["status"], one["engine"], one["degraded_reason"]) for one in seen.bodies} == {
        ("completed", "holmesgpt", None)
    }
    assert len({one["investigation_id"] for one in seen.bodies}) == len(seen.bodies)
    assert max(one["duration_seconds"] for one in seen.bodies) <= LIFE_S
    assert seen.per_minute >= per_minute
    assert [one.body for one in seen.chats if one.body.get("metadata", {}).get("engine") != "holmesgpt"] == []


async def test_fifty_taken_at_once_end_in_time_with_the_models_verdict(
    fresh_database: MakeDatabase, tmp_path: Path
):
    check(await under(Load(50, every=0.0), fresh_database, tmp_path), per_minute=10)


async def test_more_than_ten_a_minute_are_kept_up_with(fresh_database: MakeDatabase, tmp_path: Path):
    check(await under(Load(10, every=1.5), fresh_database, tmp_path), per_minute=20)


@pytest.mark.campaign
async def test_thirty_a_minute_and_a_hundred_sockets_for_three_minutes(
    fresh_database: MakeDatabase, tmp_path: Path
):
    check(await under(Load(90, every=2.0, chats=100), fresh_database, tmp_path), per_minute=25)
