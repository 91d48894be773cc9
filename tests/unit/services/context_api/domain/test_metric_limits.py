"""Metrics that come in pairs, a use and its limit."""

from __future__ import annotations

import pytest

from services.context_api.domain.metric_limits import Reached, reached
from tests.support.kube import moment, node
from tests.support.series import recorded, scene

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

USE, LIMIT = "node_nf_conntrack_entries", "node_nf_conntrack_entries_limit"


def pair(
    values: list[float], limit: float = 1000, use: str = USE, most: str = LIMIT, **labels: str
) -> list[Reached]:
    where = labels or {"instance": "node-1:9100"}
    metrics = [
        recorded(use, values, __name__=use, **where),
        recorded(most, [limit] * len(values), __name__=most, **where),
    ]
    made = scene(node("node-1"), node("node-2"), metrics=metrics)
    return list(reached(made.graph, made.metrics))


def test_a_use_at_its_limit_is_told_with_since_when():
    (one,) = pair([200.0] * 20 + [990.0] * 11)

    assert one.about.name == "node-1"
    assert one.since == moment(10)
    assert "conntrack" in one.told
    assert "990 of at most 1000" in one.told


@pytest.mark.parametrize(
    ("use", "most"),
    [
        ("node_filefd_allocated", "node_filefd_maximum"),
        ("node_processes_threads", "node_processes_max_threads"),
        ("node_something_open_handles", "node_something_handles_limit"),
    ],
)
def test_pairs_are_known_by_their_names(use: str, most: str):
    assert [one.about.name for one in pair([999.0] * 12, use=use, most=most)] == ["node-1"]


@pytest.mark.parametrize(
    ("values", "use", "most"),
    [
        ([900.0] * 12, USE, LIMIT),
        ([1000.0] * 12, "node_cpu_scaling_frequency_hertz", "node_cpu_scaling_frequency_max_hertz"),
        ([1000.0] * 12, USE, "node_filefd_maximum"),
    ],
    ids=["below it", "a reading of an instrument", "another thing's limit"],
)
def test_what_is_no_use_at_its_limit_is_not_told(values: list[float], use: str, most: str):
    assert pair(values, use=use, most=most) == []


def test_a_volume_on_a_node_is_not_the_node():
    assert pair([1000.0] * 12, node="node-1", persistentvolumeclaim="data") == []


def test_since_when_is_not_told_where_the_record_begins_with_it():
    (one,) = pair([990.0] * 20)

    assert one.since is None
