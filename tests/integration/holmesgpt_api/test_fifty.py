"""Fifty investigations accepted at once: none is lost, and each ends by its deadline, whatever becomes of the worker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.fakes.context_api import FakeContextApi
from tests.integration.holmesgpt_api.test_events import followed
from tests.support.holmesgpt import Place, ended, serving

pytestmark = pytest.mark.requirement("HAPI-005", "HAPI-038", "HAPI-131", "HAPI-134")


@pytest.fixture
def here(here: Place) -> Place:
    return here.missing_workers_soon()


INVESTIGATE = "/api/v1/investigate"
LIFE_S = 30.0
"""Longer than a worker takes to start twice on a busy machine: one that is away cannot end anything in time."""

SPARE_S = 3.0
"""For the job that ends what is over."""


def alert(number: int) -> dict[str, Any]:
    return {"alert_name": f"Alert{number}", "namespace": "shop", "labels": {"pod": "checkout-1"}}


@pytest.mark.parametrize("context_comes_back", [True, False])
async def test_fifty_accepted_at_once_all_end_by_their_deadline_though_the_worker_is_killed(
    here: Place, context: FakeContextApi, context_comes_back: bool
):
    context.mood = "unavailable"
    more: dict[str, Any] = {"investigation_timeout": LIFE_S, "context_api_timeout": 1.0}
    worker = here.worker_process(**more)
    try:
        async with serving(here.settings(**more), here.api_key) as api:
            answers = await asyncio.gather(
                *(api.post(f"{INVESTIGATE}/async", json=alert(number)) for number in range(50))
            )
            ids = [answer.json()["investigation_id"] for answer in answers]
            await asyncio.to_thread(context.wait_for_calls, 1, "/api/v1/context/resolve")
            worker.kill()
            worker.wait()
            worker = here.worker_process(**more)
            context.mood = "answers" if context_comes_back else "unavailable"
            bodies = [await ended(api, id_, within=60) for id_ in ids]
            last = [(await followed(api, id_))[-1].name for id_ in ids]
    finally:
        worker.kill()
        worker.wait()

    assert [answer.status_code for answer in answers] == [202] * 50
    assert len(set(ids)) == 50
    assert max(body["duration_seconds"] for body in bodies) <= LIFE_S + SPARE_S
    assert last == [body["status"] for body in bodies]
    assert {body["status"] for body in bodies} == ({"completed"} if context_comes_back else {"failed"})
