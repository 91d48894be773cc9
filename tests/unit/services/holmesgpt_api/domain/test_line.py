"""Whose turn it is: nobody waits for ever, shares are kept, what is urgent goes first, and places told are places kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.alerts import Priority
from services.holmesgpt_api.domain.line import STRIDE, Lane, Waiting, Why, decide, full, turn_of, urgency
from tests.fakes.line import MemoryLine

pytestmark = pytest.mark.requirement("HAPI-005", "HAPI-134")

P0, P1, P2, P3 = Priority
TENANTS = ("a", "b", "c")

Joining = tuple[Priority, str]
joining = st.tuples(st.sampled_from(list(Priority)), st.sampled_from(TENANTS))
script = st.lists(st.one_of(joining, st.none()), max_size=60)
"""What has happened before: somebody joins, or (None) the next one is taken."""


def played(steps: Sequence[Joining | None]) -> MemoryLine:
    line = MemoryLine()
    for number, step in enumerate(steps):
        if step is None:
            line.take()
        else:
            line.join(f"before-{number}", *step)
    return line


def storm(line: MemoryLine, tenant: str, number: int, priority: Priority = P2) -> None:
    for one in range(number):
        line.join(f"{tenant}-{priority}-{one}", priority, tenant)


def taken(line: MemoryLine, number: int) -> list[Waiting]:
    turns = [line.take() for _ in range(number)]
    return [turn.next for turn in turns if turn]


def picks_until(line: MemoryLine, id_: str, arrivals: Sequence[Sequence[Joining]], bound: int) -> int:
    """Turns until it is this one's, while others go on joining."""
    for number in range(bound + 1):
        for other, step in enumerate(arrivals[number % len(arrivals)] if arrivals else ()):
            line.join(f"later-{number}-{other}", *step)
        turn = line.take()
        assert turn is not None
        if turn.next.id == id_:
            return number + 1
    raise AssertionError(f"not taken within {bound} turns")


@given(script, joining, st.lists(st.lists(joining, max_size=3), max_size=8))
def test_nobody_waits_for_ever_whatever_others_send(
    steps: Sequence[Joining | None], mine: Joining, arrivals: Sequence[Sequence[Joining]]
):
    line = played(steps)
    priority, tenant = mine
    own = sum(one.tenant == tenant for one in line.lane(priority))
    line.join("mine", *mine)

    turns_of_its_lane = len(TENANTS) * (own + 2) + 1
    far = turns_of_its_lane * STRIDE[priority]
    bound = sum(far // stride + 2 for stride in STRIDE.values())

    assert picks_until(line, "mine", arrivals, bound) <= bound


@given(script, st.sampled_from(TENANTS))
def test_where_nothing_critical_waits_a_critical_one_is_next_but_for_claims_that_are_due(
    steps: Sequence[Joining | None], tenant: str
):
    line = played(steps)
    for one in line.lane(P0):
        line.leave(one.id)
    line.join("critical", P0, tenant)

    assert "critical" in [one.id for one in taken(line, len(Priority))]


@given(script)
def test_the_place_that_is_told_is_the_one_that_is_kept(steps: Sequence[Joining | None]):
    line = played(steps)

    told = {line.place(id_): id_ for id_ in line.held}

    assert [told[place] for place in sorted(told)] == [one.id for one in taken(line, len(told))]
    assert sorted(told) == list(range(1, len(told) + 1))


@given(script)
def test_of_one_tenant_and_priority_the_oldest_is_first(steps: Sequence[Joining | None]):
    line = played(steps)
    ages = {id_: age for age, id_ in enumerate(line.held)}

    order = taken(line, len(ages))

    for priority in Priority:
        for tenant in TENANTS:
            own = [ages[one.id] for one in order if (one.priority, one.tenant) == (priority, tenant)]
            assert own == sorted(own)


@given(st.integers(1, 3), st.permutations(list(Priority)))
def test_of_one_tenant_the_more_urgent_is_first(each: int, order: Sequence[Priority]):
    line = MemoryLine()
    for priority in order:
        storm(line, "a", each, priority)

    told = [one.priority for one in taken(line, 4 * each)]

    assert told == sorted(told)


@given(script, st.integers(1, 40))
def test_two_tenants_that_both_wait_have_as_many_turns(steps: Sequence[Joining | None], number: int):
    line = played(steps)
    for id_ in list(line.held):
        line.leave(id_)
    storm(line, "a", 200)
    storm(line, "b", 45)

    counts = Counter(one.tenant for one in taken(line, 2 * number))

    assert abs(counts["a"] - counts["b"]) <= 2


@pytest.mark.parametrize("rounds", [1, 3])
def test_priorities_that_all_wait_share_the_turns_as_64_16_4_1(rounds: int):
    line = MemoryLine()
    for priority in Priority:
        storm(line, "a", 64 * rounds, priority)

    counts = Counter(one.priority for one in taken(line, 85 * rounds))

    assert counts == {P0: 64 * rounds, P1: 16 * rounds, P2: 4 * rounds, P3: rounds}


def test_one_of_another_tenant_is_next_in_the_midst_of_a_storm():
    line = MemoryLine()
    storm(line, "a", 500)
    taken(line, 37)
    line.join("single", P2, "b")

    assert [one.id for one in taken(line, 1)] == ["single"]


def test_who_comes_again_at_once_does_not_starve_a_storm():
    line = MemoryLine()
    storm(line, "a", 100)
    tenants = []
    for number in range(40):
        line.join(f"b-{number}", P2, "b")
        tenants += [one.tenant for one in taken(line, 1)]

    assert abs(tenants.count("a") - tenants.count("b")) <= 2


def test_a_storm_of_low_ones_however_old_lets_a_critical_one_of_its_own_tenant_pass():
    line = MemoryLine()
    storm(line, "a", 500, P3)
    taken(line, 100)
    line.join("critical", P0, "a")

    assert taken(line, 1)[0].id == "critical"


def test_a_priority_that_nobody_used_all_day_has_saved_nothing_up():
    line = MemoryLine()
    storm(line, "a", 100, P0)
    taken(line, 60)
    storm(line, "b", 20, P1)

    assert [one.priority for one in taken(line, 10)].count(P0) == 8


def test_it_is_told_why_it_was_next():
    line = MemoryLine()
    storm(line, "a", 200)
    whys = [line.take()]
    line.join("b", P2, "b")
    whys += [line.take(), line.take()]
    line.join("c", P0, "c")
    whys += [line.take()]
    storm(line, "d", 50, P0)
    last = [line.take() for _ in range(20)]

    assert [turn.why for turn in whys if turn] == [Why.age, Why.tenant, Why.age, Why.priority]
    assert {turn.why for turn in last if turn} == {Why.priority, Why.age}


def test_a_less_urgent_one_that_is_next_has_its_prioritys_share():
    line = MemoryLine()
    storm(line, "a", 20, P0)
    storm(line, "a", 2, P1)

    turns = [line.take() for _ in range(5)]

    assert [(turn.next.priority, turn.why) for turn in turns if turn][-1] == (P1, Why.share)


def test_a_tenant_with_half_of_all_places_lets_another_one_pass():
    line = MemoryLine()
    storm(line, "a", 10, P0)
    line.join("low", P3, "b")

    turn = line.take({"a": 5}, 10)

    assert turn is not None
    assert (turn.next.id, turn.why) == ("low", Why.full)


def test_it_goes_on_where_nobody_else_waits():
    line = MemoryLine()
    storm(line, "a", 10, P0)

    turn = line.take({"a": 9, "b": 1}, 10)

    assert turn is not None
    assert (turn.next.tenant, turn.why) == ("a", Why.age)


def test_who_was_let_pass_owes_nothing():
    line = MemoryLine()
    storm(line, "a", 200, P0)
    storm(line, "b", 40, P3)
    for _ in range(20):
        line.take({"a": 5}, 10)

    assert P3 in [one.priority for one in taken(line, 66)]


@pytest.mark.parametrize(
    ("running", "places", "expected"),
    [
        ({"a": 4, "b": 1}, 10, set()),
        ({"a": 5, "b": 1}, 10, {"a"}),
        ({"a": 5, "b": 5}, 10, {"a", "b"}),
        ({"a": 1}, 1, {"a"}),
        ({"a": 1}, 2, {"a"}),
        ({"a": 1}, 3, set()),
        ({"a": 50}, 0, set()),
    ],
)
def test_half_of_all_places_is_rounded_up_and_unknown_places_limit_nobody(
    running: dict[str, int], places: int, expected: set[str]
):
    assert full(running, places) == expected


def test_triage_of_a_single_one_comes_before_a_storms_and_of_an_urgent_one_before_others():
    storm_of_a = [urgency(P2, waiting) for waiting in range(500)]
    critical_ones = [urgency(P0, waiting) for waiting in range(100)]

    assert storm_of_a == sorted(storm_of_a, reverse=True)
    assert sum(one > urgency(P2, 0) for one in storm_of_a) == 0
    assert sum(one > urgency(P2, 0) for one in critical_ones) == 15
    assert urgency(P0, 0) > urgency(P1, 0) > urgency(P3, 0)


def test_a_number_is_never_behind_the_clock_nor_before_the_last_one_of_its_tenant():
    assert [turn_of(5, None), turn_of(5, 2), turn_of(5, 5), turn_of(5, 9)] == [5, 5, 6, 10]


def test_the_more_urgent_is_first_where_two_claims_are_equal():
    lanes = [Lane(P0, passed=3), Lane(P1), Lane(P2), Lane(P3)]
    first = [Waiting("high", P1, "a", 0), Waiting("critical", P0, "a", 0)]

    assert decide(lanes, first, first[0]).next.id == "critical"
