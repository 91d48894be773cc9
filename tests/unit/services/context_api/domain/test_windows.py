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


@pytest.mark.parametrize(
    "short",
    [
        'rate(x_total{service="a"}[5m])',
        'rate(x_total{namespace="shop",service="a"}[5m])',
        'rate(x_total{namespace="shop", service="a"}[5m])',
    ],
    ids=["its own label", "both of its labels", "with a space between"],
)
def test_a_matcher_that_repeats_a_label_of_the_series_says_nothing(short: str):
    of = {"namespace": "shop", "service": "a"}
    now, hour = series(short, [0.2], **of), series("rate(x_total[1h])", [2.7], **of)

    assert of_now([hour, now]) == [now]


@pytest.mark.parametrize(
    "short",
    [
        'rate(x_total{code=~"5.."}[5m])',
        'rate(x_total{service="a",code=~"5.."}[5m])',
        'rate(x_total{service="b"}[5m])',
        'rate(x_total{myservice="a"}[5m])',
        'rate(x_total{service!="a"}[5m])',
    ],
    ids=[
        "a part of it",
        "that part beside its own label",
        "another value",
        "a longer label",
        "all the others",
    ],
)
def test_a_matcher_of_another_label_is_another_question(short: str):
    now, hour = series(short, [0.2], service="a"), series("rate(x_total[1h])", [2.7], service="a")

    assert of_now([hour, now]) == [hour, now]


def test_a_part_is_the_same_part_over_a_longer_time():
    now = series('rate(x_total{service="a",code=~"5.."}[5m])', [0.2], service="a")
    hour = series('rate(x_total{code=~"5.."}[1h])', [2.7], service="a")

    assert of_now([hour, now]) == [now]
