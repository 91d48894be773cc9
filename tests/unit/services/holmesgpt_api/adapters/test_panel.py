"""The architecture document's metric names are there, and their labels stay few."""

from __future__ import annotations

import pytest

from libs.contracts.alerts import Priority
from libs.metrics import Metrics
from services.holmesgpt_api.adapters.panel import Panel
from services.holmesgpt_api.domain.overview import Seen

pytestmark = pytest.mark.requirement("HAPI-018", "HAPI-171", "HAPI-172")


def test_requests_are_counted_under_the_documents_names_too():
    metrics = Metrics("holmesgpt-api")
    Panel(metrics, "1.0.0")
    metrics.counter(
        "http_requests_total", "Requests.", {"method": ("GET",), "route": ("/a",), "status_class": ("2xx",)}
    ).inc(method="GET", route="/a", status_class="2xx")
    metrics.histogram("http_request_duration_seconds", "Took.", {"route": ("/a",)}).observe(0.2, route="/a")

    text = metrics.exposition().decode()

    assert 'holmesgpt_api_http_requests_total{endpoint="/a",method="GET",status_code="2xx"} 1.0' in text
    assert 'holmesgpt_api_http_request_duration_seconds_bucket{endpoint="/a",le="0.25"} 1.0' in text
    assert 'holmesgpt_api_http_request_duration_seconds_count{endpoint="/a"} 1.0' in text
    assert "http_requests_created" not in text


def test_versions_and_investigations_under_way_are_told():
    metrics = Metrics("holmesgpt-api")

    Panel(metrics, "1.0.0").seen(Seen(at=0, active=7, held_by_priority={Priority.p3: 5}))

    text = metrics.exposition().decode()
    assert "holmesgpt_api_active_investigations 7.0" in text
    assert 'holmesgpt_api_llm_held{priority="low"} 5.0' in text
    assert 'holmesgpt_api_llm_held{priority="critical"} 0.0' in text
    assert 'sdk_version="0.45.0",version="1.0.0"} 1.0' in text
