"""What this service counts, in Prometheus' words."""

from __future__ import annotations

from libs.contracts.bundle import InvestigationType
from libs.metrics import Metrics
from services.context_api.domain import lanes
from services.context_api.domain.lanes import Chosen, Lane
from services.context_api.domain.tiers import Tier
from services.context_api.domain.tuning import Subject, Why

_TIERS, _KINDS = tuple(map(str, Tier)), tuple(map(str, InvestigationType))


class TuningMeters:
    """Fulfils `steps.tuning.Meters`."""

    def __init__(self, metrics: Metrics) -> None:
        self._said = metrics.counter(
            "context_api_feedback_total",
            "Feedback on answers, by the tier it was about and what followed.",
            {"tier": _TIERS, "outcome": (*map(str, Why), "repeated", "too-much")},
        )
        self._quality = metrics.histogram(
            "context_api_answer_quality",
            "How good callers found the answers that their models gave, 0 to 1.",
            {"tier": _TIERS},
            buckets=(0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0),
        )
        self._moved = metrics.counter(
            "context_api_tuning_changes_total",
            "Changes of what a tier leaves out.",
            {"tier": _TIERS, "how": ("automatic", "rollback")},
        )
        self._degraded = metrics.gauge(
            "context_api_answers_degraded",
            "Tenants whose answers are bad now, as far as this process knows.",
            {"tier": _TIERS, "investigation": _KINDS},
        )

    def said(self, tier: str, outcome: str, quality: float | None) -> None:
        self._said.inc(tier=tier, outcome=outcome)
        if quality is not None:
            self._quality.observe(quality, tier=tier)

    def moved(self, tier: str, how: str) -> None:
        self._moved.inc(tier=tier, how=how)

    def degraded(self, subject: Subject, tenants: int) -> None:
        self._degraded.set(tenants, tier=subject.tier.value, investigation=subject.investigation.value)


class LaneMeters:
    """Fulfils `steps.turns.Meters`."""

    def __init__(self, metrics: Metrics) -> None:
        names = {"lane": tuple(map(str, Lane))}
        self._queued = metrics.gauge(
            "context_api_lane_waiting", "Questions that wait for their turn, by lane.", names
        )
        self._waited = metrics.histogram(
            "context_api_lane_wait_seconds", "How long questions waited for their turn, by lane.", names
        )
        self._chosen = metrics.counter(
            "context_api_lane_turns_total",
            "Questions that had their turn, by lane and why they were in it.",
            {**names, "why": tuple(map(str, lanes.Why))},
        )
        self._refused = metrics.counter(
            "context_api_lane_refused_total", "Questions that found their lane full.", names
        )

    def queued(self, lane: Lane, waiting: int) -> None:
        self._queued.set(waiting, lane=lane.value)

    def waited(self, chosen: Chosen, seconds: float) -> None:
        self._chosen.inc(lane=chosen.lane.value, why=chosen.why.value)
        self._waited.observe(seconds, lane=chosen.lane.value)

    def refused(self, lane: Lane) -> None:
        self._refused.inc(lane=lane.value)
