"""Meters of the line at the model: how long who waited, and why who was next. No label names a tenant."""

from __future__ import annotations

from libs.contracts.alerts import PRIORITY_WORDS
from libs.metrics import Metrics
from services.holmesgpt_api.domain.line import Why
from services.holmesgpt_api.domain.ports import Held

_WAITS = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds; the default deadline is the last one."""


class LineMeters:
    def __init__(self, metrics: Metrics) -> None:
        words = tuple(PRIORITY_WORDS.values())
        self._waited = metrics.histogram(
            "holmesgpt_api_llm_wait_seconds",
            "From being held to a place at the model.",
            {"priority": words},
            buckets=_WAITS,
        )
        self._turns = metrics.counter(
            "holmesgpt_api_llm_turns_total",
            "Places at the model given to one that was held, by its priority and by why it was next.",
            {"priority": words, "why": tuple(Why)},
        )

    def turn(self, held: Held) -> None:
        if held.waited is None or held.why is None:
            return  # it goes on after a crash, and did not wait
        word = PRIORITY_WORDS[held.run.priority]
        self._waited.observe(held.waited.total_seconds(), priority=word)
        self._turns.inc(priority=word, why=held.why)
