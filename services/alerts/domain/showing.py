"""Show episodes and incidents to one reader: what the wire holds, less what the reader may not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from libs.contracts.alerts import (
    AlertEpisode,
    AlertEpisodeDetail,
    Decision,
    IncidentSummary,
    TimelineEntry,
)
from libs.contracts.causes import Cause, MayRead, narrowed
from libs.contracts.investigations import Investigation
from libs.contracts.target import Target

HIDDEN = "the cause lies in a namespace you may not read"


@dataclass(frozen=True, slots=True)
class IncidentRecord:
    id: str
    target: Target | None
    phase: str
    priority: str
    opened_at: datetime
    closed_at: datetime | None
    merged_into: str | None
    no_cause_reason: str | None
    investigation_id: str | None
    investigation: dict[str, Any] | None
    episodes: Sequence[tuple[str, str | None]]
    """Ids and namespaces."""
    notification_ids: Sequence[str]


def incident(record: IncidentRecord, may_read: MayRead) -> IncidentSummary:
    """What this reader may know of an incident."""
    said = Investigation.model_validate(record.investigation) if record.investigation else None
    causes = _causes(said)
    shown = [narrowed(cause, may_read) for cause in causes if may_read(cause.target.namespace)]
    hidden = len(shown) < len(causes)
    not_looked_at = list(said.results.not_looked_at) if said and said.results else []
    return IncidentSummary(
        id=record.id,
        target=record.target if record.target and may_read(record.target.namespace) else None,
        status="closed" if record.closed_at else record.phase,
        opened_at=record.opened_at,
        closed_at=record.closed_at,
        priority=record.priority,
        episode_ids=[id_ for id_, namespace in record.episodes if may_read(namespace)],
        investigation_id=record.investigation_id,
        causes=shown,
        summary=HIDDEN if hidden else (said.summary if said else ""),
        engine=said.engine if said else None,
        degraded_reason=said.degraded_reason if said else None,
        no_cause_reason=record.no_cause_reason,
        not_looked_at=[] if hidden else not_looked_at,
        notification_ids=list(record.notification_ids),
        merged_into=record.merged_into,
    )


def _causes(said: Investigation | None) -> list[Cause]:
    results = said.results if said else None
    if results is None:
        return []
    return ([results.cause] if results.cause else []) + results.contributing


def detail(
    episode: AlertEpisode, timeline: Sequence[TimelineEntry], about: IncidentSummary | None
) -> AlertEpisodeDetail:
    """An episode with its timeline in order, repeats summed up in one entry."""
    entries = [*timeline]
    if episode.received_count > 1:
        entries.append(
            TimelineEntry(
                at=episode.last_seen,
                event="repeated",
                detail=f"received {episode.received_count} times in all; this is the latest",
            )
        )
    entries.sort(key=lambda entry: entry.at)
    if about is not None and about.summary == HIDDEN:
        entries = [_without_cause(entry) for entry in entries]
    return AlertEpisodeDetail(
        **dict(episode),
        decisions=[entry.decision for entry in entries if entry.decision is not None],
        timeline=entries,
        incident=about,
    )


def _without_cause(entry: TimelineEntry) -> TimelineEntry:
    if entry.decision is None or entry.decision.subject != "cause":
        return entry
    bare = Decision(**{**dict(entry.decision), "detail": HIDDEN})
    return TimelineEntry(at=entry.at, event=entry.event, detail=HIDDEN, decision=bare)
