"""Sights: what one look at an alert's episode or at an investigation showed, as far as somebody watching cares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.contracts.alerts import AlertEpisodeDetail, Decision, EpisodeState
from libs.contracts.causes import Cause
from libs.contracts.investigations import Investigation, InvestigationStatus

ENDED = frozenset({InvestigationStatus.completed, InvestigationStatus.failed, InvestigationStatus.cancelled})
_AT_WORK = frozenset({"open", "investigating"})


@dataclass(frozen=True, slots=True)
class Judged:
    """What was decided, and why."""

    outcome: str
    because: str


@dataclass(frozen=True, slots=True)
class Blamed:
    """The first cause."""

    target: str
    reason: str
    sure: float
    text: str


@dataclass(frozen=True, slots=True)
class AlertSight:
    """One episode."""

    id: str
    name: str
    state: str
    severity: str
    namespace: str | None
    target: str | None
    since: datetime
    ended: datetime | None
    environment: Judged | None
    priority: Judged | None
    investigation_id: str | None
    incident: str | None
    """The incident's status; None while it belongs to none."""
    cause: Blamed | None
    no_cause: str | None
    told: int
    """How many notifications have been taken."""

    @property
    def open(self) -> bool:
        return self.state == EpisodeState.firing

    @property
    def settled(self) -> bool:
        """Nothing more is to be expected of it until its line in the list changes."""
        return not self.open or (
            self.incident is not None and self.incident not in _AT_WORK and self.told > 0
        )


@dataclass(frozen=True, slots=True)
class InvestigationSight:
    """One investigation."""

    id: str
    name: str
    namespace: str | None
    status: str
    progress: int
    stage: str
    engine: str | None
    degraded: str | None
    took: timedelta
    cause: Blamed | None
    no_cause: str | None
    error: str | None

    @property
    def open(self) -> bool:
        return self.status not in ENDED

    @property
    def settled(self) -> bool:
        """Nothing more comes of it."""
        return not self.open


def alert_sight(episode: AlertEpisodeDetail) -> AlertSight:
    """As the alerts service tells it, decisions and incident included."""
    incident = episode.incident
    return AlertSight(
        id=episode.id,
        name=episode.alertname,
        state=episode.state.value,
        severity=episode.severity.value,
        namespace=episode.labels.get("exported_namespace") or episode.labels.get("namespace"),
        target=str(episode.target) if episode.target else None,
        since=episode.starts_at,
        ended=episode.ends_at if episode.state is not EpisodeState.firing else None,
        environment=_judged(episode.environment, "environment", episode.decisions),
        priority=_judged(episode.priority, "priority", episode.decisions),
        investigation_id=episode.investigation_id,
        incident=incident.status if incident else None,
        cause=_blamed(incident.causes[0] if incident and incident.causes else None),
        no_cause=incident.no_cause_reason if incident else None,
        told=len(incident.notification_ids) if incident else 0,
    )


def investigation_sight(investigation: Investigation) -> InvestigationSight:
    """As the HolmesGPT API tells it."""
    results = investigation.results
    return InvestigationSight(
        id=investigation.investigation_id,
        name=investigation.alert_name,
        namespace=investigation.namespace,
        status=investigation.status.value,
        progress=investigation.progress,
        stage=str(investigation.metadata.get("stage") or ""),
        engine=investigation.engine,
        degraded=investigation.degraded_reason,
        took=timedelta(seconds=investigation.duration_seconds),
        cause=_blamed(results.cause if results else None),
        no_cause=results.no_cause_reason if results else None,
        error=investigation.error,
    )


def _judged(value: str | None, subject: str, decisions: Sequence[Decision]) -> Judged | None:
    if value is None:
        return None
    # The newest one counts: a decision may be taken again when the owner becomes known.
    decision = next((one for one in reversed(decisions) if one.subject == subject), None)
    return Judged(str(value), (decision.detail or decision.reason) if decision else "")


def _blamed(cause: Cause | None) -> Blamed | None:
    return Blamed(str(cause.target), cause.reason, cause.confidence.value, cause.text) if cause else None
