"""How long an answer passes for current follows from what it is made of."""

from __future__ import annotations

from datetime import timedelta

import pytest

from libs.cache.provenance import Provenance
from libs.web.page import Lifetime
from services.context_api.settings import KeepingSettings
from services.context_api.steps.freshness import EVIDENCE, SOURCES, Freshness

pytestmark = pytest.mark.requirement("API-BR-CAPI-008", "API-BR-CAPI-012")

S = timedelta(seconds=1)
RULES = Freshness(
    ttl={source: (15 if source == EVIDENCE else 60) * S for source in SOURCES},
    fixed=600 * S,
    gaps=15 * S,
    partial=2 * S,
    stale=30 * S,
)


def test_what_can_change_has_its_sources_time_and_is_given_stale_meanwhile():
    assert RULES.lifetime("metrics", Provenance()) == Lifetime(60.0, 30.0)


def test_what_cannot_change_is_kept_long_and_never_stale():
    assert RULES.lifetime(EVIDENCE, Provenance(fixed=True, gaps=True)) == Lifetime(600.0)


def test_what_was_made_beside_a_gap_is_kept_no_longer_than_a_snapshot():
    assert RULES.lifetime("logs", Provenance(gaps=True)) == Lifetime(15.0, 30.0)


@pytest.mark.parametrize("fixed", [None, True, False])
def test_what_lacks_something_is_kept_for_a_moment_whatever_else_it_is(fixed: bool | None):
    assert RULES.lifetime("patterns", Provenance(partial=True, fixed=fixed)) == Lifetime(60.0, at_most=2.0)


def test_by_default_older_callers_are_given_the_times_they_were_promised():
    settings = KeepingSettings()

    promised = (
        settings.keep_kubernetes,
        settings.keep_metrics,
        settings.keep_logs,
        settings.keep_action_history,
        settings.keep_patterns,
    )
    assert [one.total_seconds() for one in promised] == [30, 60, 120, 300, 600]
