"""Say how the engines are, from what their workers report of them. Pure; no model is asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from libs.contracts.health import ComponentHealth
from services.holmesgpt_api.domain.clusters import UNKNOWN_CLUSTER

RECENT = timedelta(minutes=10)
"""How long the last run's failure is told; an older one says nothing about now."""

FINE = frozenset({"concluded", "model-unsupported", "model-max-steps", UNKNOWN_CLUSTER})
"""Ends of a run that say nothing against the model, whatever its answer was worth; of a cluster that is not configured
it was not even asked."""

USAGE_ALERT = "usage alert"
"""Begins what a report's detail says beside the state of a ready engine whose children grow too large."""


def with_alert(detail: str, *, memory: int) -> str:
    """A ready engine's detail while its children outgrow their bound of so many MiB."""
    said = f"children outgrow HOLMESGPT_ENGINE_CHILD_MEMORY ({memory} MiB) again and again"
    return f"{USAGE_ALERT}: {said}; {detail}"


@dataclass(frozen=True, slots=True)
class Report:
    """What one worker says of its engine. `last_outcome` and `last_age`: of the last model run there."""

    model: str
    state: str
    detail: str
    running: int
    max_running: int
    last_outcome: str | None = None
    last_age: timedelta | None = None


def health(reports: Sequence[Report], held: int) -> ComponentHealth:
    """The component `llm`."""
    if not reports:
        said = "no worker with a model has reported within 20 s: start one, or look at its log"
        return ComponentHealth(status="unhealthy", detail=said)
    ready = [one for one in reports if one.state == "ready"]
    running, places = sum(one.running for one in reports), sum(one.max_running for one in ready)
    load = f"{running} of {places} runs, {held} held"
    if not ready:
        first = reports[0]
        status = "degraded" if first.state == "starting" else "unhealthy"
        return ComponentHealth(status=status, detail=f"engine {first.state}: {first.detail}".rstrip(": "))
    troubled = [
        one
        for one in ready
        if one.last_outcome not in (None, *FINE) and one.last_age is not None and one.last_age < RECENT
    ]
    if troubled:
        worst = min(troubled, key=lambda one: one.last_age or RECENT)
        age = (worst.last_age or timedelta(0)).total_seconds()
        said = f"{worst.model}: {worst.last_outcome} {age:.0f} s ago; triage answers; {load}"
        return ComponentHealth(status="degraded", detail=said)
    if grown := [one for one in ready if one.detail.startswith(USAGE_ALERT)]:
        return ComponentHealth(status="degraded", detail=f"{grown[0].detail.partition(';')[0]}; {load}")
    return ComponentHealth(status="healthy", detail=f"{ready[0].model}; {load}")
