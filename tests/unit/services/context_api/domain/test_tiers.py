"""How much context an alert gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.context_api.domain.registry import TYPES
from services.context_api.domain.tiers import ALLOWANCES, Tier, assess, kept

pytestmark = pytest.mark.requirement("HAPI-BR-CONTEXT-016", "HAPI-BR-CONTEXT-031")


@pytest.mark.parametrize(
    ("severity", "name", "tier"),
    [
        ("critical", "PodCrashLoopBackOff", Tier.complex),
        ("warning", "HighMemoryUsage", Tier.moderate),
        ("info", "DiskSpaceWarning", Tier.simple),
        ("critical", "SecurityBreach", Tier.critical),
        ("info", "DataLossSuspected", Tier.complex),
        ("Page", "ErrorBudgetBurn", Tier.complex),
        ("", "Whatever", Tier.moderate),
        ("purple", "Whatever", Tier.moderate),
    ],
)
def test_severity_and_grave_words_decide_and_unknown_is_not_harmless(severity: str, name: str, tier: Tier):
    assert assess(severity, name).tier is tier


@given(st.sampled_from(Tier), st.none() | st.floats(min_value=0, max_value=1))
def test_no_tier_loses_more_than_it_may(tier: Tier, left_out: float | None):
    rows = kept(tier, left_out=left_out)

    assert len(rows) >= ALLOWANCES[tier].fewest
    assert 1 - len(rows) / len(TYPES) <= ALLOWANCES[tier].most_left_out
    assert [r.priority for r in rows] == sorted((r.priority for r in TYPES), reverse=True)[: len(rows)]


@pytest.mark.parametrize("tier", [Tier.complex, Tier.critical])
def test_grave_alerts_keep_every_kind_of_high_priority(tier: Tier):
    assert sum(row.priority >= 80 for row in kept(tier)) >= 2
