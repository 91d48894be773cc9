"""Bundles put first what a person would want to see first, and have in them what nobody can do without."""

from __future__ import annotations

from functools import cache

import pytest

from tests.relevance.goals import COMPLETE, FIRST_RELEVANT, not_yet
from tests.relevance.labels import Half, cases
from tests.relevance.measure import BUDGET, Outcome, figures, outcome

pytestmark = pytest.mark.requirement("API-BR-CAPI-004")


@cache
def outcomes(half: Half) -> tuple[Outcome, ...]:
    return tuple(outcome(case, half) for case in cases(half).values())


@pytest.mark.parametrize(
    "half", [pytest.param(half, marks=not_yet(f"{half}-precision"), id=half.value) for half in Half]
)
def test_the_first_facts_of_a_bundle_are_relevant(half: Half):
    assert figures(outcomes(half)).precision >= FIRST_RELEVANT


@pytest.mark.parametrize(
    "half", [pytest.param(half, marks=not_yet(f"{half}-complete"), id=half.value) for half in Half]
)
def test_what_nobody_can_do_without_is_within_the_budget(half: Half):
    assert figures(outcomes(half)).complete >= COMPLETE


@pytest.mark.parametrize("half", Half)
def test_no_bundle_is_larger_than_its_budget(half: Half):
    assert max(one.tokens for one in outcomes(half)) <= BUDGET
