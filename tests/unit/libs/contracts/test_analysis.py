"""What the Go application may send, and what reads as nothing when it is null."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from libs.contracts.analysis import (
    STRATEGIES_AT_MOST,
    BusinessImpact,
    PatternRequest,
    RoiAnalysis,
    StrategyRequest,
)

pytestmark = pytest.mark.requirement("HAPI-045", "HAPI-073")

ALERT = {"name": "A"}


def test_a_go_callers_zero_values_count_as_left_out():
    zero = {"id": "", "name": "A", "severity": "", "labels": None, "annotations": None, "description": ""}
    strategies = StrategyRequest.model_validate({"alert_context": zero, "available_strategies": None})
    patterns = PatternRequest.model_validate({"alert_context": zero, "pattern_type": "", "time_window": 0})

    assert (strategies.available_strategies, strategies.alert_context.labels) == ([], {})
    assert (patterns.pattern_type, patterns.time_window) == ("alert", 0)


def test_what_later_releases_send_besides_is_ignored():
    request = StrategyRequest.model_validate({"alert_context": ALERT, "br_ins_007_compliance": True})

    assert request.alert_context.name == "A"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "alert_context"),
        ({"alert_context": {"name": ""}}, "alert_context.name"),
        ({"alert_context": ALERT, "available_strategies": [{"name": "a", "cost": -1}]}, "cost"),
        ({"alert_context": ALERT, "available_strategies": [{"name": "a", "cost": float("inf")}]}, "cost"),
        ({"alert_context": ALERT, "available_strategies": [{"name": "a", "success_rate": 2}]}, "rate"),
        (
            {"alert_context": ALERT, "available_strategies": [{"name": "a"}] * (STRATEGIES_AT_MOST + 1)},
            "available_strategies",
        ),
        ({"alert_context": {"name": "a\0"}}, "NUL"),
        ({"alert_context": ALERT, "request_id": "\ud800"}, "request_id"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_by_field(fields: dict[str, Any], named: str):
    with pytest.raises(ValidationError) as refused:
        StrategyRequest.model_validate(fields)

    where = [".".join(map(str, one["loc"])) + one["msg"] for one in refused.value.errors()]
    assert any(named in one for one in where), where


def test_every_key_that_the_go_application_decodes_is_there_even_without_a_value():
    assert set(RoiAnalysis().model_dump()) == {
        "expected_roi",
        "cost_benefit_ratio",
        "payback_period",
        "net_present_value",
    }
    assert set(BusinessImpact().model_dump()) == {"time_saved", "incidents_prevented", "cost_savings"}
