from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.context_api.adapters.recording.errors import NotUsable
from services.context_api.adapters.recording.metrics import metric_of

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")

DATA = {"resultType": "vector", "result": []}


def recorded(**changes: Any) -> dict[str, Any]:
    return {"query": "up", "kind": "instant", "asked_at": "2026-01-02T03:04:05Z", "data": DATA} | changes


def test_a_recorded_answer_keeps_query_kind_time_and_data():
    answer = metric_of(recorded(), origin="metrics/up.json")

    assert (answer.query, answer.kind, answer.data) == ("up", "instant", DATA)
    assert answer.asked_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_prometheus_whole_answer_is_unwrapped():
    assert metric_of(recorded(data={"status": "success", "data": DATA}), origin="").data == DATA


@pytest.mark.parametrize("asked_at", [1767323045, 1767323045.0])
def test_the_time_may_be_seconds(asked_at: float):
    assert metric_of(recorded(asked_at=asked_at), origin="").asked_at == datetime(
        2026, 1, 2, 3, 4, 5, tzinfo=UTC
    )


@pytest.mark.parametrize("asked_at", [None, "soon", True, -1, 1e300, []])
def test_a_time_that_is_none_reads_as_unknown(asked_at: object):
    assert metric_of(recorded(asked_at=asked_at), origin="").asked_at is None


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], "query"),
        (None, "query"),
        (recorded(query=""), "query"),
        (recorded(kind="both"), "kind"),
        (recorded(kind=[]), "kind"),
        (recorded(data=None), "data"),
        (recorded(data={"resultType": "vector", "result": {}}), "data"),
    ],
)
def test_a_missing_part_is_named(document: object, field: str):
    with pytest.raises(NotUsable, match=field):
        metric_of(document, origin="")
