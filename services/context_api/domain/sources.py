"""Where evidence comes from, and how each source took part in one snapshot.

Names and outcomes are closed sets: they are labels of metrics too. What is said of a source names no object and no
address, so everybody may read it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from libs.contracts.bundle import ContextSource, SourcePart
from libs.contracts.health import ComponentHealth


class SourceName(StrEnum):
    kubernetes = "kubernetes"
    """Objects and events, from the API server."""
    pod_logs = "pod-logs"
    """Container logs, from the kubelets through the API server."""
    loki = "loki"
    prometheus = "prometheus"
    alerts = "alerts"
    """Earlier episodes, from the alerts service."""


class Outcome(StrEnum):
    """How a source took part."""

    read = "read"
    partial = "partial"
    """Some of it is missing."""
    stale = "stale"
    """It does not answer; what it told before is used, with its age."""
    failed = "failed"
    late = "late"
    """It had not answered when its time was over."""
    held_back = "held-back"
    """It was not asked: its breaker is open."""


_OF: Mapping[SourceName, ContextSource] = {
    SourceName.kubernetes: ContextSource.kubernetes,
    SourceName.pod_logs: ContextSource.logs,
    SourceName.loki: ContextSource.logs,
    SourceName.prometheus: ContextSource.metrics,
    SourceName.alerts: ContextSource.action_history,
}


@dataclass(frozen=True, slots=True)
class Part:
    """How one source took part in one snapshot."""

    name: SourceName
    outcome: Outcome
    age: timedelta | None = None
    """How long before it last answered; None: not since the start. By our clock: the source's may differ."""
    took: timedelta = timedelta()
    deadline: timedelta | None = None
    """Longest it was waited for."""
    calls: int = 0
    size: int = 0
    """Bytes it sent."""
    breaker: str = "closed"
    reason: str = ""
    """What is missing and why; empty when nothing is."""

    def __str__(self) -> str:
        """What is missing, with the age of what it told last; empty when nothing is."""
        if self.outcome in (Outcome.read, Outcome.partial):
            return self.reason
        return f"{self.reason or self.outcome}; {last_answer(self.age)}"


def last_answer(age: timedelta | None) -> str:
    """How long ago a source last answered, in words."""
    if age is None:
        return "it has not answered since the start"
    return f"it last answered {age.total_seconds():.0f} s before"


def outcome_of(answered: int, failures: Sequence[Outcome]) -> Outcome:
    """What several calls come to: all went well, some did, or none, and then what kept most of those that were made."""
    if not failures:
        return Outcome.read
    if answered:
        return Outcome.partial
    made = [one for one in failures if one is not Outcome.held_back] or failures
    return max(set(made), key=lambda one: (made.count(one), one))


def health_of(last: Part | None, breaker: str, age: timedelta | None) -> ComponentHealth:
    """How a source stands, for /health: as it took part last. It is asked only when somebody asks for evidence."""
    if last is None:
        return ComponentHealth(status="healthy", detail="not asked yet")
    cost = f"{last.calls} calls, {last.size} bytes, {last.took.total_seconds():.2f} s"
    limit = f" of {last.deadline.total_seconds():g} s" if last.deadline is not None else ""
    words = f"{last.outcome}; {last_answer(age)}; {cost}{limit}; breaker {breaker}"
    well = breaker == "closed" and last.outcome in (Outcome.read, Outcome.partial)
    reason = f"; {last.reason}" if last.reason else ""
    return ComponentHealth(status="healthy" if well else "degraded", detail=f"{words}{reason}")


def parts_of(parts: Sequence[Part], source: ContextSource) -> list[SourcePart] | None:
    """The parts that belong to one kind of context, as they are told; None where nothing is known of any."""
    told = [contract(one) for one in parts if _OF[one.name] is source]
    return told or None


def contract(part: Part) -> SourcePart:
    return SourcePart(
        name=part.name,
        outcome=part.outcome,
        age_s=round(part.age.total_seconds(), 1) if part.age is not None else None,
        took_ms=round(part.took.total_seconds() * 1000),
        deadline_ms=round(part.deadline.total_seconds() * 1000) if part.deadline is not None else None,
        calls=part.calls or None,
        bytes=part.size or None,
        breaker=part.breaker if part.breaker != "closed" else None,
        reason=part.reason or None,
    )
