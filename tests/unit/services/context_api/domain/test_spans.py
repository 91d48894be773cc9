"""Quoted lines with count, first and last time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from libs.contracts.target import Target
from services.context_api.domain import spans
from services.context_api.domain.dossier import gather
from tests.support.kube import crashing, deployment, log, pods_in, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-007")

API = deployment("api", statuses=[crashing()])
POD = pods_in(API)[0]
TARGET = Target(api_version="apps/v1", kind="Deployment", namespace="shop", name="api")


def found(text: str):
    taken = snapshot(API, logs=[log(POD, text)])
    items = [i for i in gather(taken, TARGET).items if i.kind == "log"]
    return [cluster for item in items for cluster in spans.of(taken, item)]


def test_lines_of_one_shape_are_counted_from_their_first_to_their_last():
    (cluster,) = found(
        "2026-11-19T10:00:01Z ERROR cannot reach 10.0.0.1\n"
        "2026-11-19T10:05:02Z INFO served\n"
        "2026-11-19T10:09:03Z ERROR cannot reach 10.0.0.2\n"
    )

    assert cluster.count == 2
    assert cluster.first == datetime(2026, 11, 19, 10, 0, 1, tzinfo=UTC)
    assert cluster.last == datetime(2026, 11, 19, 10, 9, 3, tzinfo=UTC)


def test_structured_lines_keep_the_time_that_stands_in_front():
    (cluster,) = found('2026-11-19T10:00:01Z {"level":"error","msg":"cannot open ledger"}\n')

    assert cluster.first == cluster.last == datetime(2026, 11, 19, 10, 0, 1, tzinfo=UTC)


def test_lines_without_a_time_are_counted_all_the_same():
    (cluster,) = found("ERROR cannot open ledger\nERROR cannot open ledger\n")

    assert (cluster.count, cluster.first) == (2, None)


def test_a_log_that_is_not_in_the_snapshot_tells_nothing():
    taken = snapshot(API, logs=[log(POD, "ERROR cannot open ledger")])
    item = next(i for i in gather(taken, TARGET).items if i.kind == "log")

    assert spans.of(snapshot(API), item) == []
