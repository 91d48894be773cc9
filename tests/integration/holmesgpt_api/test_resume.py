"""Kills at every level, with the real HolmesGPT and a scripted model: a run goes on where it was, and asks nothing twice."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from libs.contracts.causes import CausesAnswer
from libs.storage import Database
from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import context_api
from tests.fakes.model import agreeing, model
from tests.support.engine import Engine, engine, is_alive, with_model
from tests.support.holmesgpt import ended, place, serving
from tests.support.investigations import CONFIG, cause, evidence, found
from tests.support.postgres import MakeDatabase

pytestmark = [
    pytest.mark.needs("holmes-engine"),
    pytest.mark.requirement("HAPI-029", "HAPI-026", "HAPI-005"),
    pytest.mark.xdist_group("holmes-engine"),
]

INVESTIGATE = "/api/v1/investigate"
ALERT = {
    "alert_name": "KubePodCrashLooping",
    "namespace": "shop",
    "labels": {"namespace": "shop", "pod": "checkout-1"},
}
BEFORE = "ev-00000000000000b1"
"""Evidence that only the first tool call shows, before the kill."""

ASKED = {"shop/Deployment.apps/a": BEFORE, "data/StatefulSet.apps/b": "ev-00000000000000b2"}
THIRD = "data/ConfigMap/c"


@dataclass
class Telling:
    """The Context API's answers; the third tool call waits for `go_on` the first time it is asked."""

    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def __call__(self, path: str) -> CausesAnswer:
        for place_, id_ in ASKED.items():
            if place_ in path:
                return shown(id_)
        if THIRD in path and not self.reached.is_set():
            self.reached.set()
            self.go_on.wait(60)
        return shown("ev-00000000000000e1")


def shown(id_: str) -> CausesAnswer:
    fact = evidence(id_)
    return found(cause(evidence_ids=[id_]), evidence=[fact], findings=[])


def citing_what_was_seen_before(known: dict[str, Any]) -> dict[str, Any]:
    document = agreeing(known)
    ids = [line.partition(":")[0] for line in known["evidence"]]
    document["cause"]["evidence_ids"] = [BEFORE] if BEFORE in ids else []
    document["cause"]["target"] = str(CONFIG)
    return document


@pytest.fixture(scope="module")
def shared(module_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with context_api() as context, model() as fake:
        here = place(module_database(SCHEMA, migrated=True), context.url, tmp_path_factory.mktemp("resume"))
        with engine(here, context, fake) as running:
            yield running


@pytest.fixture
def there(shared: Engine) -> Iterator[Engine]:
    prepare(shared)
    yield shared
    shared.model.let_go()


def prepare(there: Engine) -> Telling:
    telling = Telling()
    there.model.reset()
    there.model.mood, there.model.document = "digs", citing_what_was_seen_before
    there.context.about = telling
    return telling


async def rows(there: Engine) -> int:
    database = Database(there.settings(), application=SCHEMA)
    async with database.begin() as conn:
        count: int = (await conn.execute(text("SELECT count(*) FROM step"))).scalar_one()
    await database.close()
    return count


def assert_it_went_on(body: dict[str, Any], there: Engine, *, asked: int, resumed: int = 1) -> None:
    assert (body["engine"], body["degraded_reason"]) == ("holmesgpt", None), body["metadata"]
    assert body["results"]["cause"]["evidence_ids"] == [BEFORE]
    assert BEFORE in [one["id"] for one in body["results"]["evidence"]]
    assert len(there.model.requests) == asked
    used = body["metadata"]["model"]
    assert (used["steps"], used["requests"], used["resumed"]) == (5, 5, resumed)
    assert (used["prompt_tokens"], used["completion_tokens"]) == (5000, 250)
    assert [one["tool"] for one in used["tools"]] == ["get_causes"] * 3
    assert all(one["ok"] for one in used["tools"])


async def test_a_run_whose_process_is_killed_after_three_of_five_steps_asks_five_times_in_all(there: Engine):
    telling = prepare(there)
    async with serving(there.settings(), there.place.api_key) as api:
        taken = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()
        assert await asyncio.to_thread(telling.reached.wait, 60)
        kept = await rows(there)
        (child,) = await asyncio.to_thread(there.wait_for_children, 1)
        os.kill(child, signal.SIGKILL)
        body = await ended(api, taken["investigation_id"], within=60)
        telling.go_on.set()

    assert_it_went_on(body, there, asked=5)
    assert (kept, await rows(there)) == (1, 0)


async def test_a_question_under_way_is_put_again_and_those_before_it_are_not(there: Engine):
    prepare(there).reached.set()
    there.model.holds_at = 5  # the document
    async with serving(there.settings(), there.place.api_key) as api:
        taken = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()
        await asyncio.to_thread(there.model.wait_for, 5)
        (child,) = await asyncio.to_thread(there.wait_for_children, 1)
        os.kill(child, signal.SIGKILL)
        body = await ended(api, taken["investigation_id"], within=60)

    assert there.model.requests[4]["messages"] == there.model.requests[5]["messages"]
    assert_it_went_on(body, there, asked=6)


async def test_a_run_whose_engine_is_killed_goes_on_in_the_next_one(there: Engine):
    telling = prepare(there)
    async with serving(there.settings(), there.place.api_key) as api:
        taken = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()
        assert await asyncio.to_thread(telling.reached.wait, 60)
        os.kill(there.processes()[0], signal.SIGKILL)
        body = await ended(api, taken["investigation_id"], within=120)
        telling.go_on.set()

    assert_it_went_on(body, there, asked=5)


async def test_a_run_whose_worker_is_killed_goes_on_in_another_worker(
    module_database: MakeDatabase, tmp_path: Path
):
    with context_api() as context, model() as fake:
        here = place(module_database(SCHEMA, migrated=True), context.url, tmp_path).missing_workers_soon()
        with engine(here, context, fake) as first:
            telling = prepare(first)
            async with serving(first.settings(), here.api_key) as api:
                taken = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()
                assert await asyncio.to_thread(telling.reached.wait, 90)
                engines = first.processes()
                first.worker.kill()
                first.worker.wait()
        # The API that took it is gone as well.
        second = here.worker_process(**with_model(fake))
        try:
            async with serving(first.settings(), here.api_key) as api:
                body = await ended(api, taken["investigation_id"], within=120)
        finally:
            telling.go_on.set()
            second.kill()
            second.wait()

    assert_it_went_on(body, first, asked=5)
    assert not any(is_alive(pid) for pid in engines)
