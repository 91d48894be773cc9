"""The table of the kinds of context."""

from __future__ import annotations

import pytest

from libs.contracts.bundle import ContextSource
from libs.contracts.evidence import EvidenceKind
from services.context_api.domain.registry import TYPES, source_of

pytestmark = pytest.mark.requirement("HAPI-BR-CONTEXT-001")


def test_every_kind_of_context_has_its_row_and_every_fact_its_kind():
    assert {row.source for row in TYPES} == set(ContextSource)
    assert {source_of(kind) for kind in EvidenceKind} <= set(ContextSource)


def test_rows_stand_by_priority_and_promise_what_older_callers_were_promised():
    assert [(r.source.value, r.priority, r.relevance) for r in TYPES] == [
        ("kubernetes", 100, 0.9),
        ("metrics", 85, 0.85),
        ("logs", 70, 0.75),
        ("action-history", 60, 0.7),
        ("patterns", 40, 0.6),
    ]
