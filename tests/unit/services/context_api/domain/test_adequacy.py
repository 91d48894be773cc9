"""Whether the kinds of context suffice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.bundle import ContextSource, InvestigationType
from services.context_api.domain.adequacy import NEEDS, adequacy

pytestmark = pytest.mark.requirement("HAPI-BR-CONTEXT-021")

KUBE, METRICS, PAST = ContextSource.kubernetes, ContextSource.metrics, ContextSource.action_history


@pytest.mark.parametrize(
    ("kind", "present", "score"),
    [
        (InvestigationType.root_cause, {KUBE, METRICS, PAST}, 0.85),
        (InvestigationType.performance, {KUBE, METRICS}, 0.75),
        (InvestigationType.basic, {KUBE}, 0.60),
        (InvestigationType.basic, set(ContextSource), 1.0),
        (InvestigationType.basic, set(), 0.0),
    ],
)
def test_what_it_must_have_reaches_the_threshold_exactly(kind, present, score):
    assert adequacy(kind, present).score == score


@given(
    st.sampled_from(InvestigationType),
    st.sets(st.sampled_from(ContextSource)),
    st.sampled_from(ContextSource),
)
def test_more_context_is_never_less_adequate(kind, present, more):
    before, after = adequacy(kind, present), adequacy(kind, present | {more})

    assert after.score >= before.score
    assert before.adequate == (before.score >= before.wanted) == (not before.missing)
    assert set(before.missing) == NEEDS[kind][1] - present
