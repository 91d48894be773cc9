from __future__ import annotations

import json
from datetime import timedelta

import pytest

from cli.watch.sights import Blamed, Judged
from cli.watch.words import (
    NAME,
    Connection,
    alert_news,
    connection_news,
    document,
    investigation_news,
    lasting,
    note_document,
    plain,
)
from tests.support.sights import AT, BLAMED, alert, ended, investigation

pytestmark = pytest.mark.requirement("INT-BR-AP-021@3.2", "INT-BR-SEC-011")

HOSTILE = "Evil\x1b[2J\x1b]0;owned\x07\r\n12:00:00  alert  forged\u202e\x9b31m"


def test_a_new_alert_is_told_with_what_was_decided_and_why():
    assert alert_news(alert(), None) == (
        "DbDown (critical) is firing on Pod/shop/api-0; environment production because no label says otherwise;"
        " priority P0 because critical in production; being investigated; episode ep-1"
    )


def test_of_a_known_alert_only_what_changed_is_told():
    explained = alert(incident="explained", cause=BLAMED, told=1)

    assert alert_news(explained, alert()) == (
        "DbDown explained by ConfigMap/data/db-config (ConfigChangedBeforeOnset, 90% sure); people told (1 notification)"
    )
    assert alert_news(explained, explained) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"priority": Judged("P1", "the owner is known now")},
            "DbDown priority P1 because the owner is known now",
        ),
        ({"target": "Pod/shop/api-1"}, "DbDown is on Pod/shop/api-1"),
        ({"incident": "unexplained", "no_cause": "nothing-wrong"}, "DbDown unexplained (nothing-wrong)"),
        ({"state": "resolved", "ended": AT + timedelta(minutes=7)}, "DbDown has resolved after 7 min"),
        ({"state": "expired", "ended": None}, "DbDown has expired"),
        ({"incident": "closed"}, "DbDown incident closed"),
        ({"told": 2}, "DbDown people told (2 notifications)"),
    ],
)
def test_each_change_has_its_words(changes, said):
    assert alert_news(alert(**changes), alert()) == said


def test_an_incident_that_is_only_opened_is_no_news():
    assert alert_news(alert(incident="open"), alert(incident=None)) is None


def test_an_investigation_is_told_step_by_step():
    assert investigation_news(investigation(), None) == "DbDown running 30 %: looking for causes"
    assert investigation_news(investigation(), investigation(took=timedelta(0))) is None
    assert investigation_news(investigation(stage=""), investigation()) == "DbDown running 30 %"


@pytest.mark.parametrize(
    ("sight", "said"),
    [
        (ended(degraded="no-model-configured"), "completed in 0.8 s by triage (no-model-configured): ConfigMap/data/db-config (ConfigChangedBeforeOnset, 90% sure)"),
        (ended(cause=None, no_cause="nothing-wrong"), "completed in 0.8 s by triage: no cause named (nothing-wrong)"),
        (ended(cause=None), "completed in 0.8 s by triage: no cause named (no reason given)"),
        (ended(status="failed", cause=None, error="the Context API was away"), "failed after 0.8 s: the Context API was away"),
    ],
)  # fmt: skip
def test_an_end_never_reads_like_a_success_that_is_none(sight, said):
    assert investigation_news(sight, investigation()) == f"DbDown {said}"
    assert investigation_news(sight, sight) is None


@pytest.mark.parametrize(
    ("sight", "news"),
    [
        (
            alert(name=HOSTILE, target=HOSTILE, id=HOSTILE, severity=HOSTILE, environment=Judged(HOSTILE, HOSTILE),
                  priority=Judged(HOSTILE, HOSTILE), incident="explained", cause=Blamed(HOSTILE, HOSTILE, 1, HOSTILE)),
            alert_news,
        ),
        (alert(name=HOSTILE, incident="unexplained", no_cause=HOSTILE), alert_news),
        (investigation(name=HOSTILE, stage=HOSTILE, engine=HOSTILE, status=HOSTILE), investigation_news),
        (ended(name=HOSTILE, engine=HOSTILE, degraded=HOSTILE, cause=None, no_cause=HOSTILE), investigation_news),
        (ended(status="failed", error=HOSTILE), investigation_news),
    ],
)  # fmt: skip
def test_no_label_can_steer_a_terminal_or_forge_a_line(sight, news):
    said = news(sight, None)

    assert "forged" in said or "Evil" in said
    assert said.isprintable()


def test_a_services_own_words_can_not_either():
    for state in ("away", "back", "connected", "refused"):
        assert connection_news(Connection("alerts", HOSTILE, state, HOSTILE, 3)).isprintable()


def test_long_texts_are_cut():
    assert len(plain("x" * 100_000)) <= 300
    assert len(alert_news(alert(name="x" * 100_000), None) or "") < NAME + 300


def test_the_document_holds_everything_and_is_ascii():
    told = document("alert", alert(name=HOSTILE, cause=BLAMED), AT)

    assert told.isascii()
    assert told.isprintable()
    assert json.loads(told)["name"] == HOSTILE
    assert json.loads(told)["cause"]["sure"] == 0.9
    assert json.loads(told)["at"] == "2026-01-01T10:00:00.000+00:00"


def test_a_length_of_time_carries_its_unit_in_the_document():
    assert json.loads(document("investigation", ended(), AT))["took_s"] == 0.8


def test_a_note_is_a_document_too():
    assert json.loads(note_document("so many", AT)) == {
        "at": "2026-01-01T10:00:00.000+00:00",
        "event": "note",
        "text": "so many",
    }


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        (Connection("alerts", "http://a", "connected"), "alerts at http://a answers"),
        (Connection("alerts", "http://a", "back"), "alerts at http://a answers again"),
        (Connection("alerts", "http://a", "away", "connect", 4.2), "alerts at http://a does not answer: connect; asking again in 4 s"),
        (Connection("alerts", "http://a", "refused", "http://a refused (401)."), "alerts: http://a refused (401). It is not asked again."),
    ],
)  # fmt: skip
def test_how_it_goes_with_a_service_is_said(connection, said):
    assert connection_news(connection) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0.0 s"),
        (0.84, "0.8 s"),
        (42, "42 s"),
        (119, "119 s"),
        (420, "7 min"),
        (7200, "2 h"),
        (200_000, "2 d"),
    ],
)
def test_a_time_is_told_as_exactly_as_somebody_cares(seconds, said):
    assert lasting(timedelta(seconds=seconds)) == said
