"""Kill -9 of the alerts API and of all workers: alerts, investigations and mails are there once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.chaos.whole import ALERTS_PER_WORKLOAD, VICTIMS, WholeCampaign, everything

pytestmark = [
    pytest.mark.requirement(
        "INT-BR-REL-004",
        "INT-BR-REL-011",
        "INT-BR-REL-012",
        "INT-BR-REL-013",
        "INT-BR-REL-014",
        "INT-BR-WH-007",
    ),
    pytest.mark.xdist_group("stack"),
]


async def campaign_of(
    state: Path, *, alerts: int, kills_each: int, patience_s: float, settle_s: float
) -> None:
    began = time.monotonic()
    async with everything(state, alerts // ALERTS_PER_WORKLOAD) as (stack, box):
        campaign = WholeCampaign(stack, alerts=alerts, kills_each=kills_each, patience_s=patience_s, box=box)
        await campaign.run()
        posted = time.monotonic()
        found = await campaign.settle(settle_s)
        settled = time.monotonic()
        verdict = campaign.judge(found)

    slowest = max(campaign.recoveries_s, default=0.0)
    print(
        f"{len(campaign.killed)} kills, {campaign.well_aimed} in the middle of a mail or an investigation: {verdict}; "
        f"attempts {dict(campaign.history.attempts)}; slowest recovery {slowest:.1f} s, "
        f"all settled {settled - posted:.1f} s after the last post, {settled - began:.0f} s in all"
    )
    assert campaign.killed.count(VICTIMS[0]) == kills_each
    assert len(campaign.killed) == len(VICTIMS) * kills_each
    assert campaign.well_aimed
    assert verdict.alerts.acknowledged == alerts
    assert len(found.incidents) == alerts // ALERTS_PER_WORKLOAD
    assert verdict.holds, verdict


async def test_alerts_investigations_and_mails_are_there_once_after_one_kill_of_each_process(tmp_path: Path):
    await campaign_of(tmp_path, alerts=500, kills_each=1, patience_s=180, settle_s=120)


@pytest.mark.campaign
async def test_alerts_investigations_and_mails_are_there_once_after_twenty_kills_of_each_process(
    tmp_path: Path,
):
    await campaign_of(tmp_path, alerts=10_000, kills_each=20, patience_s=1_500, settle_s=300)
