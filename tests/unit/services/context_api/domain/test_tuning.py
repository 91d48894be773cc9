from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.bundle import InvestigationType
from services.context_api.domain.tiers import Tier
from services.context_api.domain.tuning import (
    COOLING,
    HEARD,
    HELD,
    HIGH,
    LEAST,
    LOW,
    PROBATION,
    STEP,
    SUBJECTS,
    Said,
    Standing,
    Subject,
    Why,
    after,
    bounded,
    decide,
    eased,
    initial,
    rolled_back,
    room,
)

pytestmark = pytest.mark.requirement("HAPI-BR-CONTEXT-039", "HAPI-BR-CONTEXT-040", "HAPI-BR-CONTEXT-041")

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MODERATE = Subject(Tier.moderate, InvestigationType.root_cause)
SIMPLE = Subject(Tier.simple, InvestigationType.basic)


def said(**qualities: float) -> list[Said]:
    """Each caller says the same ten times."""
    return [Said(caller, quality) for caller, quality in qualities.items() for _ in range(LEAST)]


def lowered(reduction: float = 0.35, **others: Any) -> Standing:
    return replace(Standing(2, reduction, NOW - 2 * COOLING), **others)


def test_nobody_having_said_anything_leaves_what_the_release_brings():
    decided = decide(MODERATE, initial(MODERATE), [], NOW)

    assert (decided.reduction, decided.moved, decided.why) == (0.55, False, Why.few)
    assert decided.quality is None
    assert not decided.degraded


def test_bad_answers_mean_that_less_is_left_out_by_one_step():
    decided = decide(MODERATE, initial(MODERATE), said(ann=0.4, ben=0.5), NOW)

    assert (decided.reduction, decided.moved, decided.why) == (0.45, True, Why.worse)
    assert decided.degraded


def test_good_answers_mean_that_more_is_left_out_up_to_what_the_tier_allows():
    once = decide(MODERATE, lowered(0.5), said(ann=0.9, ben=0.95), NOW)
    at_most = decide(MODERATE, initial(MODERATE), said(ann=0.9, ben=0.95), NOW)

    assert (once.reduction, once.why) == (0.55, Why.better)
    assert (at_most.reduction, at_most.moved, at_most.why) == (0.55, False, Why.top)


def test_between_bad_and_good_nothing_moves():
    decided = decide(MODERATE, lowered(), said(ann=0.75, ben=0.8), NOW)

    assert (decided.moved, decided.why) == (False, Why.enough)


def test_so_few_answers_decide_nothing():
    decided = decide(MODERATE, initial(MODERATE), said(ann=0.0)[: LEAST - 1], NOW)

    assert (decided.moved, decided.why, decided.detail) == (False, Why.few, f"{LEAST - 1} of {LEAST}")


def test_after_a_change_its_answers_are_waited_for():
    fresh = lowered(changed_at=NOW - COOLING + timedelta(seconds=1))

    assert decide(MODERATE, fresh, said(ann=0.1, ben=0.1), NOW).why is Why.cooling
    assert decide(MODERATE, fresh, said(ann=0.1, ben=0.1), NOW + timedelta(seconds=1)).why is Why.worse


def test_what_made_answers_worse_is_not_tried_again_soon():
    raised = decide(MODERATE, lowered(0.45), said(ann=0.9, ben=0.9), NOW)
    standing = after(lowered(0.45), raised, NOW)
    fell = decide(MODERATE, standing, said(ann=0.75, ben=0.75), NOW + COOLING)
    standing = after(standing, fell, NOW + COOLING)
    soon = decide(MODERATE, standing, said(ann=0.9, ben=0.9), NOW + 3 * COOLING)
    later = decide(MODERATE, standing, said(ann=0.9, ben=0.9), NOW + COOLING + PROBATION)

    assert (raised.reduction, fell.reduction) == (0.55, 0.45)
    assert (fell.why, fell.degraded) == (Why.fell, True)
    assert (soon.moved, soon.why) == (False, Why.probation)
    assert (later.moved, later.reduction) == (True, 0.55)


def test_where_nothing_is_left_out_bad_answers_are_still_said_to_be_bad():
    decided = decide(MODERATE, lowered(0.0), said(ann=0.1, ben=0.1), NOW)

    assert (decided.moved, decided.why, decided.degraded) == (False, Why.bottom, True)


def test_one_caller_among_others_moves_nothing_however_often_it_speaks():
    loud = [Said("mallory", 0.0) for _ in range(1_000)]

    assert not decide(MODERATE, lowered(), [*loud, *said(ann=0.9)], NOW).moved
    assert decide(MODERATE, lowered(), [*loud, *said(ann=0.9, ben=0.9)], NOW).why is Why.better
    flattering = [Said("mallory", 1.0) for _ in range(1_000)]
    assert not decide(MODERATE, lowered(), [*flattering, *said(ann=0.5, ben=0.8)], NOW).moved


def test_one_caller_alone_moves_it_one_step_from_the_release_and_back():
    first = decide(MODERATE, initial(MODERATE), said(ann=0.1), NOW)
    second = decide(MODERATE, after(initial(MODERATE), first, NOW), said(ann=0.1), NOW + COOLING)
    back = decide(MODERATE, lowered(0.35), said(ann=0.95), NOW)

    assert (first.reduction, first.moved) == (0.45, True)
    assert (second.moved, second.why, second.degraded) == (False, Why.alone, True)
    assert (back.moved, back.reduction) == (True, 0.45)


def test_one_word_is_no_second_voice():
    few = [*said(ann=0.1), *[Said("ben", 0.1)] * (HEARD - 1)]
    first = after(initial(MODERATE), decide(MODERATE, initial(MODERATE), said(ann=0.1), NOW), NOW)

    assert decide(MODERATE, first, few, NOW + COOLING).why is Why.alone
    assert decide(MODERATE, first, [*few, Said("ben", 0.1)], NOW + COOLING).why is Why.worse


def test_what_a_person_set_is_left_alone_for_a_day():
    standing = rolled_back(lowered(0.35), MODERATE, 0.55, NOW)

    assert (standing.version, standing.reduction, standing.baseline) == (3, 0.55, None)
    assert decide(MODERATE, standing, said(ann=0.1, ben=0.1), NOW + HELD - COOLING).why is Why.held
    assert decide(MODERATE, standing, said(ann=0.1, ben=0.1), NOW + HELD).why is Why.worse


def test_what_an_earlier_release_wrote_down_is_kept_within_the_tier():
    assert bounded(MODERATE, 0.99) == 0.55
    assert bounded(MODERATE, -1.0) == 0.0
    assert decide(MODERATE, Standing(1, 0.9), [], NOW).reduction == 0.55


def test_room_grows_as_less_is_left_out():
    assert room(MODERATE, 3_000, 0.55) == 3_000
    assert room(MODERATE, 3_000, 0.25) == 5_000
    assert room(SIMPLE, 1_500, 0.0) == 6_000
    assert eased(SIMPLE, 0.05) == 0.0


subjects = st.sampled_from(SUBJECTS)
qualities = st.floats(0, 1)
voices = st.lists(st.builds(Said, st.sampled_from("abcd"), qualities), max_size=60)
moments = st.none() | st.integers(-400, 400).map(lambda hours: NOW + timedelta(hours=hours))
shares = st.floats(-1, 2)
standings = st.builds(
    Standing,
    version=st.integers(0, 9),
    reduction=shares,
    changed_at=moments,
    held_until=moments,
    baseline=st.none() | qualities,
    fell_from=st.none() | st.floats(0, 1),
    fell_at=moments,
)


@settings(deadline=None)  # a busy machine is no slow decision
@given(subjects, standings, voices)
def test_it_never_leaves_the_bounds_nor_takes_more_than_a_step(
    subject: Subject, standing: Standing, given_: list[Said]
):
    decided = decide(subject, standing, given_, NOW)
    present = bounded(subject, standing.reduction)

    assert 0 <= decided.reduction <= subject.most
    assert abs(decided.reduction - present) <= STEP + 1e-9
    assert decided.moved or decided.reduction == present


@settings(deadline=None)  # a busy machine is no slow decision
@given(subjects, standings, st.lists(voices, min_size=1, max_size=12))
def test_a_whole_history_never_leaves_the_bounds(
    subject: Subject, standing: Standing, rounds: list[list[Said]]
):
    now = NOW
    for given_ in rounds:
        standing = after(standing, decide(subject, standing, given_, now), now)
        now += COOLING
        assert 0 <= standing.reduction <= subject.most


@settings(deadline=None)  # a busy machine is no slow decision
@given(subjects, standings, voices, st.randoms())
def test_the_order_in_which_answers_came_decides_nothing(
    subject: Subject, standing: Standing, given_: list[Said], chance: object
):
    shuffled = list(given_)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    assert decide(subject, standing, shuffled, NOW) == decide(subject, standing, given_, NOW)


@settings(deadline=None)  # a busy machine is no slow decision
@given(subjects, standings, st.lists(st.tuples(st.sampled_from("abcd"), qualities, qualities), max_size=60))
def test_better_answers_never_mean_that_less_is_left_out(
    subject: Subject, standing: Standing, pairs: list[tuple[str, float, float]]
):
    worse = decide(subject, standing, [Said(who, min(one, two)) for who, one, two in pairs], NOW)
    better = decide(subject, standing, [Said(who, max(one, two)) for who, one, two in pairs], NOW)

    assert better.reduction >= worse.reduction
    assert worse.degraded or not better.degraded


@settings(deadline=None)  # a busy machine is no slow decision
@given(subjects, standings, st.integers(1, 200), qualities)
def test_a_caller_outvoted_by_two_who_agree_cannot_move_it_their_opposite_way(
    subject: Subject, standing: Standing, often: int, quality: float
):
    loud = [Said("mallory", quality)] * often
    content = decide(subject, standing, [*loud, *said(ann=0.8, ben=0.8)], NOW)
    calm = replace(standing, baseline=None)

    assert decide(subject, calm, [*loud, *said(ann=0.8, ben=0.8)], NOW).reduction == bounded(
        subject, standing.reduction
    )
    assert LOW <= 0.8 < HIGH
    assert content.reduction <= bounded(subject, standing.reduction)
