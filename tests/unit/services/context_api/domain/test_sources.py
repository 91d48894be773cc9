from __future__ import annotations

from datetime import timedelta

import pytest

from libs.contracts.bundle import ContextSource
from services.context_api.domain.sources import (
    Outcome,
    Part,
    SourceName,
    health_of,
    outcome_of,
    parts_of,
)

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-020")

LATE = Part(
    SourceName.prometheus,
    Outcome.late,
    age=timedelta(seconds=95),
    took=timedelta(seconds=2),
    deadline=timedelta(seconds=2),
    calls=23,
    breaker="open",
    reason="no answer in time (23 of 23 calls)",
)


@pytest.mark.parametrize(
    ("answered", "failures", "outcome"),
    [
        (3, [], Outcome.read),
        (0, [], Outcome.read),
        (1, [Outcome.failed], Outcome.partial),
        (0, [Outcome.failed, Outcome.late, Outcome.late], Outcome.late),
        (0, [Outcome.failed, Outcome.held_back, Outcome.held_back], Outcome.failed),
        (0, [Outcome.held_back], Outcome.held_back),
    ],
)
def test_several_calls_come_to_one_outcome(answered: int, failures: list[Outcome], outcome: Outcome):
    assert outcome_of(answered, failures) is outcome


def test_a_late_source_is_told_with_its_age_its_cost_and_its_breaker():
    (told,) = parts_of([LATE, Part(SourceName.loki, Outcome.read)], ContextSource.metrics) or []

    assert told.model_dump(exclude_none=True) == {
        "name": "prometheus",
        "outcome": "late",
        "age_s": 95.0,
        "took_ms": 2000,
        "deadline_ms": 2000,
        "calls": 23,
        "breaker": "open",
        "reason": "no answer in time (23 of 23 calls)",
    }
    assert str(LATE) == "no answer in time (23 of 23 calls); it last answered 95 s before"


def test_a_recording_has_no_parts():
    assert parts_of([], ContextSource.logs) is None


@pytest.mark.parametrize(
    ("last", "breaker", "status"),
    [
        (None, "closed", "healthy"),
        (Part(SourceName.loki, Outcome.read, age=timedelta()), "closed", "healthy"),
        (Part(SourceName.loki, Outcome.partial, age=timedelta()), "closed", "healthy"),
        (Part(SourceName.loki, Outcome.read, age=timedelta()), "half-open", "degraded"),
        (LATE, "closed", "degraded"),
        (Part(SourceName.loki, Outcome.failed), "closed", "degraded"),
    ],
)
def test_health_says_how_a_source_took_part_last(last: Part | None, breaker: str, status: str):
    assert health_of(last, breaker, timedelta(seconds=1)).status == status


def test_health_names_age_cost_and_deadline():
    detail = health_of(LATE, "open", timedelta(seconds=95)).detail

    assert "it last answered 95 s before" in detail
    assert "23 calls, 0 bytes, 2.00 s of 2 s; breaker open" in detail
