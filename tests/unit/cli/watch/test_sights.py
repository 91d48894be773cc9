from __future__ import annotations

import pytest

from cli.watch.sights import Judged, alert_sight, investigation_sight
from tests.support.sights import AT, BLAMED, CAUSE, alert, ended, episode, investigation, record

pytestmark = pytest.mark.requirement("INT-BR-AP-021@3.2")

DECIDED = [
    {"subject": "environment", "outcome": "staging", "reason": "old"},
    {"subject": "environment", "outcome": "production", "reason": "unknown-means-production"},
    {"subject": "priority", "outcome": "P0", "reason": "matrix", "detail": "critical in production"},
]


def test_the_newest_decision_on_a_subject_says_why():
    seen = alert_sight(episode(environment="production", priority="P0", decisions=DECIDED))

    assert seen.environment == Judged("production", "unknown-means-production")
    assert seen.priority == Judged("P0", "critical in production")


def test_what_is_not_decided_is_not_made_up():
    seen = alert_sight(episode())

    assert (seen.environment, seen.priority, seen.target, seen.incident, seen.cause) == (None,) * 5


def test_an_incident_lends_its_cause_and_how_many_were_told():
    incident = {
        "id": "in-1",
        "target": None,
        "status": "explained",
        "causes": [CAUSE],
        "notification_ids": ["n"],
    }
    seen = alert_sight(episode(incident=incident))

    assert (seen.incident, seen.cause, seen.told) == ("explained", BLAMED, 1)


def test_an_alert_that_fires_has_not_ended_even_if_it_says_when_it_would():
    assert alert_sight(episode(ends_at=AT)).ended is None
    assert alert_sight(episode(state="resolved", ends_at=AT)).ended == AT


@pytest.mark.parametrize(
    ("changes", "settled"),
    [
        ({"incident": None}, False),
        ({"incident": "open"}, False),
        ({"incident": "investigating"}, False),
        ({"incident": "explained", "told": 0}, False),
        ({"incident": "explained", "told": 1}, True),
        ({"state": "resolved", "incident": "investigating"}, True),
    ],
)
def test_an_alert_is_settled_when_people_were_told_or_it_ended(changes, settled):
    assert alert(**changes).settled is settled


def test_an_investigation_tells_its_stage_and_in_the_end_its_cause():
    running = investigation_sight(record())
    over = investigation_sight(record(status="completed", results={"cause": CAUSE, "target": None}))

    assert (running.stage, running.open, running.cause) == ("looking for causes", True, None)
    assert (over.open, over.settled, over.cause) == (False, True, BLAMED)
    assert investigation().open
    assert not ended().open
