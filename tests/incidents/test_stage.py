"""Parts of the stage that need no cluster."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.incidents.chronicle import Chronicle
from tests.incidents.stage import merge_patch

pytestmark = pytest.mark.requirement("INT-BR-TEST-005")


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({"a": 1, "b": {"c": 1, "d": 2}}, {"a": 1, "b": {"c": 1, "d": 3}}, {"b": {"d": 3}}),
        ({"a": 1, "b": {"c": 1}}, {"b": {}}, {"a": None, "b": {"c": None}}),
        ({"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 3]}),
        ({}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
        ({"a": {"b": 1}}, {"a": {"b": 1}}, {}),
    ],
    ids=["a value within", "what went", "a list as a whole", "what came", "another type", "nothing"],
)
def test_an_edit_is_sent_as_what_differs(
    before: dict[str, Any], after: dict[str, Any], patch: dict[str, Any]
):
    assert merge_patch(before, after) == patch


class _At(Chronicle):
    """A chronicle without a cluster."""

    def __init__(self) -> None:
        self.metrics = {}

    @property
    def now(self) -> datetime:
        return datetime(2026, 11, 3, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("process_open_fds", "process_open_fds"),
        ('up{namespace="shop"}', "up"),
        ("rate(http_requests_total[5m])", None),
        ("sum by (job) (up)", None),
    ],
)
def test_a_metric_that_is_only_selected_keeps_its_name_as_in_prometheus(query: str, name: str | None):
    told = _At()
    told.metric("one", query, [({"job": "api"}, [1.0, 2.0])])

    labels = told.metrics["one"]["data"]["result"][0]["metric"]
    assert labels.get("__name__") == name
    assert labels["job"] == "api"
