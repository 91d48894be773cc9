"""What was received becomes the right episodes, once, on a real PostgreSQL."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from libs.contracts.alerts import EpisodeState
from services.alerts.steps.drain import BATCHES
from tests.support.alerts import BODIES, a_body, an_alert, body, events, house, reason, resolved

pytestmark = pytest.mark.requirement("INT-BR-WH-008", "INT-BR-WH-010", "INT-BR-AP-021@3.2", "INT-BR-AP-020")

FIRING, RESOLVED, EXPIRED = EpisodeState.firing, EpisodeState.resolved, EpisodeState.expired


@pytest.fixture
async def alerts(fresh_database):
    async with house(fresh_database("alerts", migrated=True)) as running:
        yield running


async def drained(alerts, *bodies):
    for one in bodies:
        await alerts.receive(one)
    await alerts.work_off(only="drain")
    return list((await alerts.episodes()).values())


def states(episodes, label):
    return {episode.labels[label]: episode.state for episode in episodes}


async def test_every_body_of_a_real_alertmanager_becomes_its_episodes(alerts):
    paths = sorted(BODIES.glob("*.json"))

    episodes = await drained(alerts, *(path.read_bytes() for path in paths))

    sent = [alert for path in paths for alert in json.loads(path.read_bytes())["alerts"]]
    assert len(paths) == 8
    assert {(one.fingerprint, one.labels["alertname"]) for one in episodes} == {
        (alert["fingerprint"], alert["labels"]["alertname"]) for alert in sent
    }
    # HighErrorRate fired twice (02, then 10 with a newer startsAt).
    assert len(episodes) == len({alert["fingerprint"] for alert in sent}) + 3


async def test_status_is_read_per_alert_in_a_mixed_body(alerts):
    episodes = await drained(alerts, body("10_"))

    assert states(episodes, "pod") == {"checkout-0": RESOLVED, "checkout-1": FIRING, "payments-0": FIRING}


async def test_newer_episodes_end_the_older_ones_and_both_stay_on_record(alerts):
    episodes = await drained(alerts, body("02_"), body("10_"))

    by_pod = {
        (one.labels["pod"], one.starts_at.isoformat()[14:16]): (one.state, events(one)[-1])
        for one in episodes
    }
    assert by_pod[("checkout-1", "25")][0] is EXPIRED
    assert by_pod[("checkout-1", "26")][0] is FIRING
    assert by_pod[("checkout-0", "26")][0] is RESOLVED
    assert len(by_pod) == 6


async def test_a_resolve_ends_those_seen_firing_and_records_those_never_seen(alerts):
    episodes = await drained(alerts, body("12_"), body("13_"))

    assert states(episodes, "job") == {
        "j1": FIRING,
        "j2": FIRING,
        "j3": RESOLVED,
        "j4": RESOLVED,
        "j5": RESOLVED,
    }
    unseen = next(one for one in episodes if one.labels["job"] == "j4")
    assert "resolved-without-being-seen-firing" in unseen.timeline[0].detail
    assert reason(unseen, "investigation") == "resolved-already"


async def test_firing_and_resolved_in_one_body_pair_up(alerts):
    episodes = await drained(alerts, body("01_"), body("04_"))

    (episode,) = episodes
    assert episode.state is RESOLVED
    assert episode.ends_at == datetime(2026, 11, 21, 1, 25, 39, 568000, tzinfo=UTC)


@pytest.mark.parametrize("times", [2, 10])
async def test_the_same_body_any_number_of_times_is_one_episode(alerts, times):
    episodes = await drained(alerts, *[body("01_")] * times)

    (episode,) = episodes
    assert episode.received_count == times
    assert events(episode).count("fired") == 1
    assert events(episode).count("repeated") == 1


async def test_a_repeat_after_the_drain_refreshes_the_episode_instead_of_adding_one(alerts):
    (before,) = await drained(alerts, body("01_"))

    (after,) = await drained(alerts, body("01_"))

    assert after.id == before.id
    assert after.last_seen > before.last_seen
    assert after.received_count == 2


async def test_out_of_order_news_ends_as_it_would_in_order(alerts):
    (episode,) = await drained(alerts, body("04_"), body("01_"))

    assert episode.state is RESOLVED


async def test_every_decision_stands_with_its_reason(alerts):
    (episode,) = await drained(alerts, a_body(an_alert()))

    assert [(one.subject, one.outcome, one.reason) for one in episode.decisions] == [
        ("severity", "critical", "label:severity"),
        ("environment", "production", "unknown-means-production"),
        ("priority", "P0", "severity-and-environment"),
    ]


async def test_tenants_never_share_an_episode(alerts):
    await alerts.receive(body("01_"), tenant="one")
    await alerts.receive(body("01_"), tenant="two")
    await alerts.work_off(only="drain")

    rows = await alerts.rows("SELECT tenant, count(*) AS n FROM episode GROUP BY tenant ORDER BY tenant")
    assert rows == [{"tenant": "one", "n": 1}, {"tenant": "two", "n": 1}]


async def test_one_drain_takes_over_the_jobs_of_rows_it_took(alerts):
    for n in range(20):
        await alerts.receive(a_body(an_alert(f"p-{n}")))

    assert await alerts.work_off(only="drain") == ["drain"]
    assert len(await alerts.episodes()) == 20


async def test_a_batch_costs_as_many_statements_with_a_hundred_alerts_as_with_one(alerts, counted):
    await alerts.receive(a_body(an_alert("a-1")))
    with counted() as one:
        await alerts.run("drain")
    await alerts.receive(a_body(*(an_alert(f"b-{n}") for n in range(100))))
    with counted() as hundred:
        await alerts.run("drain")

    assert hundred.statements == one.statements
    assert len(await alerts.episodes()) == 101


async def test_concurrent_drains_lose_and_double_nothing(alerts):
    for n in range(60):
        await alerts.receive(a_body(an_alert(f"p-{n % 30}"), an_alert(f"q-{n % 7}"), groupKey=str(n)))

    await asyncio.gather(*(alerts.run("drain") for _ in range(4)))

    rows = await alerts.rows("SELECT labels ->> 'pod' AS pod, received FROM episode ORDER BY pod")
    assert len(rows) == 37
    assert sum(row["received"] for row in rows) == 120
    assert await alerts.rows("SELECT 1 FROM inbox") == []


async def test_a_delivery_that_cannot_be_drained_is_set_aside_and_its_neighbours_go_on(alerts):
    await alerts.receive(a_body(an_alert("good-1")))
    async with alerts.record.begin() as work:
        await work.execute(
            "INSERT INTO inbox (idem, tenant, sender, body) VALUES ('\\x00', 'default', 'test', 'not json')"
        )
    await alerts.receive(a_body(an_alert("good-2")))

    await alerts.work_off(only="drain")

    assert {one.labels["pod"] for one in (await alerts.episodes()).values()} == {"good-1", "good-2"}
    ((row),) = await alerts.rows("SELECT body, reason FROM set_aside")
    assert row["body"] == b"not json"
    assert "Malformed" in row["reason"]
    assert await alerts.rows("SELECT 1 FROM inbox") == []


async def test_large_deliveries_are_drained_in_several_transactions_and_all_of_them(alerts):
    for n in range(6):
        await alerts.receive(
            a_body(an_alert(f"big-{n}", annotations={f"a{i}": "x" * 60_000 for i in range(20)}))
        )

    await alerts.run("drain")

    assert len(await alerts.episodes()) == 6


async def test_a_backlog_longer_than_one_run_is_handed_to_the_next(fresh_database):
    async with house(fresh_database("alerts", migrated=True), drain_batch=1) as alerts:
        for n in range(BATCHES + 3):
            await alerts.receive(a_body(an_alert(f"p-{n}")))

        ran = await alerts.work_off(only="drain")

        assert ran == ["drain", "drain"]
        assert len(await alerts.episodes()) == BATCHES + 3


async def test_a_silent_episode_ends_by_age_and_fires_again_when_it_is_heard_of(alerts):
    await drained(alerts, a_body(an_alert()))
    await alerts.shift_time(timedelta(hours=13))

    await alerts.age()

    (episode,) = (await alerts.episodes()).values()
    assert episode.state is EXPIRED
    assert "silent-for-too-long" in episode.timeline[-1].detail
    assert episode.ends_at is not None

    (again,) = await drained(alerts, a_body(an_alert()))
    assert again.state is FIRING
    assert again.ends_at is None
    assert "reopened" in events(again)


async def test_an_episode_ends_by_its_senders_own_end(alerts):
    soon = (datetime.now(UTC) - timedelta(minutes=3)).isoformat()
    await drained(alerts, a_body(an_alert(endsAt=soon)))

    await alerts.age()

    (episode,) = (await alerts.episodes()).values()
    assert episode.state is EXPIRED
    assert "ends-at-passed" in episode.timeline[-1].detail


@pytest.mark.requirement("INT-BR-AP-024@3.2")
async def test_what_ended_long_ago_is_forgotten_with_all_that_belongs_to_it(alerts):
    await alerts.receive(a_body(an_alert("old-1")))
    await alerts.work_off()
    await alerts.receive(a_body(resolved("old-1"), an_alert("living-1")))
    await alerts.work_off()
    await alerts.shift_time(timedelta(days=31))
    await alerts.receive(a_body(an_alert("living-1")))
    await alerts.work_off()

    await alerts.age()

    (episode,) = (await alerts.episodes()).values()
    assert episode.labels["pod"] == "living-1"
    subjects = await alerts.rows("SELECT DISTINCT subject FROM timeline")
    assert {row["subject"] for row in subjects} <= {episode.id, episode.incident_id}
