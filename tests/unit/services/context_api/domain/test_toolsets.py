"""The toolsets older clients look for."""

from __future__ import annotations

import pytest

from services.context_api.domain.toolsets import MODELS, statistics, toolsets
from tests.support.kube import NOW

pytestmark = pytest.mark.requirement("API-BR-CAPI-016", "HAPI-BR-CONTEXT-001")


def test_models_tools_come_first_and_each_kind_of_context_has_a_row():
    rows = toolsets("1.0.0", NOW, serves=True)

    assert rows[0].name == MODELS
    assert "find_causes" in rows[0].capabilities
    assert [row.name for row in rows[1:]] == ["kubernetes", "metrics", "logs", "action-history", "patterns"]


@pytest.mark.parametrize(("serves", "enabled"), [(True, 6), (False, 0)])
def test_without_evidence_nothing_is_enabled(serves: bool, enabled: int):
    counted = statistics(toolsets("1.0.0", NOW, serves=serves))

    assert (counted.total_toolsets, counted.enabled_count) == (6, enabled)
    assert sum(counted.type_counts.values()) == 6
