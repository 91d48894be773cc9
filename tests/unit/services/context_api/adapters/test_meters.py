from __future__ import annotations

import pytest

from libs.contracts.bundle import InvestigationType
from libs.metrics import Metrics
from services.context_api.adapters.meters import LaneMeters, TuningMeters
from services.context_api.domain.lanes import Chosen, Lane, Why
from services.context_api.domain.tiers import Tier
from services.context_api.domain.tuning import Subject

pytestmark = pytest.mark.requirement("API-BR-CAPI-020", "HAPI-BR-CONTEXT-043")


def test_feedback_its_quality_and_what_followed_are_counted():
    metrics = Metrics("context-api")
    meters = TuningMeters(metrics)

    meters.said("simple", "good-enough", 0.8)
    meters.said("simple", "repeated", None)
    meters.moved("simple", "rollback")
    meters.degraded(Subject(Tier.simple, InvestigationType.basic), 2)
    scrape = metrics.exposition().decode()

    assert 'context_api_feedback_total{outcome="good-enough",tier="simple"} 1.0' in scrape
    assert 'context_api_feedback_total{outcome="repeated",tier="simple"} 1.0' in scrape
    assert 'context_api_answer_quality_count{tier="simple"} 1.0' in scrape
    assert 'context_api_tuning_changes_total{how="rollback",tier="simple"} 1.0' in scrape
    assert 'context_api_answers_degraded{investigation="basic_investigation",tier="simple"} 2.0' in scrape


def test_lanes_are_counted_by_their_names_and_reasons():
    metrics = Metrics("context-api")
    meters = LaneMeters(metrics)

    meters.queued(Lane.normal, 3)
    meters.waited(Chosen(Lane.critical, Why.severity), 0.2)
    meters.refused(Lane.normal)
    scrape = metrics.exposition().decode()

    assert 'context_api_lane_waiting{lane="normal"} 3.0' in scrape
    assert 'context_api_lane_turns_total{lane="critical",why="alert-severity"} 1.0' in scrape
    assert 'context_api_lane_wait_seconds_sum{lane="critical"} 0.2' in scrape
    assert 'context_api_lane_refused_total{lane="normal"} 1.0' in scrape
