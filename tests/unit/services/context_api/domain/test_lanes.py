from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.context_api.domain.lanes import (
    WEIGHTS,
    WORDS,
    Chosen,
    Full,
    Lane,
    Waiting,
    Why,
    choose,
    more_urgent,
)

pytestmark = pytest.mark.requirement("API-BR-CAPI-014", "API-BR-CAPI-019")

ROOMS = {Lane.critical: 4, Lane.normal: 4, Lane.background: 2}


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({"word": "P0", "by_service": True}, Chosen(Lane.critical, Why.service)),
        ({"word": "critical", "by_service": True}, Chosen(Lane.critical, Why.service)),
        ({"word": "p1", "by_service": True}, Chosen(Lane.normal, Why.service)),
        ({"word": "background", "by_service": True}, Chosen(Lane.background, Why.service)),
        ({"word": "low", "by_service": True, "severity": "critical"}, Chosen(Lane.normal, Why.service)),
        ({"word": "critical", "by_service": False}, Chosen(Lane.normal, Why.ignored)),
        ({"word": "no such", "by_service": False}, Chosen(Lane.normal, Why.ignored)),
        ({"word": None, "by_service": False, "severity": "Critical"}, Chosen(Lane.critical, Why.severity)),
        ({"word": None, "by_service": True, "severity": "page"}, Chosen(Lane.critical, Why.severity)),
        ({"word": None, "by_service": True, "severity": "warning"}, Chosen(Lane.normal, Why.nothing)),
        ({"word": "P0", "by_service": True, "ahead": True}, Chosen(Lane.background, Why.ahead)),
    ],
)
def test_the_lane_follows_from_the_request_and_has_a_reason(given_: dict[str, object], expected: Chosen):
    assert choose(**given_) == expected  # type: ignore[arg-type]


def test_a_services_word_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match=", ".join(WORDS)):
        choose(word="urgent", by_service=True)


def test_every_lane_has_a_weight_and_the_more_urgent_the_larger():
    weights = [WEIGHTS[lane] for lane in Lane]

    assert weights == sorted(weights, reverse=True)
    assert min(weights) > 0
    assert more_urgent(Lane.critical, Lane.normal)
    assert not more_urgent(Lane.normal, Lane.normal)


def test_what_is_critical_is_first_though_it_came_last():
    waiting: Waiting[str] = Waiting(ROOMS)
    waiting.put(Lane.background, "a", "ahead")
    waiting.put(Lane.normal, "a", "normal")
    waiting.put(Lane.critical, "a", "critical")

    assert [waiting.take() for _ in range(4)] == ["critical", "normal", "ahead", None]


def test_while_all_have_somebody_waiting_each_lane_gets_its_weight():
    waiting: Waiting[Lane] = Waiting(dict.fromkeys(Lane, 1_000))
    for lane in Lane:
        for _ in range(200):
            waiting.put(lane, "a", lane)

    turns = [waiting.take() for _ in range(120)]

    assert Counter(turns) == {lane: 10 * weight for lane, weight in WEIGHTS.items()}
    assert set(turns[:12]) == set(Lane)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([Lane.critical, Lane.normal]), max_size=4), min_size=24, max_size=24)
)
def test_whatever_else_comes_what_nobody_waits_for_has_its_turn_within_two_dozen(arrivals: list[list[Lane]]):
    waiting: Waiting[str] = Waiting(dict.fromkeys(Lane, 1_000))
    waiting.put(Lane.background, "a", "ahead")

    taken = []
    for number, lanes in enumerate(arrivals):
        for nth, lane in enumerate(lanes):
            waiting.put(lane, "b", f"{number}.{nth}")
        taken.append(waiting.take())

    assert "ahead" in taken


def test_callers_in_one_lane_take_turns():
    waiting: Waiting[str] = Waiting(ROOMS)
    for item in ("a1", "a2", "a3"):
        waiting.put(Lane.normal, "a", item)
    waiting.put(Lane.normal, "b", "b1")

    assert [waiting.take() for _ in range(4)] == ["a1", "b1", "a2", "a3"]


def test_a_full_lane_refuses_who_has_most_there_and_makes_room_for_others():
    waiting: Waiting[str] = Waiting(ROOMS)
    for item in ("a1", "a2", "a3", "a4"):
        waiting.put(Lane.normal, "a", item)

    with pytest.raises(Full):
        waiting.put(Lane.normal, "a", "a5")
    assert waiting.put(Lane.normal, "b", "b1") == "a4"
    assert waiting.put(Lane.normal, "b", "b2") == "a3"
    with pytest.raises(Full):
        waiting.put(Lane.normal, "b", "b3")
    assert waiting.put(Lane.critical, "a", "a6") is None
    assert waiting.count(Lane.normal) == 4


def test_what_is_taken_out_has_no_turn():
    waiting: Waiting[str] = Waiting(ROOMS)
    waiting.put(Lane.normal, "a", "a1")

    assert waiting.remove(Lane.normal, "a", "a1")
    assert not waiting.remove(Lane.normal, "a", "a1")
    assert waiting.take() is None
    assert len(waiting) == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(Lane)), st.sampled_from("abc")) | st.none(), max_size=80))
def test_nothing_is_lost_or_doubled_and_no_lane_outgrows_its_room(steps: list[tuple[Lane, str] | None]):
    waiting: Waiting[int] = Waiting(ROOMS)
    came, gone = [], []
    for number, step in enumerate(steps):
        if step is None:
            taken = waiting.take()
            gone += [taken] if taken is not None else []
            continue
        try:
            displaced = waiting.put(*step, number)
        except Full:
            continue
        came.append(number)
        gone += [displaced] if displaced is not None else []
        assert all(waiting.count(lane) <= ROOMS[lane] for lane in Lane)
    while (taken := waiting.take()) is not None:
        gone.append(taken)

    assert sorted(gone) == came
