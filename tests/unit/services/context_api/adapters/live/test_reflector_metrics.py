"""The cache's metrics: closed labels, and every reason counted by its name."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from libs.metrics import Metrics
from services.context_api.adapters.live.api import Asked
from services.context_api.adapters.live.discovery import Resource
from services.context_api.adapters.live.feed import Feed, Phase, World
from services.context_api.adapters.live.reflector_metrics import ReflectorMetrics
from services.context_api.adapters.live.shelf import Shelf
from services.context_api.adapters.live.store import Budget, Change
from services.context_api.adapters.live.verdicts import Reason

pytestmark = pytest.mark.requirement("API-BR-CAPI-020")

PODS = Resource("", "pods", "v1", "Pod", True)
WIDGETS = Resource("example.com", "widgets", "v1", "Widget", True)


class Shared:
    budget = Budget(1_000_000, 1_000)


def feed(resource: Resource, heard: float, phase: Phase = Phase.watching) -> Feed:
    made = Feed(resource, None, cast(World, Shared()), tried=asyncio.Event())
    made.heard, made.phase = heard, phase
    return made


def said(metrics: Metrics) -> set[str]:
    return set(metrics.exposition().decode().splitlines())


def test_lists_watches_and_changes_are_counted_with_their_reasons():
    metrics = Metrics("context-api")
    told = ReflectorMetrics(metrics)

    told.listed(PODS, Reason.first, 3, 0.2)
    told.listed(PODS, Reason.expired, 3, 0.2)
    told.listed(WIDGETS, Reason.first, 1, 0.1)
    told.watching(PODS)
    told.ended(PODS, Reason.expired, 70.0, 5)
    told.changed(PODS, Change.modified, 4)
    told.asked(Asked(200, None, 0.0, 1.0, 1.1))
    told.asked(Asked(410, None, 0.0, 1.0, 1.1))

    lines = said(metrics)
    assert 'context_api_reflector_lists_total{resource="pods"} 2.0' in lines
    assert 'context_api_reflector_lists_total{resource="other"} 1.0' in lines
    assert 'context_api_reflector_relists_total{reason="expired"} 1.0' in lines
    assert 'context_api_reflector_watches_total{resource="pods"} 1.0' in lines
    assert 'context_api_reflector_watch_ends_total{reason="expired"} 1.0' in lines
    assert 'context_api_reflector_events_total{type="modified"} 4.0' in lines
    assert 'context_api_rest_client_requests_total{code="2xx"} 1.0' in lines
    assert 'context_api_rest_client_requests_total{code="410"} 1.0' in lines


def test_gauges_show_what_is_kept_and_of_kinds_without_a_name_the_oldest_word():
    metrics = Metrics("context-api")
    budget = Budget(1_000_000, 1_000, bytes=77)

    ReflectorMetrics(metrics).show(
        [feed(PODS, 995.0), feed(WIDGETS, 940.0), feed(WIDGETS, 990.0, Phase.behind)],
        budget,
        Shelf(0),
        1_000.0,
    )

    lines = said(metrics)
    age = "context_api_reflector_last_resource_version_age_seconds"
    assert f'{age}{{resource="pods"}} 5.0' in lines
    assert f'{age}{{resource="other"}} 60.0' in lines
    assert 'context_api_reflector_feeds{state="behind"} 1.0' in lines
    assert 'context_api_reflector_items{resource="pods"} 0.0' in lines
    assert "context_api_reflector_bytes 77.0" in lines


def test_a_thousand_kinds_are_no_more_series_than_one():
    metrics = Metrics("context-api")
    told = ReflectorMetrics(metrics)
    for number in range(1_000):
        told.watching(Resource("example.com", f"k{number}", "v1", "K", True))

    assert sum(line.startswith("context_api_reflector_watches_total{") for line in said(metrics)) == 1
