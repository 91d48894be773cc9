"""Over how long a value looks back; of one question over several windows only the shortest speaks of now."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.context_api.domain.windows import of_now, window_of
from tests.support.series import series

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-009")

P99 = "histogram_quantile(0.99, rate(page_seconds_bucket[{}]))"


@pytest.mark.parametrize(
    ("query", "window"),
    [
        ("rate(x_total[5m])", timedelta(minutes=5)),
        ("max_over_time(x[1h30m])", timedelta(minutes=90)),
        ("rate(a[1m]) / rate(b[6h])", timedelta(hours=6)),
        ("slo:errors:ratio_rate1h", timedelta(hours=1)),
        ("up", timedelta(0)),
        ("node_load15", timedelta(0)),
        ("rate(x[999999999999999999999d])", timedelta(days=366)),
    ],
)
def test_the_longest_range_of_a_query_is_how_far_it_looks_back(query: str, window: timedelta):
    assert window_of(series(query, [1.0, 1.0])) == window


def test_of_one_question_only_the_shortest_window_speaks_of_now():
    short, long = series(P99.format("5m"), [0.2], service="a"), series(P99.format("1h"), [2.7], service="a")

    assert of_now([long, short]) == [short]


def test_other_labels_and_other_questions_speak_for_themselves():
    ours, theirs = series(P99.format("5m"), [0.2], service="a"), series(P99.format("1h"), [2.7], service="b")
    average = series("rate(page_seconds_sum[1h]) / rate(page_seconds_count[1h])", [2.7], service="a")

    assert of_now([ours, theirs, average]) == [ours, theirs, average]
