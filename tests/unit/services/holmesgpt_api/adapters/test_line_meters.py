"""How long who waited, and why who was next, by priority and never by tenant."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from libs.contracts.alerts import Priority
from libs.metrics import Metrics
from services.holmesgpt_api.adapters.line_meters import LineMeters
from services.holmesgpt_api.domain.line import Why
from services.holmesgpt_api.domain.ports import Held
from services.holmesgpt_api.domain.triage import conclude
from tests.support.investigations import CHECKOUT, claimed, found

pytestmark = pytest.mark.requirement("HAPI-018", "HAPI-172")

RUN = replace(claimed(), priority=Priority.p1, tenant="shop-tenant")
INTERIM = conclude(found(), CHECKOUT, RUN, "model-still-running")


def test_a_turn_is_counted_with_its_wait_and_its_reason():
    metrics = Metrics("holmesgpt-api")

    LineMeters(metrics).turn(Held(RUN, INTERIM, timedelta(seconds=7), Why.tenant))

    text = metrics.exposition().decode()
    assert 'holmesgpt_api_llm_wait_seconds_sum{priority="high"} 7.0' in text
    assert 'holmesgpt_api_llm_turns_total{priority="high",why="tenants-turn"} 1.0' in text
    assert "shop-tenant" not in text


def test_what_goes_on_after_a_crash_has_not_waited():
    metrics = Metrics("holmesgpt-api")

    LineMeters(metrics).turn(Held(RUN, INTERIM))

    assert "holmesgpt_api_llm_wait_seconds_sum{" not in metrics.exposition().decode()
