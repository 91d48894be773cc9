"""Which queries are a share of what failed."""

from __future__ import annotations

import pytest

from services.context_api.domain.failures import fails, is_failed_share
from tests.support.series import series

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))', True),
        ('sum(rate(sent_total{outcome="failed"}[2m])) / sum(rate(sent_total[2m]))', True),
        ("service:error_ratio:rate5m", True),
        ('sum(rate(http_requests_total{code=~"5.."}[5m]))', False),
        ('sum(rate(sent_total{outcome="delivered"}[2m])) / sum(rate(sent_total[2m]))', False),
        ("node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", False),
    ],
    ids=["codes", "outcomes", "a recorded ratio", "a number", "a share of successes", "another share"],
)
def test_a_share_of_failures_is_known_by_its_query(query: str, expected: bool):
    assert is_failed_share(series(query, [0.1])) is expected


RATIO = 'sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))'


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.06], True),
        ([0.001] * 20 + [0.02] * 10, True),
        ([0.001] * 20 + [0.02] * 5 + [0.001] * 5, False),
        ([0.02] * 30, False),
        ([0.0001] * 20 + [0.004] * 10, False),
        ([0.02], False),
        ([40.0], False),
    ],
    ids=["by any objective", "twenty times as many", "for a while", "as many as ever", "few", "nothing to compare", "no share"],
)  # fmt: skip
def test_too_many_fail_by_any_objective_or_by_what_was_usual(values: list[float], expected: bool):
    assert fails(series(RATIO, values)) is expected
