"""What the API measures beside its requests, and its requests under the architecture document's names (§10.1)."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from libs.contracts.alerts import PRIORITY_WORDS
from libs.metrics import Metrics
from services.holmesgpt_api.domain.overview import Seen
from services.holmesgpt_api.engine.messages import SDK

PREFIX = "holmesgpt_api_"
_NAMES = {"route": "endpoint", "status_class": "status_code"}
"""Our labels to the document's. A status is told by its class (`2xx`), so that the series stay few."""


class Panel:
    def __init__(self, metrics: Metrics, version: str) -> None:
        python = platform.python_version()
        info = metrics.gauge(
            "holmesgpt_api_info",
            "Versions of this service, its Python and its HolmesGPT; always 1.",
            {"version": (version,), "python_version": (python,), "sdk_version": (SDK,)},
        )
        info.set(1, version=version, python_version=python, sdk_version=SDK)
        self._active = metrics.gauge(
            "holmesgpt_api_active_investigations", "Investigations that have not ended, of all processes."
        )
        self._held = metrics.gauge(
            "holmesgpt_api_llm_held",
            "Investigations that wait for a place at the model, of all processes.",
            {"priority": tuple(PRIORITY_WORDS.values())},
        )
        metrics.registry.register(_Renamed(metrics))

    def seen(self, seen: Seen) -> None:
        self._active.set(seen.active)
        for priority, word in PRIORITY_WORDS.items():
            self._held.set(seen.held_by_priority.get(priority, 0), priority=word)


class _Renamed(Collector):
    """The requests' count and durations once more: dashboards of 2025 look for them under these names."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterator[Metric]:
        """Known before anything was counted, and without asking for it."""
        yield CounterMetricFamily(f"{PREFIX}http_requests", "Requests answered, by endpoint.")
        yield Metric(f"{PREFIX}http_request_duration_seconds", "How long they took.", "histogram")

    def collect(self) -> Iterator[Metric]:
        for name in ("http_requests_total", "http_request_duration_seconds"):
            for family in self._metrics.collect(name):
                renamed = Metric(PREFIX + family.name, family.documentation, family.type)
                for one in family.samples:
                    labels = {_NAMES.get(label, label): value for label, value in one.labels.items()}
                    renamed.add_sample(PREFIX + one.name, labels, one.value)
                yield renamed
