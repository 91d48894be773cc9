"""Older callers' questions, answered in their shapes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from libs.cache import MemoryCache
from libs.contracts.bundle import InvestigationType
from services.context_api.domain.discover import Wish
from services.context_api.domain.errors import NotReadable
from services.context_api.domain.tiers import Tier
from services.context_api.domain.tuning import Subject
from services.context_api.steps.answers import Answers
from services.context_api.steps.bundles import Bundles
from services.context_api.steps.older import ROOM, Older
from tests.unit.services.context_api.domain.test_discover import FRESH
from tests.unit.services.context_api.steps.test_ask import caller, desk
from tests.unit.services.context_api.steps.test_bundles import Archive

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "HAPI-BR-CONTEXT-006", "HAPI-BR-CONTEXT-016")


@pytest.fixture
async def older() -> AsyncIterator[Older]:
    answers = Answers(
        MemoryCache(max_entries=100, max_bytes=10_000_000), most_waiting=9, observe=lambda _: None
    )
    made = desk(answers)
    yield Older(made, Bundles(made, Archive()), as_released, FRESH)
    await answers.close()


async def as_released(_tenant: str, subject: Subject) -> float:
    return subject.most


async def test_history_and_patterns_are_those_of_the_archive(older: Older):
    past = await older.action_history("KubePodNotReady", "shop", caller("*"), None)
    found = await older.patterns("OOMKilled", "KubePodNotReady", "shop", caller("*"), None)

    assert past.history_data["total"] == 4
    assert len(past.context_hash) == 64
    assert found.pattern_context["correlation_score"] == 0.333


async def test_another_alert_or_namespace_has_another_hash(older: Older):
    hashes = {
        (await older.action_history(alert, namespace, caller("*"), None)).context_hash
        for alert, namespace in (("A", "shop"), ("B", "shop"), ("A", "bank"), ("As", "hop"), ("A", None))
    }

    assert len(hashes) == 5


async def test_a_severity_stands_for_its_tier_unless_one_is_named(older: Older):
    by_severity = await older.discover(Wish("DiskSpaceWarning"), "info", caller("*"), score=False)
    by_tier = await older.discover(Wish("DiskSpaceWarning", Tier.critical), "info", caller("*"), score=False)

    assert (by_severity.complexity_tier, by_severity.total_types) == ("simple", 2)
    assert (by_tier.complexity_tier, by_tier.total_types) == ("critical", 5)
    assert by_severity.adequacy_score is None


async def test_sufficiency_is_scored_when_asked_for(older: Older):
    wish = Wish(investigation=InvestigationType.root_cause, most=2)
    scored = await older.discover(wish, "", caller("*"), score=True)

    assert scored.context_adequate is False
    assert scored.missing == ["action-history"]


async def test_an_alerts_context_is_as_large_as_its_tier_allows(older: Older):
    made = await older.alert("critical", "KubePodNotReady", "shop", "", caller("*"), None)

    assert made.context_size <= ROOM[Tier.complex]
    assert made.metadata["tier_reason"] == "severity critical"


@pytest.mark.requirement("HAPI-BR-CONTEXT-040")
async def test_what_a_tenants_tuning_leaves_out_decides_kinds_and_room(older: Older):
    asked: list[tuple[str, str]] = []

    async def less(tenant: str, subject: Subject) -> float:
        asked.append((tenant, str(subject)))
        return 0.25

    older._reduction = less
    made = await older.alert("warning", "KubePodNotReady", "shop", "", caller("*"), None)
    found = await older.discover(Wish("KubePodNotReady"), "warning", caller("*"), score=False)

    assert len(made.metadata["context_types"]) == found.total_types == 4
    assert made.metadata["max_tokens"] == 5_000
    assert asked == [("t", "moderate/root_cause_analysis")] * 2


@pytest.mark.requirement("HAPI-BR-CONTEXT-041")
async def test_who_says_that_answers_got_worse_gets_a_step_more_this_once(older: Older):
    wish = Wish("X", Tier.simple)
    worse = await older.discover(wish, "", caller("*"), score=False, worse=True)
    less_still = await older.discover(Wish("X", Tier.simple, 0.0), "", caller("*"), score=False, worse=True)

    assert worse.total_types == 2  # 0.65 of five kinds may be left out
    assert less_still.total_types == 5
    assert (
        await older.discover(Wish("X", Tier.moderate), "", caller("*"), score=False, worse=True)
    ).total_types == 3


async def test_an_investigation_of_a_namespace_tells_what_it_lacks(older: Older):
    made = await older.investigation(InvestigationType.root_cause, "shop", 4_000, caller("shop"), None)

    assert made.context_adequate is False
    assert "metrics" in made.metadata["missing"]
    with pytest.raises(NotReadable):
        await older.investigation(InvestigationType.basic, "shop", 4_000, caller("bank"), None)


async def test_series_are_told_to_who_may_read_the_namespace(older: Older):
    assert b'"series":[]' in await older.metrics("shop", "api", "5m", caller("shop"), None)
    with pytest.raises(NotReadable):
        await older.metrics("shop", "api", "5m", caller("bank"), None)
