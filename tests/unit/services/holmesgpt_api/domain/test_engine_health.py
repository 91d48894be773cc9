"""Health says how the engines are from what was reported, and what to do where none is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.holmesgpt_api.domain.engine_health import RECENT, Report, health, with_alert

pytestmark = pytest.mark.requirement("HAPI-016", "HAPI-019", "HAPI-165")


def report(state: str = "ready", detail: str = "", **fields: Any) -> Report:
    return Report(
        **{"model": "openai/m", "state": state, "detail": detail, "running": 2, "max_running": 5, **fields}
    )


def test_a_ready_engine_is_healthy_and_says_its_load():
    said = health([report(), report()], 7)

    assert (said.status, said.detail) == ("healthy", "openai/m; 4 of 10 runs, 7 held")


@pytest.mark.parametrize(
    ("state", "status"),
    [("starting", "degraded"), ("missing", "unhealthy"), ("refused", "unhealthy"), ("lost", "unhealthy")],
)
def test_an_engine_that_is_not_ready_says_why(state: str, status: str):
    said = health([report(state, "install it")], 0)

    assert (said.status, said.detail) == (status, f"engine {state}: install it")


def test_one_ready_engine_is_enough():
    assert health([report("missing"), report()], 0).status == "healthy"


def test_no_report_is_no_worker():
    assert (health([], 0).status, "no worker" in health([], 0).detail) == ("unhealthy", True)


@pytest.mark.parametrize("outcome", ["model-unauthorized", "model-timeout", "engine-failed"])
def test_a_recent_failure_degrades_and_an_old_one_does_not(outcome: str):
    recent = health([report(last_outcome=outcome, last_age=timedelta(seconds=12))], 0)
    old = health([report(last_outcome=outcome, last_age=RECENT)], 0)

    assert (recent.status, old.status) == ("degraded", "healthy")
    assert recent.detail.startswith(f"openai/m: {outcome} 12 s ago; triage answers; ")


@pytest.mark.parametrize("outcome", ["concluded", "model-unsupported", "model-max-steps", "unknown-cluster"])
def test_a_model_that_answers_or_was_not_asked_is_healthy_whatever_came_of_it(outcome: str):
    assert health([report(last_outcome=outcome, last_age=timedelta(0))], 0).status == "healthy"


@pytest.mark.requirement("HAPI-140")
def test_children_that_grow_too_large_again_and_again_degrade_and_say_what_is_set():
    said = health([report(), report(detail=with_alert("HolmesGPT, 300 MB", memory=160))], 0)

    assert said.status == "degraded"
    assert said.detail == (
        "usage alert: children outgrow HOLMESGPT_ENGINE_CHILD_MEMORY (160 MiB) again and again; 4 of 10 runs, 0 held"
    )
