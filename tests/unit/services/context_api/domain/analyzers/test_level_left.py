"""Series of the alerting object that rose and stay, whatever they measure."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kube import deployment, service
from tests.support.series import answered, recorded
from tests.support.triage import first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

WEB = (deployment("web"), service("web", ready=2))
ROSE, LEVEL, CAME_BACK = [4.0] * 20 + [60.0] * 15, [4.0, 4.2] * 17, [4.0] * 15 + [60.0] * 10 + [4.0] * 10


def asked(*metrics: Any):
    return answered("Service/shop/web", *WEB, metrics=metrics)


def waiting(values: list[float], **labels: str):
    return recorded(
        "threads_waiting_for_a_connection", values, namespace="shop", **(labels or {"service": "web"})
    )


def test_what_rose_is_told_from_where_to_where_and_since_when():
    answer = asked(waiting(ROSE))

    assert first(answer) == ("Service/shop/web", "LevelLeft")
    assert "threads_waiting_for_a_connection rose from 4 to 60 at 2026-" in answer.ranked[0].text
    assert answer.ranked[0].confidence.value < 0.5


def test_what_is_at_its_level_is_no_cause():
    assert asked(waiting(LEVEL)).no_cause


def test_what_came_back_is_none_and_neither_is_what_is_reckoned_over_a_longer_time():
    assert asked(waiting(CAME_BACK)).no_cause
    assert asked(
        waiting(CAME_BACK), recorded("waiting:mean30m", ROSE, namespace="shop", service="web")
    ).no_cause


def test_what_others_measure_is_none():
    assert asked(waiting(ROSE, service="depot")).no_cause


def test_a_count_that_grows_all_the_time_is_none():
    counts = recorded(
        "x",
        [float(n * n) for n in range(35)],
        namespace="shop",
        service="web",
        __name__="http_requests_total",
    )

    assert asked(counts).no_cause
