"""Meters of the API's own doings: what callers stop and what they say of results. Fulfils `ports.Tally`."""

from __future__ import annotations

from libs.metrics import Metrics


class CourseMeters:
    def __init__(self, metrics: Metrics) -> None:
        self._cancelled = metrics.counter(
            "holmesgpt_api_investigations_cancelled_total", "Investigations that a caller has stopped.", {}
        )

    def cancelled(self) -> None:
        self._cancelled.inc()
