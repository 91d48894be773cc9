"""What each source gave and cost, as Prometheus metrics. Labels are closed: sources, outcomes, states of a breaker."""

from __future__ import annotations

import time
from collections.abc import Callable

from libs.clients.breaker import BreakerState
from libs.metrics import Metrics
from services.context_api.domain.sources import Outcome, SourceName

PREFIX = "context_api_source"


class SourceMetrics:
    """Fulfils `live.gate.Telling`."""

    def __init__(self, metrics: Metrics, *, clock: Callable[[], float] = time.time) -> None:
        source = {"source": [name.value for name in SourceName]}
        self._clock = clock
        self._requests = metrics.counter(
            f"{PREFIX}_requests_total",
            "Calls to a source of evidence, by how they ended; `held-back` were not made.",
            {**source, "outcome": [one.value for one in Outcome]},
        )
        self._seconds = metrics.histogram(
            f"{PREFIX}_request_duration_seconds",
            "How long a call to a source took.",
            source,
            buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
        )
        self._bytes = metrics.counter(f"{PREFIX}_received_bytes_total", "What a source sent.", source)
        self._heard = metrics.gauge(
            f"{PREFIX}_last_answer_timestamp_seconds", "When a source last answered, since 1970.", source
        )
        self._in_flight = metrics.gauge(f"{PREFIX}_requests_in_flight", "Calls under way.", source)
        self._breaker = metrics.gauge(
            f"{PREFIX}_breaker_state",
            "1 for the state in which a source's breaker is.",
            {**source, "state": [state.value for state in BreakerState]},
        )

    def ended(self, source: SourceName, outcome: Outcome, seconds: float, size: int) -> None:
        self._requests.inc(source=source, outcome=outcome)
        self._bytes.inc(size, source=source)
        if outcome is not Outcome.held_back:
            self._seconds.observe(seconds, source=source)
        if outcome is Outcome.read:
            self._heard.set(self._clock(), source=source)

    def stands(self, source: SourceName, state: BreakerState, in_flight: int) -> None:
        self._in_flight.set(in_flight, source=source)
        for one in BreakerState:
            self._breaker.set(one is state, source=source, state=one)
