"""Recorded Prometheus answers, read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.context_api.domain.metrics import MetricIndex, read
from services.context_api.domain.snapshot import MetricAnswer
from services.context_api.domain.triage import find_causes
from tests.support.kube import NOW, crashing, deployment, pods_in, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


def answer(*results, kind: str = "matrix", query: str = "q") -> MetricAnswer:
    return MetricAnswer(query, "range", NOW, {"resultType": kind, "result": list(results)})


def test_ranges_and_instants_are_read_and_what_is_no_number_is_left_out():
    ranged = {
        "metric": {"__name__": "up", "pod": "a"},
        "values": [[2, "1"], [1, "0"], [3, "NaN"], [4, "+Inf"], "junk", [5]],
    }
    instant = {"metric": {"pod": "b"}, "value": [7, "3.5"]}

    one, two = (next(read(answer(r))) for r in (ranged, instant))

    assert (one.name, one.points, one.last) == ("up", ((1.0, 0.0), (2.0, 1.0)), 1.0)
    assert (two.last, two.at and two.at.timestamp()) == (3.5, 7.0)


def test_a_series_is_told_with_what_sets_it_apart_and_without_how_it_was_scraped():
    labels = {
        "__name__": "lag",
        "job": "exporter",
        "endpoint": "http",
        "namespace": "shop",
        "group": "billing",
        "api_token": "abc",
    }

    (series,) = read(answer({"metric": labels, "values": [[1, "3"], [2, "9"]]}, query="lag"))

    assert str(series) == "lag: 3 → 9 (api_token=[REDACTED], group=billing, namespace=shop)"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"result": None},
        {"result": [None, {"values": None}, {"value": [1]}, {"values": "x"}]},
        {"result": [{"metric": 1, "values": [[None, None]]}]},
    ],
)
def test_misshapen_answers_hold_no_series(data):
    assert list(read(MetricAnswer("q", "range", None, data))) == []


def test_series_are_found_by_their_pod_and_become_evidence_of_its_trouble():
    objects = deployment("api", statuses=[crashing()])
    name = pods_in(objects)[0]["metadata"]["name"]
    metric = answer(
        {"metric": {"namespace": "shop", "pod": name}, "values": [[1, "0"], [2, "8"]]}, query="restarts"
    )
    taken = replace(snapshot(objects), metrics=[metric])

    assert len(MetricIndex(taken).of_pod("shop", name)) == 1
    cause = find_causes(taken).ranked[0]
    shown = {e.id: e for e in find_causes(taken).evidence}
    assert any(shown[i].kind == "metric" and "0 → 8" in shown[i].summary for i in cause.evidence_ids)


@pytest.mark.parametrize(
    ("last", "ended"),
    [
        ([0, 60, 120, 600], False),
        ([0, 60, 120, 240], True),
        ([0, 60, 120, 420], False),
        ([0, 200, 400], False),
    ],
    ids=["goes on", "others go on without it", "not yet stale", "asked in long steps"],
)
def test_a_series_has_ended_where_others_of_its_answer_go_on_without_it(last: list[int], ended: bool):
    others = {"metric": {"pod": "b"}, "values": [[t, "1"] for t in range(0, 601, 60)]}
    ones = {"metric": {"pod": "a"}, "values": [[t, "1"] for t in last]}

    found = {s.labels["pod"]: s.has_ended for s in read(answer(ones, others))}

    assert found == {"a": ended, "b": False}
