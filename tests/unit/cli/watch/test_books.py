from __future__ import annotations

import pytest

from cli.watch.books import FIRING_AT_MOST, PAGE, PAGES, AlertsBook, InvestigationsBook
from cli.watch.memory import LOOKS, REMEMBERED
from libs.clients.errors import PeerRefused, PeerUnavailable
from libs.contracts.problem import Problem
from tests.support.sights import AT, CAUSE, Alerts, Holmes, episode, record

pytestmark = pytest.mark.requirement("INT-BR-AP-021@3.2")

TOLD = {"id": "in-1", "target": None, "status": "explained", "causes": [CAUSE], "notification_ids": ["n-1"]}


def resolved(id_: str):
    return episode(id_, state="resolved", ends_at=AT)


def seen(result) -> list[tuple[str, str]]:
    return [
        (change.now.id, getattr(change.now, "state", None) or change.now.status) for change in result.changes
    ]


async def test_at_first_what_fires_is_shown_and_what_had_ended_is_not():
    alerts = Alerts(episode("a"), resolved("b"))

    assert seen(await AlertsBook(alerts.client(), "url").round(0)) == [("a", "firing")]
    assert alerts.looks == ["a"]


async def test_an_alert_that_has_fired_for_long_is_found_behind_any_number_of_newer_ones():
    alerts = Alerts(*(resolved(str(number)) for number in range(PAGE * 3)), episode("old"))

    assert seen(await AlertsBook(alerts.client(), "url").round(0)) == [("old", "firing")]


async def test_nothing_new_costs_one_page_and_no_look():
    alerts = Alerts(episode("a", incident=TOLD, incident_id="in-1"))
    book = AlertsBook(alerts.client(), "url")
    await book.round(0)
    alerts.pages, alerts.looks = 0, []
    result = await book.round(10)

    assert (result.changes, result.busy) == ([], False)
    assert (alerts.pages, alerts.looks) == (1, [])


async def test_a_repeated_alert_is_no_news():
    alerts = Alerts(episode("a", incident=TOLD, incident_id="in-1"))
    book = AlertsBook(alerts.client(), "url")
    await book.round(0)
    alerts.episodes[0] = episode("a", incident=TOLD, incident_id="in-1", received_count=9)

    assert (await book.round(10)).changes == []


async def test_a_change_is_told_beside_what_was_before():
    alerts = Alerts(episode("a"))
    book = AlertsBook(alerts.client(), "url")
    await book.round(0)
    alerts.episodes[0] = resolved("a")
    (change,) = (await book.round(1)).changes

    assert change.before is not None
    assert (change.before.state, change.now.state) == ("firing", "resolved")


async def test_an_alert_that_newer_ones_pushed_off_the_page_is_seen_to_end():
    alerts = Alerts(episode("a", incident=TOLD, incident_id="in-1"))
    book = AlertsBook(alerts.client(), "url")
    await book.round(0)
    alerts.episodes = [*(resolved(str(number)) for number in range(PAGE)), resolved("a")]
    changes = []
    for now in range(1, 8):
        changes += seen(await book.round(now))

    assert ("a", "resolved") in changes


async def test_an_alert_that_fires_on_behind_a_full_page_is_not_looked_at_again_for_it():
    alerts = Alerts(
        *(resolved(str(number)) for number in range(PAGE)), episode("a", incident=TOLD, incident_id="in-1")
    )
    book = AlertsBook(alerts.client(), "url")
    await book.round(0)
    alerts.looks = []

    assert (await book.round(10)).changes == []
    assert alerts.looks == []


async def test_a_storm_is_looked_at_a_bit_at_a_time():
    alerts = Alerts(*(episode(str(number)) for number in range(LOOKS + 3)))
    book = AlertsBook(alerts.client(), "url")
    first, second = await book.round(0), await book.round(0.1)

    assert (len(first.changes), first.left_over, first.busy) == (LOOKS, 3, True)
    assert (len(second.changes), second.left_over) == (3, 0)


async def test_a_burst_of_more_than_a_page_is_read_to_where_the_known_begins_and_not_beyond_the_bound():
    alerts = Alerts(episode("known"))
    book = AlertsBook(alerts.client(), "url")
    await book.round(0)
    alerts.pages = 0
    alerts.episodes = [*(resolved(f"x{number}") for number in range(PAGE * 20)), episode("known")]
    result = await book.round(1)

    assert alerts.pages == PAGES + 1  # and one for those that fire
    assert result.left_over == PAGE * PAGES - LOOKS


async def test_however_much_happens_a_bounded_number_is_remembered():
    alerts = Alerts()
    book = AlertsBook(alerts.client(), "url")
    for burst in range(40):
        alerts.episodes = [resolved(f"{burst}-{number}") for number in range(PAGE)]
        for now in range(6):
            await book.round(burst + now / 10)

    assert REMEMBERED >= len(book.sights()) > PAGE


async def test_more_firing_alerts_than_can_be_followed_are_said():
    alerts = Alerts(*(episode(str(number)) for number in range(FIRING_AT_MOST + 1)))
    book = AlertsBook(alerts.client(), "url")

    assert str(FIRING_AT_MOST) in (await book.round(0)).notes[0]
    assert (await book.round(1)).notes == []


async def test_what_is_gone_when_it_is_looked_at_is_dropped():
    class Forgetful(Alerts):
        async def get(self, id_, **_):
            self.looks.append(id_)
            raise PeerRefused("alerts", 404, Problem(title="unknown", status=404, code="unknown-alert"))

    result = await AlertsBook(Forgetful(episode("a")).client(), "url").round(0)

    assert (result.changes, result.busy) == ([], False)


async def test_a_refusal_of_a_look_is_not_taken_for_gone():
    class Closed(Alerts):
        async def get(self, id_, **_):
            raise PeerRefused("alerts", 403, Problem(title="no", status=403, code="not-allowed"))

    with pytest.raises(PeerRefused):
        await AlertsBook(Closed(episode("a")).client(), "url").round(0)


async def test_what_was_seen_before_the_service_went_away_is_told_and_the_rest_later():
    class GoesAway(Alerts):
        away = False

        async def get(self, id_, **_):
            if self.away and id_ == "b":
                raise PeerUnavailable("alerts", "connect")
            return await super().get(id_)

    alerts = GoesAway(episode("a"), episode("b"), episode("c"))
    alerts.away = True
    book = AlertsBook(alerts.client(), "url")
    first = await book.round(0)
    with pytest.raises(PeerUnavailable):
        await book.round(0.1)
    alerts.away = False
    second = await book.round(0.2)

    assert (seen(first), first.left_over) == ([("a", "firing")], 2)
    assert seen(second) == [("b", "firing"), ("c", "firing")]


async def test_the_service_is_asked_for_one_namespace_alone():
    alerts = Alerts(episode("a"), episode("b", labels={"namespace": "data"}))

    assert seen(await AlertsBook(alerts.client(), "url", namespace="data").round(0)) == [("b", "firing")]


async def test_a_running_investigation_is_shown_with_each_step_until_it_ended():
    holmes = Holmes(record("i"), record("over", status="completed"))
    book = InvestigationsBook(holmes.client(), "url")
    first = await book.round(0)
    holmes.records[0] = record("i", progress=90)
    second = await book.round(1)
    holmes.records[0] = record("i", status="completed", progress=100)
    third, fourth = await book.round(2), await book.round(10)

    assert [seen(one) for one in (first, second, third, fourth)] == [
        [("i", "running")],
        [("i", "running")],
        [("i", "completed")],
        [],
    ]
    assert (first.busy, fourth.busy) == (True, False)
    assert "over" not in holmes.looks


async def test_a_new_stage_without_progress_is_seen_too():
    holmes = Holmes(record("i"))
    book = InvestigationsBook(holmes.client(), "url")
    await book.round(0)
    holmes.records[0] = record("i", metadata={"stage": "waiting: the Context API is away"})

    assert seen(await book.round(5)) == [("i", "running")]


async def test_an_investigation_that_newer_ones_pushed_off_the_page_is_seen_to_end():
    holmes = Holmes(record("i"))
    book = InvestigationsBook(holmes.client(), "url")
    await book.round(0)
    newer = [record(str(number), status="completed") for number in range(PAGE * PAGES)]
    holmes.records = [*newer, record("i", status="failed", error="no")]
    changes = []
    for now in range(1, 30):
        changes += seen(await book.round(now))

    assert ("i", "failed") in changes


async def test_investigations_of_other_namespaces_are_passed_over():
    holmes = Holmes(
        record("mine", namespace="data"), record("other"), record("unnamed", namespace=None),
    )  # fmt: skip
    book = InvestigationsBook(holmes.client(), "url", namespace="data")

    assert seen(await book.round(0)) == [("mine", "running")]
    assert "other" not in holmes.looks
