"""Where evidence comes from, and how each source took part in one snapshot.

Names and outcomes are closed sets: they are labels of metrics too. What is said of a source names no object and no
address, so everybody may read it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
    """How a source took part. Of several that apply the last named here is told."""

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
    as_of: datetime | None = None
    """When it last answered; None: never since the start."""
    took: timedelta = timedelta()
    deadline: timedelta | None = None
    """Longest it was waited for."""
    calls: int = 0
    size: int = 0
    """Bytes it sent."""
    breaker: str = "closed"
    reason: str = ""
    """What is missing and why; empty when nothing is."""

    def age(self, now: datetime) -> float | None:
        """Seconds since it last answered."""
        return None if self.as_of is None else max((now - self.as_of).total_seconds(), 0.0)

    def said(self, now: datetime) -> str:
        """What is missing, with the age of what it told last."""
        if self.outcome in (Outcome.read, Outcome.partial):
            return self.reason
        age = self.age(now)
        last = (
            "it has not answered since the start" if age is None else f"it last answered {age:.0f} s before"
        )
        return f"{self.reason or self.outcome}; {last}"


def outcome_of(answered: int, failures: Sequence[Outcome]) -> Outcome:
    """What several calls come to: all went well, some did, or none, and then what kept most of them."""
    if not failures:
        return Outcome.read
    if answered:
        return Outcome.partial
    return max(set(failures), key=lambda one: (failures.count(one), one))


def health_of(last: Part | None, breaker: str, now: datetime) -> ComponentHealth:
    """How a source stands, for /health: as it took part last. It is asked only when somebody asks for evidence."""
    if last is None:
        return ComponentHealth(status="healthy", detail="not asked yet")
    age = last.age(now)
    heard = f"last answer {age:.0f} s ago" if age is not None else "it has not answered since the start"
    cost = f"{last.calls} calls, {last.size} bytes, {last.took.total_seconds():.2f} s"
    limit = f" of {last.deadline.total_seconds():g} s" if last.deadline is not None else ""
    words = f"{last.outcome}; {heard}; {cost}{limit}; breaker {breaker}"
    well = breaker == "closed" and last.outcome in (Outcome.read, Outcome.partial)
    reason = f"; {last.reason}" if last.reason else ""
    return ComponentHealth(status="healthy" if well else "degraded", detail=f"{words}{reason}")


def parts_of(parts: Sequence[Part], source: ContextSource, now: datetime) -> list[SourcePart] | None:
    """The parts that belong to one kind of context, as they are told; None where nothing is known of any."""
    told = [contract(one, now) for one in parts if _OF[one.name] is source]
    return told or None


def contract(part: Part, now: datetime) -> SourcePart:
    age = part.age(now)
    return SourcePart(
        name=part.name,
        outcome=part.outcome,
        age_s=round(age, 1) if age is not None else None,
        took_ms=round(part.took.total_seconds() * 1000),
        deadline_ms=round(part.deadline.total_seconds() * 1000) if part.deadline is not None else None,
        calls=part.calls or None,
        bytes=part.size or None,
        breaker=part.breaker if part.breaker != "closed" else None,
        reason=part.reason or None,
    )
