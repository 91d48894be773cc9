"""Patterns in past investigations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.holmesgpt_api.domain.history import BEFORE_AT_MOST, PATTERNS_AT_MOST, Past, before, patterns
from tests.support.investigations import NOW

pytestmark = pytest.mark.requirement("HAPI-004", "HAPI-075")

BASE = Past(
    id="inv-1",
    asker="ana",
    seen=("data",),
    alert_name="A",
    cause_reason="ConfigChanged",
    cause_target="ConfigMap/data/c",
    target_kind="ConfigMap",
    recommended="Put it back",
    status="completed",
    created_at=NOW,
    ended_at=NOW + timedelta(seconds=4),
)


def past(number: int, **fields: object) -> Past:
    at = NOW + timedelta(hours=number)
    values = {"id": f"inv-{number}", "created_at": at, "ended_at": at + timedelta(seconds=2), **fields}
    return replace(BASE, **values)  # type: ignore[arg-type]


def test_a_pattern_tells_how_often_since_when_where_and_how_it_ended():
    many = [past(0), past(1), past(2, cause_target="ConfigMap/data/d", recommended="Put d back")]

    [found] = patterns(many, alert_name="A")

    assert found.occurrence_count == 3
    assert (found.first_seen, found.last_seen) == (NOW, NOW + timedelta(hours=2))
    assert (found.usual_target, found.usual_target_count) == ("ConfigMap/data/c", 2)
    assert (found.ended, found.average_investigation_seconds) == ({"cause": 3}, 2.0)
    assert found.investigation_ids == ["inv-2", "inv-1", "inv-0"]
    assert found.strategy_name == "Put d back"
    assert (found.historical_success_rate, found.avg_resolution_time) == (None, None)
    assert "3 investigations of A ended with the cause ConfigChanged" in found.business_context


def test_every_way_to_end_is_told_and_what_runs_counts_as_running():
    causeless = {"cause_reason": None, "cause_target": None, "recommended": None}
    many = [
        past(0, **causeless),
        past(1, **causeless, status="failed"),
        past(2, **causeless, status="running", ended_at=None),
    ]

    [found] = patterns(many, alert_name="A")

    assert found.ended == {"failed": 1, "no-cause": 1, "running": 1}
    assert (found.strategy_name, found.usual_target) == ("", None)


def test_other_alerts_are_patterns_of_their_own_and_say_why_they_are_kin():
    many = [past(0), past(1), past(2, alert_name="B"), past(3, alert_name="C", cause_reason="Oom")]

    found = {one.alert_name: one for one in patterns(many, alert_name="A")}

    assert found["A"].matched_by == ["alert", "cause", "target"]
    assert found["B"].matched_by == ["cause", "target"]
    assert found["C"].matched_by == ["target"]


def test_the_most_frequent_comes_first_and_the_id_stays_the_same():
    many = [past(0, cause_reason="Rare"), past(1), past(2)]

    first = [one.pattern_id for one in patterns(many, alert_name="A")]
    again = [one.pattern_id for one in patterns(many[::-1], alert_name="A")]

    assert first == again
    assert patterns(many, alert_name="A")[0].cause_reason == "ConfigChanged"


def test_there_are_never_more_patterns_than_a_caller_can_read():
    many = [past(number, cause_reason=f"R{number}") for number in range(PATTERNS_AT_MOST + 5)]

    assert len(patterns(many, alert_name="A")) == PATTERNS_AT_MOST


def test_nothing_past_is_no_pattern():
    assert patterns([], alert_name="A") == []


def test_another_investigation_is_shown_what_those_before_it_have_found():
    shown = before([past(0), past(1)], alert_name="A", id_="inv-9", seen=["data", "shop"])

    [one] = shown
    assert (one["cause_reason"], one["usual_target"], one["occurrence_count"]) == (
        "ConfigChanged",
        "ConfigMap/data/c",
        2,
    )
    assert one["investigation_ids"] == ["inv-1", "inv-0"]
    assert "historical_success_rate" not in one


@pytest.mark.parametrize(
    "other",
    [
        past(0, seen=("data", "payments")),
        past(0, seen=("", "data")),
        past(0, seen=()),
        past(0, status="running", ended_at=None),
        past(9),
    ],
    ids=["elsewhere", "cluster", "nothing-seen", "running", "itself"],
)
def test_of_those_before_it_none_is_shown_that_its_readers_may_not_see_or_that_tells_nothing(other: Past):
    assert before([other], alert_name="A", id_="inv-9", seen=["data", "shop"]) == []


def test_few_of_those_before_it_are_shown():
    many = [past(number, cause_reason=f"R{number}") for number in range(20)]

    assert len(before(many, alert_name="A", id_="x", seen=["data"])) == BEFORE_AT_MOST
