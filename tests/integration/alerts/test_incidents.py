"""From a firing alert to a told cause: once, whatever dies, repeats or is away in between."""

import asyncio
from datetime import datetime, timedelta

import pytest

from libs.contracts.alerts import EpisodeState, Priority
from tests.support.alerts import a_body, a_reader, an_alert, events, house, reason, resolved

pytestmark = pytest.mark.requirement("INT-BR-AP-004", "INT-BR-AP-016", "INT-BR-AP-020", "INT-BR-NOT-011")

SOON = timedelta(seconds=30)
PATIENCE = timedelta(minutes=3)


@pytest.fixture
async def alerts(fresh_database):
    async with house(fresh_database("alerts", migrated=True)) as running:
        yield running


async def hear(alerts, *said, within=SOON):
    await alerts.receive(a_body(*said))
    return await alerts.work_off(within=within)


async def incident_of(alerts, episode=None):
    episode = episode or await alerts.only_episode()
    return await alerts.archive.incident(a_reader(), episode.incident_id)


async def test_an_alert_is_resolved_to_its_owner_investigated_and_told(alerts):
    await hear(alerts, an_alert())

    episode = await alerts.only_episode()
    assert str(episode.target) == "Pod/shop/checkout-1"
    assert episode.incident is not None
    assert str(episode.incident.target) == "Deployment/shop/checkout"
    assert episode.incident.status == "explained"
    assert episode.incident.causes[0].reason == "ConfigChangedBeforeOnset"
    assert (episode.incident.engine, episode.incident.degraded_reason) == ("triage", "no-model-configured")
    assert episode.investigation_id == episode.incident.investigation_id
    (message,) = alerts.notifications.told.values()
    assert message["subject"].startswith("[P0] KubePodCrashLooping on Deployment/shop/checkout: ConfigMap/")
    assert message["transition"] == "explained"
    assert len(episode.incident.notification_ids) == 1


@pytest.mark.requirement("API-BR-CAPI-015")
async def test_the_context_api_is_told_since_when_so_that_the_causes_are_there_when_they_are_asked_for(
    alerts,
):
    await hear(alerts, an_alert())

    (asked,) = alerts.context.asked("/api/v1/context/resolve")
    (investigated,) = alerts.holmes.asked("/api/v1/investigate/async")
    assert datetime.fromisoformat(asked.query["onset"]) == datetime.fromisoformat(
        investigated.body["starts_at"]
    )


async def test_the_timeline_tells_every_step_and_decision_in_order(alerts):
    alerts.holmes.looks = 3

    await hear(alerts, an_alert())

    episode = await alerts.only_episode()
    assert [event for event in events(episode) if event != "decided"] == [
        "fired",
        "incident-opened",
        "investigation-requested",
        "investigation-progress",
        "explained",
        "notified",
    ]
    assert {one.subject for one in episode.decisions} == {
        "severity",
        "environment",
        "priority",
        "target",
        "investigation",
        "cause",
        "notification",
    }
    assert reason(episode, "target") == "label:pod"
    assert reason(episode, "investigation") == "new-incident"


async def test_pods_of_one_owner_are_one_incident_one_investigation_and_one_message(alerts):
    await hear(alerts, *(an_alert(f"checkout-{n}") for n in range(120)))

    incidents = {episode.incident_id for episode in (await alerts.episodes()).values()}
    assert len(incidents) == 1
    assert len(alerts.holmes.runs) == 1
    assert alerts.notifications.transitions == ["explained"]


async def test_alerts_that_speak_of_the_same_object_are_asked_about_once(alerts):
    await hear(alerts, *(an_alert(labels={"alertname": f"A{n}"}) for n in range(20)))

    assert len(alerts.context.calls) == 1


async def test_different_owners_are_different_incidents(alerts):
    await hear(alerts, an_alert("checkout-1"), an_alert("payments-1"))

    assert len(alerts.holmes.runs) == 2


async def test_a_repeat_is_neither_investigated_nor_told_again(alerts):
    await hear(alerts, an_alert())
    before = len(alerts.holmes.calls), len(alerts.notifications.calls), len(alerts.context.calls)

    for _ in range(3):
        assert await hear(alerts, an_alert()) == ["drain"]

    assert (len(alerts.holmes.calls), len(alerts.notifications.calls), len(alerts.context.calls)) == before


async def test_another_alert_of_an_explained_incident_joins_it_quietly(alerts):
    await hear(alerts, an_alert("checkout-1"))
    await hear(alerts, an_alert("checkout-2"))

    episodes = (await alerts.episodes()).values()
    assert len({one.incident_id for one in episodes}) == 1
    joined = next(one for one in episodes if one.labels["pod"] == "checkout-2")
    assert "already-explained" in [one.reason for one in joined.decisions]
    assert len(alerts.holmes.runs) == 1
    assert len(alerts.notifications.told) == 1


async def test_a_more_urgent_alert_is_told_once(alerts):
    await hear(alerts, an_alert("checkout-1", labels={"severity": "info"}))
    for n in (2, 3):
        await hear(alerts, an_alert(f"checkout-{n}", labels={"severity": "critical"}))

    assert alerts.notifications.transitions == ["explained", "raised"]
    episode = next(iter((await alerts.episodes()).values()))
    assert (await incident_of(alerts, episode)).priority is Priority.p0


async def test_the_cluster_lowers_what_was_unknown_and_the_reason_says_so(alerts):
    alerts.context.namespace_labels["shop"] = {"environment": "staging"}

    await hear(alerts, an_alert())

    episode = await alerts.only_episode()
    assert (episode.environment, episode.priority) == ("staging", "P1")
    environments = [one.reason for one in episode.decisions if one.subject == "environment"]
    assert environments == ["unknown-means-production", "label:environment"]
    (message,) = alerts.notifications.told.values()
    assert "Environment: staging, by label:environment" in message["body"]
    assert message["priority"] == "P1"


# --- ends


async def test_the_end_of_all_alerts_closes_the_incident_and_is_told_once(alerts):
    await hear(alerts, an_alert("checkout-1"), an_alert("checkout-2"))

    await hear(alerts, resolved("checkout-1"))
    assert alerts.notifications.transitions == ["explained"]
    for _ in range(3):
        await hear(alerts, resolved("checkout-2"))

    assert alerts.notifications.transitions == ["explained", "resolved"]
    episode = next(iter((await alerts.episodes()).values()))
    assert (await incident_of(alerts, episode)).status == "closed"
    assert "incident-closed" in events(episode)


async def test_an_expired_alert_closes_its_incident_too(alerts):
    await hear(alerts, an_alert())
    await alerts.shift_time(timedelta(hours=13))

    await alerts.age()
    await alerts.work_off()

    assert alerts.notifications.transitions == ["explained", "resolved"]


@pytest.mark.parametrize("drained_between", [True, False])
async def test_an_alert_that_was_over_before_it_was_looked_at_is_not_investigated(alerts, drained_between):
    await alerts.receive(a_body(an_alert()))
    if drained_between:
        await alerts.work_off(only="drain")
    await alerts.receive(a_body(resolved()))
    await alerts.work_off(only="drain")
    await alerts.work_off()

    assert alerts.holmes.calls == []
    episode = await alerts.only_episode()
    assert reason(episode, "investigation") == "resolved-already"
    assert episode.incident is None
    assert episode.state is EpisodeState.resolved


async def test_a_flapping_alert_opens_its_incident_again_without_another_investigation(alerts):
    await hear(alerts, an_alert())
    await hear(alerts, resolved())
    await hear(alerts, an_alert(startsAt="2026-11-21T06:00:00Z"))
    await hear(alerts, resolved(startsAt="2026-11-21T06:00:00Z", endsAt="2026-11-21T06:10:00Z"))

    episodes = (await alerts.episodes()).values()
    assert len(episodes) == 2
    assert len({one.incident_id for one in episodes}) == 1
    assert len(alerts.holmes.runs) == 1
    assert alerts.notifications.transitions == ["explained", "resolved", "reopened", "resolved"]
    assert [message["round"] for message in alerts.notifications.told.values()] == [1, 1, 1, 2]


async def test_long_after_its_end_the_same_alert_is_a_new_incident(alerts):
    await hear(alerts, an_alert())
    await hear(alerts, resolved())
    await alerts.shift_time(timedelta(hours=2))

    await hear(alerts, an_alert(startsAt="2026-11-21T08:00:00Z"))

    assert len({one.incident_id for one in (await alerts.episodes()).values()}) == 2
    assert len(alerts.holmes.runs) == 2


# --- no cause


async def test_no_cause_found_is_told_as_such(alerts):
    alerts.holmes.cause = False

    await hear(alerts, an_alert())

    incident = await incident_of(alerts)
    assert (incident.status, incident.no_cause_reason) == ("unexplained", "insufficient-evidence")
    (message,) = alerts.notifications.told.values()
    assert message["transition"] == "unexplained"
    assert "No cause is named: insufficient-evidence" in message["body"]


async def test_a_failed_investigation_is_never_told_as_a_cause(alerts):
    alerts.holmes.status = "failed"

    await hear(alerts, an_alert())

    assert alerts.notifications.transitions == ["unexplained"]
    assert (await incident_of(alerts)).causes == []


async def test_a_fruitless_investigation_is_repeated_only_for_a_new_alert_and_only_later(alerts):
    alerts.holmes.cause = False
    await hear(alerts, an_alert("checkout-1"))
    await hear(alerts, an_alert("checkout-2"))
    assert len(alerts.holmes.runs) == 1
    await alerts.shift_time(timedelta(hours=2))
    alerts.holmes.cause = True

    await hear(alerts, an_alert("checkout-3"))

    assert len(alerts.holmes.runs) == 2
    assert alerts.notifications.transitions == ["unexplained", "explained"]


async def test_a_refused_investigation_is_told_without_a_cause(alerts):
    alerts.holmes.refuse = True

    await hear(alerts, an_alert())

    assert (await incident_of(alerts)).no_cause_reason == "investigation-refused"
    assert alerts.notifications.transitions == ["unexplained"]


# --- peers away


async def test_people_are_told_without_a_cause_when_patience_is_over_and_get_it_later_as_an_update(alerts):
    alerts.holmes.down = True

    await hear(alerts, an_alert(), within=PATIENCE)

    episode = await alerts.only_episode()
    assert "investigation-waiting" in events(episode)
    assert alerts.notifications.transitions == ["unexplained"]
    (early,) = alerts.notifications.told.values()
    assert "the investigation has not ended yet" in early["body"]

    alerts.holmes.down = False
    await alerts.work_off(within=timedelta(minutes=5))

    assert alerts.notifications.transitions == ["unexplained", "explained"]
    later = list(alerts.notifications.told.values())[-1]
    assert later["subject"].startswith("Update: [P0]")
    assert (await incident_of(alerts)).status == "explained"


async def test_a_slow_investigation_is_told_without_a_cause_first(alerts):
    alerts.holmes.looks = 10_000

    await hear(alerts, an_alert(), within=PATIENCE)

    assert alerts.notifications.transitions == ["unexplained"]


async def test_an_investigation_service_that_stays_away_is_given_up(alerts):
    alerts.holmes.down = True
    await hear(alerts, an_alert(), within=timedelta(0))
    await alerts.shift_time(timedelta(minutes=31))

    await alerts.work_off(within=timedelta(minutes=5))

    incident = await incident_of(alerts)
    assert (incident.status, incident.no_cause_reason) == ("unexplained", "investigator-unreachable")
    assert alerts.notifications.transitions == ["unexplained"]


async def test_an_investigation_that_never_ends_is_given_up(alerts):
    alerts.holmes.looks = 10_000
    await hear(alerts, an_alert(), within=timedelta(0))
    await alerts.shift_time(timedelta(minutes=31))

    await alerts.work_off(within=timedelta(minutes=5))

    assert (await incident_of(alerts)).no_cause_reason == "investigation-too-slow"


async def test_a_message_waits_for_a_notifications_service_that_is_away(alerts):
    alerts.notifications.down = True
    await hear(alerts, an_alert(), within=timedelta(0))
    await alerts.work_off(within=timedelta(seconds=10))
    assert alerts.notifications.told == {}

    alerts.notifications.down = False
    await alerts.work_off(within=timedelta(minutes=5))

    assert alerts.notifications.transitions == ["explained"]
    assert "notification-waiting" in events(await alerts.only_episode())


async def test_a_refused_credential_is_waited_out(alerts):
    alerts.holmes.locked_out = alerts.notifications.locked_out = True
    await hear(alerts, an_alert(), within=timedelta(seconds=5))
    assert "investigation-waiting" in events(await alerts.only_episode())
    alerts.holmes.locked_out = False
    await alerts.work_off(within=timedelta(seconds=60))
    assert "notification-waiting" in events(await alerts.only_episode())

    alerts.notifications.locked_out = False
    await alerts.work_off(within=timedelta(minutes=5))

    assert alerts.notifications.transitions == ["explained"]


async def test_a_message_nobody_takes_is_given_up_and_the_timeline_says_so(alerts):
    alerts.notifications.refuse = True

    await hear(alerts, an_alert())

    assert "notification-given-up" in events(await alerts.only_episode())


async def test_without_the_context_api_an_incident_is_keyed_on_labels_and_keyed_again_later(alerts):
    alerts.context.down = True
    await hear(alerts, an_alert("checkout-1"), an_alert("checkout-2"), within=timedelta(seconds=1))
    before = {one.incident_id for one in (await alerts.episodes()).values()}
    assert len(before) == 2
    episode = next(iter((await alerts.episodes()).values()))
    assert reason(episode, "target") == "keyed-on-labels"

    alerts.context.down = False
    await alerts.work_off(within=SOON)

    after = list((await alerts.episodes()).values())
    assert len({one.incident_id for one in after}) == 1
    assert str((await incident_of(alerts, after[0])).target) == "Deployment/shop/checkout"
    assert {reason(one, "target") for one in after} == {"label:pod"}
    (gone,) = before - {after[0].incident_id}
    assert (await alerts.archive.incident(a_reader(), gone)).merged_into == after[0].incident_id


async def test_a_more_urgent_alert_that_is_handed_over_late_is_told_all_the_same(alerts):
    await hear(alerts, an_alert("checkout-1", labels={"severity": "info"}))
    alerts.context.down = True
    await hear(alerts, an_alert("checkout-2", labels={"severity": "critical"}), within=timedelta(seconds=1))

    alerts.context.down = False
    await alerts.work_off(within=SOON)

    assert len({one.incident_id for one in (await alerts.episodes()).values()}) == 1
    assert alerts.notifications.transitions[-1] == "raised"


async def test_an_incident_keyed_on_labels_that_fires_again_is_keyed_again_too(alerts):
    alerts.context.down = True
    await hear(alerts, an_alert(), within=timedelta(seconds=1))
    await hear(alerts, resolved(), within=timedelta(minutes=1))
    await hear(alerts, an_alert(startsAt="2026-11-21T06:00:00Z"), within=timedelta(seconds=1))

    alerts.context.down = False
    await alerts.work_off(within=SOON)

    firing = next(one for one in (await alerts.episodes()).values() if one.state is EpisodeState.firing)
    assert str((await incident_of(alerts, firing)).target) == "Deployment/shop/checkout"


async def test_the_context_api_is_given_half_a_second(alerts):
    alerts.context.delay_s = 30

    async with asyncio.timeout(10):
        await hear(alerts, an_alert(), within=timedelta(0))

    assert (
        "timeout"
        in [one.detail for one in (await alerts.only_episode()).decisions if one.subject == "target"][-1]
    )


async def test_an_incident_left_unexplained_for_want_of_a_target_is_asked_about_again_when_it_is_known(
    alerts,
):
    alerts.context.down, alerts.holmes.cause = True, False
    await hear(alerts, an_alert(), within=timedelta(seconds=2))
    assert alerts.notifications.transitions == ["unexplained"]

    alerts.context.down, alerts.holmes.cause = False, True
    await alerts.work_off(within=SOON)

    assert alerts.notifications.transitions == ["unexplained", "explained"]
    assert alerts.holmes.runs[next(key for key in alerts.holmes.runs if key.endswith("/2"))]["target"]


async def test_an_alert_without_any_object_is_investigated_under_its_name(alerts):
    await hear(alerts, {**an_alert(), "labels": {"alertname": "QueueDeep", "queue": "orders"}})

    incident = await incident_of(alerts)
    assert incident.target is None
    assert incident.status == "explained"
    assert reason(await alerts.only_episode(), "target") == "no-target-label"


async def test_when_it_is_over_before_patience_is_people_are_told_once(alerts):
    alerts.holmes.down = True
    await hear(alerts, an_alert(), within=timedelta(seconds=10))
    await hear(alerts, resolved(), within=timedelta(minutes=5))

    assert alerts.notifications.transitions == ["resolved"]


async def test_a_cause_with_text_no_database_holds_is_recorded_all_the_same(alerts):
    alerts.holmes.text = "log says \x00 and goes on"

    await hear(alerts, an_alert())

    incident = await incident_of(alerts)
    assert incident.causes[0].text == "log says \ufffd and goes on"
    assert alerts.notifications.transitions == ["explained"]


async def test_labels_too_long_for_any_index_are_followed_to_the_end(alerts):
    long = {"namespace": "n" * 60_000, "alertname": "a" * 60_000, "pod": "p" * 60_000, "severity": "page"}

    alerts.context.down = True
    await hear(alerts, {**an_alert(), "labels": long})

    episode = await alerts.only_episode()
    assert episode.labels == long
    assert (await incident_of(alerts, episode)).status == "explained"
    assert len(alerts.notifications.told) == 1


# --- every step may happen twice


async def test_answers_that_are_lost_after_the_effect_cause_no_second_effect(alerts):
    alerts.holmes.forgetful = alerts.notifications.forgetful = True
    await hear(alerts, an_alert(), within=timedelta(seconds=5))
    alerts.holmes.forgetful = False
    await alerts.work_off(within=timedelta(minutes=1), until=lambda: bool(alerts.notifications.told))
    alerts.notifications.forgetful = False
    await alerts.work_off(within=timedelta(minutes=5))

    assert len(alerts.holmes.calls) > 2
    assert len(alerts.holmes.runs) == 1
    assert alerts.notifications.transitions == ["explained"]
    assert events(await alerts.only_episode()).count("notified") == 1


async def test_every_job_run_twice_changes_nothing(alerts):
    await alerts.receive(a_body(an_alert("checkout-1"), an_alert("payments-1")))
    await alerts.work_off(twice=True)
    await alerts.receive(a_body(resolved("checkout-1"), resolved("payments-1")))
    await alerts.work_off(twice=True)

    assert len(alerts.holmes.runs) == 2
    assert sorted(alerts.notifications.transitions) == ["explained", "explained", "resolved", "resolved"]
    for episode in (await alerts.episodes()).values():
        told = [event for event in events(episode) if event not in ("decided", "repeated")]
        assert len(told) == len(set(told)) + told.count("notified") - 1


async def test_alerts_attached_at_the_same_time_share_one_incident(alerts):
    for n in range(8):
        await alerts.receive(a_body(an_alert(f"checkout-{n}"), groupKey=str(n)))
        await alerts.work_off(only="drain")

    async with alerts.record.begin() as work:
        jobs = await work.rows("DELETE FROM procrastinate_jobs WHERE task_name = 'attach' RETURNING args")
    assert len(jobs) == 8
    await asyncio.gather(*(alerts.run("attach", **job["args"]) for job in jobs))
    await alerts.work_off()

    assert len({one.incident_id for one in (await alerts.episodes()).values()}) == 1
    assert len(alerts.holmes.runs) == 1
