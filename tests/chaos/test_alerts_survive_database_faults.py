"""The database freezes, or its disk is full: 503 with Retry-After, and what was acknowledged is there once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from libs.storage.embedded.place import prepare
from tests.chaos.campaign import held
from tests.chaos.faults import FaultCampaign, FrozenDatabase, FullDisk
from tests.chaos.history import judge
from tests.support.stack import Stack, running
from tests.support.tmpfs import MountRefused, small_disk, without_disk

pytestmark = [
    pytest.mark.requirement("INT-BR-REL-004", "INT-BR-REL-011", "INT-BR-REL-014", "INT-BR-WH-007"),
    pytest.mark.xdist_group("stack"),
]

DISK_MB = 192
"""A new database takes 40 MB, and its log up to 64 MB more before the ballast comes."""


@asynccontextmanager
async def alerts_alone(state: Path) -> AsyncIterator[Stack]:
    async with running(state, services={"alerts"}, environment={"INGEST_COMMIT_DEADLINE": "1"}) as stack:
        yield stack


async def judged(campaign: FaultCampaign) -> None:
    await campaign.run()
    verdict = judge(campaign.history, await held(campaign.stack, campaign.alerts))
    print(
        f"{type(campaign).__name__}, {campaign.rounds} times: {verdict}; attempts {dict(campaign.history.attempts)}; "
        f"slowest recovery {max(campaign.recoveries_s):.1f} s"
    )
    assert len(campaign.recoveries_s) == campaign.rounds
    assert campaign.refused >= campaign.rounds
    assert verdict.acknowledged == campaign.alerts
    assert verdict.holds, verdict


async def freeze(state: Path, *, alerts: int, rounds: int) -> None:
    async with alerts_alone(state) as stack:
        await judged(FrozenDatabase(stack, alerts=alerts, rounds=rounds, patience_s=120 + 30 * rounds))


async def fill_disk(state: Path, *, alerts: int, rounds: int) -> None:
    disk = prepare(state / "postgres").home
    try:
        with small_disk(disk, megabytes=DISK_MB):
            async with alerts_alone(state) as stack:
                patience_s = 120.0 + 30 * rounds
                campaign = FullDisk(stack, alerts=alerts, rounds=rounds, patience_s=patience_s, disk=disk)
                await judged(campaign)
                print(f"the server ended in {campaign.ended} of {rounds} rounds")
    except MountRefused as error:
        without_disk(error, in_ci=os.environ.get("CI") == "true")


async def test_a_database_that_freezes_under_load_loses_nothing(tmp_path: Path):
    await freeze(tmp_path, alerts=1_000, rounds=1)


async def test_a_full_disk_refuses_what_it_cannot_keep_and_recovers_by_itself_once_there_is_room(
    tmp_path: Path,
):
    await fill_disk(tmp_path, alerts=1_000, rounds=1)


@pytest.mark.campaign
async def test_a_database_that_freezes_again_and_again_loses_nothing(tmp_path: Path):
    await freeze(tmp_path, alerts=10_000, rounds=20)


@pytest.mark.campaign
async def test_a_disk_that_is_full_again_and_again_loses_nothing(tmp_path: Path):
    await fill_disk(tmp_path, alerts=5_000, rounds=20)
