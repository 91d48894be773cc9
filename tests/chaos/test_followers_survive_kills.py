"""Kill -9 of the API's replicas and of the worker: who follows an investigation misses no event and is told none twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.holmesgpt_api.wiring import SCHEMA
from tests.chaos.followers import FollowersCampaign
from tests.fakes.context_api import FakeContextApi, context_api
from tests.support.holmesgpt import Place, place
from tests.support.ports import free_ports
from tests.support.postgres import MakeDatabase

pytestmark = [
    pytest.mark.requirement("HAPI-005", "HAPI-129", "HAPI-131"),
    pytest.mark.xdist_group("stack"),
]


@pytest.fixture
def context() -> Iterator[FakeContextApi]:
    with context_api() as fake:
        yield fake


@pytest.fixture
def here(fresh_database: MakeDatabase, context: FakeContextApi, tmp_path: Path) -> Place:
    return place(fresh_database(SCHEMA, migrated=True), context.url, tmp_path).missing_workers_soon()


async def campaign_of(here: Place, context: FakeContextApi, *, kills: int, at_once: int) -> None:
    began = time.monotonic()
    with FollowersCampaign(here, context, free_ports(2), life_s=300) as campaign:
        judgement = await campaign.run(investigations=0, at_once=at_once, kills=kills)

    print(
        f"{campaign.killed.total()} kills {dict(campaign.killed)}, {campaign.well_aimed} while something was followed: "
        f"{judgement.followed} investigations, {judgement.breaks} broken streams, ends {dict(judgement.ends)}, "
        f"{len(judgement.missing)} told wrongly, {len(judgement.late)} late; {time.monotonic() - began:.0f} s"
    )
    assert campaign.killed.total() == kills
    assert min(campaign.killed["api"], campaign.killed["worker"]) >= kills // 3
    assert campaign.well_aimed >= kills // 2
    assert judgement.breaks >= 1
    assert judgement.holds, judgement
    assert judgement.ends == {"completed": judgement.followed}


async def test_followers_miss_nothing_over_a_kill_of_each(here: Place, context: FakeContextApi):
    await campaign_of(here, context, kills=3, at_once=8)


@pytest.mark.campaign
async def test_followers_miss_nothing_over_three_hundred_kills(here: Place, context: FakeContextApi):
    await campaign_of(here, context, kills=300, at_once=20)
