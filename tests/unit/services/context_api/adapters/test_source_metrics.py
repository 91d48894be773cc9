from __future__ import annotations

import pytest

from libs.clients.breaker import BreakerState
from libs.metrics import Metrics
from services.context_api.adapters.source_metrics import SourceMetrics
from services.context_api.domain.sources import Outcome, SourceName

pytestmark = pytest.mark.requirement("API-BR-CAPI-020")


def test_calls_are_counted_by_source_and_outcome_with_what_they_cost():
    metrics = Metrics("context-api")
    told = SourceMetrics(metrics, clock=lambda: 1_800_000_000.0)

    told.ended(SourceName.loki, Outcome.read, 0.2, 500)
    told.ended(SourceName.loki, Outcome.held_back, 0.0, 0)
    told.stands(SourceName.loki, BreakerState.open, 3)
    text = metrics.exposition().decode()

    assert 'context_api_source_requests_total{outcome="read",source="loki"} 1.0' in text
    assert 'context_api_source_requests_total{outcome="held-back",source="loki"} 1.0' in text
    assert 'context_api_source_received_bytes_total{source="loki"} 500.0' in text
    assert 'context_api_source_request_duration_seconds_count{source="loki"} 1.0' in text
    assert 'context_api_source_last_answer_timestamp_seconds{source="loki"} 1.8e+09' in text
    assert 'context_api_source_requests_in_flight{source="loki"} 3.0' in text
    assert 'context_api_source_breaker_state{source="loki",state="open"} 1.0' in text
    assert 'context_api_source_breaker_state{source="loki",state="closed"} 0.0' in text


def test_labels_can_take_declared_values_alone():
    metrics = Metrics("context-api")
    told = SourceMetrics(metrics)

    for source in SourceName:
        for outcome in Outcome:
            told.ended(source, outcome, 0.1, 1)
        for state in BreakerState:
            told.stands(source, state, 0)
    text = metrics.exposition().decode()

    assert '="other"' not in text
    assert "kubernaut_metrics_series_refused 0.0" in text
