"""The kinds of context that are listed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.bundle import ContextSource, InvestigationType
from services.context_api.domain.discover import Wish, discover
from services.context_api.domain.tiers import Tier

pytestmark = pytest.mark.requirement("HAPI-BR-CONTEXT-001", "HAPI-BR-CONTEXT-031", "API-BR-CAPI-009")

FRESH = {source.value: timedelta(seconds=30 + n) for n, source in enumerate(ContextSource)}


def names(wish: Wish) -> list[str]:
    return [row["name"] for row in discover(wish, 0.0, FRESH)]


def test_all_are_listed_most_important_first():
    assert names(Wish()) == ["kubernetes", "metrics", "logs", "action-history", "patterns"]


def test_each_is_told_to_be_kept_as_long_as_it_is_here():
    told = {row["name"]: row["freshness_window"] for row in discover(Wish(), 0.0, FRESH)}

    assert told == {name: fresh.total_seconds() * 1e9 for name, fresh in FRESH.items()}


def test_a_tier_leaves_out_the_least_important():
    assert names(Wish(tier=Tier.simple)) == ["kubernetes", "metrics"]
    assert len(names(Wish(tier=Tier.critical, left_out=0.9))) == 5


def test_somebodys_own_limits_are_kept():
    assert names(Wish(most=1)) == ["kubernetes"]
    assert names(Wish(left_out=0.6)) == ["kubernetes", "metrics"]
    assert names(Wish(left_out=1.0)) == ["kubernetes"]


def test_what_the_alert_and_the_investigation_are_about_is_worth_more():
    plain = {row["name"]: row["relevance_score"] for row in discover(Wish(), 0.0, FRESH)}
    memory = {row["name"]: row["relevance_score"] for row in discover(Wish("HighMemoryUsage"), 0.0, FRESH)}
    rca = {
        row["name"]: row["relevance_score"]
        for row in discover(Wish(investigation=InvestigationType.root_cause), 0.0, FRESH)
    }

    assert memory["metrics"] > plain["metrics"]
    assert memory["logs"] == plain["logs"]
    assert rca["action-history"] > plain["action-history"]


@given(st.text(max_size=60), st.none() | st.sampled_from(InvestigationType))
def test_no_relevance_exceeds_one(alert, investigation):
    assert all(
        0 <= row["relevance_score"] <= 1
        for row in discover(Wish(alert, investigation=investigation), 0.5, FRESH)
    )
