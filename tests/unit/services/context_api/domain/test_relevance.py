"""How much one fact matters."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.bundle import InvestigationType
from libs.contracts.causes import FindingSeverity
from libs.contracts.evidence import EvidenceItem, EvidenceKind
from services.context_api.domain.dossier import Placed
from services.context_api.domain.evidence import Fact
from services.context_api.domain.outline import PATH
from services.context_api.domain.relevance import (
    EVERYDAY,
    LEAST,
    UNCROWDED,
    Relevance,
    crowded,
    relevance,
)
from tests.support.kube import NOW

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007", "API-BR-CAPI-009")

RCA = InvestigationType.root_cause


def item(kind: EvidenceKind = EvidenceKind.object, ago: timedelta | None = None) -> EvidenceItem:
    return EvidenceItem(
        id="ev-0123456789abcdef", source="recording", kind=kind, content_hash="0" * 64, summary="s", body={},
        observed_at=NOW - ago if ago is not None else None,
    )  # fmt: skip


def placed(**more) -> Placed:
    return Placed(Fact(EvidenceKind.object, None, "s", {}), more.pop("nearness", 1.0), **more)


def value(place: Placed, one: EvidenceItem | None = None, kind: InvestigationType = RCA) -> float:
    return relevance(one or item(), place, kind, NOW, NOW).value


def test_what_proves_the_first_cause_comes_before_rivals_findings_and_the_plain_record():
    ordered = [
        placed(cause=0, confidence=0.6),
        placed(cause=1, confidence=0.6),
        placed(severity=FindingSeverity.warning, nearness=0.5),
        placed(nearness=1.0),
        placed(nearness=0.2),
    ]

    values = [value(one) for one in ordered]

    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)


def test_a_surer_cause_a_nearer_object_and_an_explained_finding_count_more():
    assert value(placed(cause=0, confidence=0.9)) > value(placed(cause=0, confidence=0.3))
    assert value(placed(severity=FindingSeverity.warning, nearness=0.9)) > value(
        placed(severity=FindingSeverity.warning, nearness=0.3)
    )
    assert value(placed(severity=FindingSeverity.warning, explained=True)) > value(
        placed(severity=FindingSeverity.warning)
    )


def test_text_that_tells_its_reader_what_to_conclude_counts_least_of_all_findings():
    assert (
        value(placed(severity=FindingSeverity.info)) < value(placed(severity=FindingSeverity.warning)) / 1.5
    )


def test_a_change_comes_before_the_rest_of_the_record_and_the_everyday_after_it():
    ready = item().model_copy(
        update={"body": {"path": "status.conditions[Ready]", "value": {"status": "True"}}}
    )

    change, plain, everyday = (value(placed(), one) for one in (item(EvidenceKind.change), item(), ready))

    assert change > plain > everyday
    assert everyday == plain * EVERYDAY


def test_the_record_of_the_first_causes_object_counts_more_than_that_of_others():
    assert value(placed(suspect=True)) > value(placed())


def test_an_outline_counts_where_it_is_the_first_causes_and_is_everyday_elsewhere():
    outline = item().model_copy(update={"body": {"path": PATH, "value": {"replicas": 3}}})

    assert value(placed(suspect=True), outline) == value(placed(suspect=True))
    assert value(placed(), outline) < value(placed())


@pytest.mark.parametrize(
    ("least", "most", "moved"), [(1.0, 5.0, True), (4.0, 5.0, False), (0.0, 0.0, False), (-9.0, 0.0, True)]
)
def test_a_series_that_moved_counts_more_than_one_that_stayed(least: float, most: float, moved: bool):
    still = item(EvidenceKind.metric)
    series = still.model_copy(update={"body": {"least": least, "most": most}})

    assert (value(placed(), series) > value(placed(), still)) is moved


def test_the_more_of_its_kind_stand_before_it_the_less_a_fact_counts_but_never_nothing():
    worth = Relevance(0.4, "on record")

    values = [crowded(worth, before).value for before in range(60)]

    assert values[:UNCROWDED] == [0.4] * UNCROWDED
    assert values == sorted(values, reverse=True)
    assert values[UNCROWDED] < 0.4
    assert values[-1] == LEAST


def test_what_happened_around_the_onset_counts_more_than_what_is_old():
    fresh, older, old = (
        value(placed(severity=FindingSeverity.warning), item(ago=ago))
        for ago in (timedelta(minutes=5), timedelta(hours=5), timedelta(days=9))
    )

    assert fresh > older > old


def test_a_performance_investigation_looks_at_metrics_first():
    metric = item(EvidenceKind.metric)

    assert value(placed(), metric, InvestigationType.performance) > value(placed(), metric, RCA)


@given(
    st.floats(0, 1), st.none() | st.integers(0, 9), st.floats(0, 1), st.none() | st.sampled_from(FindingSeverity),
    st.booleans(), st.sampled_from(EvidenceKind), st.sampled_from(InvestigationType),
    st.none() | st.timedeltas(timedelta(days=-2), timedelta(days=900)),
)  # fmt: skip
def test_it_is_always_between_nothing_and_one_and_has_a_reason(
    near, cause, sure, severity, told, kind, want, ago
):
    place = placed(nearness=near, cause=cause, confidence=sure, severity=severity, explained=told)

    found = relevance(item(kind, ago), place, want, NOW, None)

    assert 0 < found.value <= 1
    assert found.why
