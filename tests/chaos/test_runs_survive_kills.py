"""Kill -9 of a run's process, of the engine and of the worker: every run ends with the model's verdict, and asks
nothing again that was answered."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from libs.contracts.causes import CausesAnswer
from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import FakeContextApi, context_api
from tests.fakes.model import FakeModel, model
from tests.support.engine import children_of, command_of, name_of, with_model
from tests.support.holmesgpt import Place, ended, place, serving
from tests.support.investigations import cause, evidence, found
from tests.support.postgres import MakeDatabase

pytestmark = [
    pytest.mark.needs("holmes-engine"),
    pytest.mark.requirement("HAPI-029", "HAPI-005", "HAPI-040"),
    pytest.mark.xdist_group("holmes-engine"),
]

INVESTIGATE = "/api/v1/investigate"
VICTIMS = ("child",) * 6 + ("engine",) * 2 + ("worker",) * 2
STEPS = 5
TOOL_TAKES = 0.3
"""Seconds: long enough for kills to find runs in every state."""


def unhurried(path: str) -> CausesAnswer:
    time.sleep(TOOL_TAKES)
    id_ = "ev-00000000000000e1"
    return found(cause(evidence_ids=[id_]), evidence=[evidence(id_)], findings=[])


@dataclass
class Kills:
    """Kills victims at random moments, the same ones for the same seed."""

    here: Place
    context: FakeContextApi
    model: FakeModel
    chance: random.Random
    worker: subprocess.Popen[bytes]
    under_way: int = 0
    """Questions that may have been at the model when it happened, over all kills."""
    killed: Counter[str] = field(default_factory=Counter)

    def settings(self) -> dict[str, Any]:
        return {**with_model(self.model), "investigation_timeout": 1200}

    def engines(self) -> list[int]:
        return [pid for pid in children_of(self.worker.pid) if "holmesgpt_api.engine" in command_of(pid)]

    def children(self) -> list[int]:
        found = [child for engine in self.engines() for child in children_of(engine)]
        return [child for child in found if name_of(child) == "holmes-busy"]

    async def one(self) -> None:
        """Wait for a random number of further questions, and kill somebody who has a run."""
        more = len(self.model.requests) + self.chance.randint(1, STEPS)
        await asyncio.to_thread(self.model.wait_for, more, within=180)
        await asyncio.sleep(self.chance.random() * TOOL_TAKES)
        victim = self.chance.choice(VICTIMS)
        children = self.children()
        match victim:
            case "child" if children:
                os.kill(self.chance.choice(children), signal.SIGKILL)
                self.under_way += 1
            case "engine":
                os.kill(self.engines()[0], signal.SIGKILL)
                self.under_way += len(children)
            case "worker":
                self.worker.kill()
                self.worker.wait()
                self.under_way += len(children)
                self.worker = self.here.worker_process(**self.settings())
            case _:
                return
        self.killed[victim] += 1


async def campaign(make: MakeDatabase, folder: Path, *, kills: int, seed: int) -> None:
    with context_api() as context, model() as fake:
        here = place(make(SCHEMA), context.url, folder).missing_workers_soon()
        fake.mood, context.about = "digs", unhurried
        first = here.worker_process(**with_model(fake), investigation_timeout=1200)
        killing = Kills(here, context, fake, random.Random(seed), first)
        try:
            async with serving(here.settings(**killing.settings()), here.api_key) as api:
                ids: list[str] = []
                while killing.killed.total() < kills:
                    ids += [await begun(api, len(ids) + number) for number in range(2)]
                    await killing.one()
                bodies = [await ended(api, one, within=300) for one in ids]
        finally:
            killing.worker.kill()
            killing.worker.wait()

    again = len(fake.requests) - STEPS * len(ids)
    resumed = sum(one["metadata"]["model"]["resumed"] for one in bodies)
    print(
        f"{dict(killing.killed)} killed over {len(ids)} runs: {resumed} times a run went on, {again} questions put "
        f"again of {killing.under_way} that may have been under way"
    )
    assert {(one["status"], one["engine"], one["degraded_reason"]) for one in bodies} == {
        ("completed", "holmesgpt", None)
    }
    assert {one["metadata"]["model"]["steps"] for one in bodies} == {STEPS}
    assert 0 <= again <= killing.under_way
    assert resumed >= 1


async def begun(api: httpx.AsyncClient, number: int) -> str:
    alert = {"alert_name": f"Alert{number}", "labels": {"namespace": "shop", "pod": "checkout-1"}}
    taken = await api.post(f"{INVESTIGATE}/async", json=alert)
    id_: str = taken.json()["investigation_id"]
    return id_


@pytest.mark.campaign
async def test_twenty_kills_cost_no_run_its_verdict_and_no_answer_is_asked_for_twice(
    module_database: MakeDatabase, tmp_path: Path
):
    await campaign(module_database, tmp_path, kills=20, seed=20261127)
