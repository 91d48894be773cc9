"""Which queries are a share of what failed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.context_api.domain.failures import fails, few, is_failed_share
from tests.support.kube import NOW
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


SHARE = 'sum by (service) (increase(visits_total{status=~"5.."}[15m])) / sum by (service) (increase(visits_total[15m]))'
ALL = "sum by (service) (increase(visits_total[15m]))"


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([series(ALL, [4.0], service="a")], True),
        ([series("sum by (service, status) (increase(visits_total[15m]))", [n], service="a", status=s) for n, s in ((3.0, "200"), (1.0, "502"))], True),
        ([series("sum by (service, status) (increase(visits_total[15m]))", [n], service="a", status=s) for n, s in ((30.0, "200"), (9.0, "502"))], False),
        ([series(ALL, [20.0], service="a")], False),
        ([series(ALL, [4.0], service="b")], False),
        ([series(ALL.replace("15m", "1m"), [4.0], service="a")], False),
        ([series(ALL.replace("visits", "orders"), [4.0], service="a")], False),
        ([series('sum by (service) (increase(visits_total{status=~"5.."}[15m]))', [4.0], service="a")], False),
        ([series('sum by (service) (increase(visits_total{method="PUT"}[15m]))', [4.0], service="a")], False),
        ([series('sum by (service) (increase(visits_total{service="a"}[15m]))', [4.0], service="a")], True),
        ([series("sum by (service) (rate(visits_total[15m]))", [4.0], service="a")], False),
        ([series(SHARE, [0.5], service="a")], False),
        ([], False),
    ],
    ids=[
        "four", "four by status", "many by status", "enough", "of another", "over a shorter time", "of something else", "only what failed",
        "of one method", "asked by its own label", "in a second", "a share is no number", "nobody counted",
    ],
)  # fmt: skip
def test_a_share_is_of_a_handful_where_all_of_the_same_time_were_counted_and_are_few(counts, expected: bool):
    assert few(counts, series(SHARE, [0.5], service="a")) is expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (([*[0.001] * 18, *[0.02] * 6] * 3)[2:], False), ([*[0.001] * 42, *[0.02] * 6], True),
        ([*[0.001] * 18, *[0.02] * 6] * 2, True), (([*[0.001] * 18, *[0.2] * 6] * 3)[2:], True),
    ],
    ids=["a few more each evening", "this evening", "yesterday evening too", "too many each evening"],
)  # fmt: skip
def test_a_few_more_failures_at_this_time_of_each_day_are_usual_and_too_many_never_are(
    values, expected: bool
):
    assert fails(series(RATIO, values, 3600.0)) is expected


@pytest.mark.parametrize("gone", [True, False], ids=["its pod is no more", "its pod goes on"])
def test_what_failed_when_its_series_ended_does_not_fail_now(gone: bool):
    bad = replace(series(RATIO, [0.9] * 10), until=NOW.timestamp() + (3600.0 if gone else 0.0))

    assert fails(bad) is not gone
