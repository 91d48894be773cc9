"""Kill -9 of the alerts API, its worker and the database while alerts are posted: what was acknowledged is there once."""

import pytest

from tests.chaos.campaign import Campaign, held
from tests.chaos.history import judge
from tests.support.stack import running

pytestmark = pytest.mark.requirement(
    "INT-BR-REL-004", "INT-BR-REL-011", "INT-BR-REL-012", "INT-BR-REL-014", "INT-BR-WH-007"
)


async def campaign_of(tmp_path, *, alerts: int, kills_each: int) -> None:
    async with running(tmp_path, services={"alerts"}) as stack:
        campaign = Campaign(stack, alerts=alerts, kills_each=kills_each)
        await campaign.run()

        verdict = judge(campaign.history, await held(stack, alerts))

    slowest = max(campaign.recoveries_s, default=0.0)
    print(
        f"{len(campaign.killed)} kills: {verdict}; attempts {dict(campaign.history.attempts)}; slowest recovery {slowest:.1f} s"
    )
    assert len(campaign.killed) == 3 * kills_each
    assert verdict.acknowledged == alerts
    assert verdict.holds, (verdict.lost, verdict.doubled, verdict.invented)


async def test_every_acknowledged_alert_is_there_once_after_one_kill_of_each_process(tmp_path):
    await campaign_of(tmp_path, alerts=2_000, kills_each=1)


@pytest.mark.campaign
async def test_every_acknowledged_alert_is_there_once_after_five_kills_of_each_process(tmp_path):
    await campaign_of(tmp_path, alerts=20_000, kills_each=5)
