"""Earlier episodes of an alert: what they were about, how they ended, which cause was found, how often it comes back.

Decides which episodes a caller may see and what a pattern is: the same cause of the same object under the same alert. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from libs.contracts.alerts import AlertEpisode, IncidentSummary
from libs.contracts.bundle import ContextSource, PastEpisode, SourcePart, SourceReport
from libs.contracts.causes import MayRead
from services.context_api.domain.sources import Outcome, SourceName

MOST = 50
"""Episodes that are looked at."""

RECENT = timedelta(days=7)
"""What counts as a recent occurrence."""


@dataclass(frozen=True, slots=True)
class Past:
    """What the alerts service told, as far as this caller may see it."""

    episodes: Sequence[AlertEpisode] = ()
    incidents: Mapping[str, IncidentSummary] | None = None
    """By id; None where nobody asked for them."""
    missing: str = ""
    """Why it told nothing; empty where it did."""
    outcome: Outcome = Outcome.read
    """How the alerts service took part."""


def visible(episodes: Sequence[AlertEpisode], may_read: MayRead) -> list[AlertEpisode]:
    """Episodes of namespaces the caller may read; one that names none is of the whole cluster."""
    return [one for one in episodes if may_read(_namespace(one))]


def seen_by(incident: IncidentSummary, may_read: MayRead) -> IncidentSummary:
    """The incident; without its causes where the first is about what the caller may not read."""
    first = incident.causes[0] if incident.causes else None
    if first is None or may_read(first.target.namespace):
        return incident
    return incident.model_copy(update={"causes": []})


def _namespace(one: AlertEpisode) -> str | None:
    return one.target.namespace if one.target is not None else (one.labels.get("namespace") or None)


def told(past: Past) -> list[PastEpisode]:
    """The episodes in short, newest first."""
    return [
        PastEpisode(
            id=one.id,
            state=one.state,
            starts_at=one.starts_at,
            ends_at=one.ends_at,
            target=str(one.target) if one.target is not None else "",
            cause=cause_of(past, one),
        )
        for one in past.episodes
    ]


def cause_of(past: Past, one: AlertEpisode) -> str:
    """`Reason of Kind/namespace/name` that was found for an episode; empty where none was."""
    incident = (past.incidents or {}).get(one.incident_id or "")
    first = incident.causes[0] if incident is not None and incident.causes else None
    return f"{first.reason} of {first.target}" if first is not None else ""


def report(source: ContextSource, past: Past, now: datetime) -> SourceReport:
    """How the history took part in an answer."""
    if past.missing:
        return SourceReport(
            source=source, status="not-available", found=0, detail=past.missing, parts=_parts(source, past)
        )
    newest = max((one.last_seen for one in past.episodes), default=None)
    return SourceReport(
        source=source,
        status="read" if past.episodes else "empty",
        found=len(past.episodes),
        age_s=round(max((now - newest).total_seconds(), 0)) if newest else None,
        parts=_parts(source, past),
    )


def _parts(source: ContextSource, past: Past) -> list[SourcePart] | None:
    """Told once, with the episodes: patterns are made of them."""
    if source is not ContextSource.action_history:
        return None
    return [SourcePart(name=SourceName.alerts, outcome=past.outcome, reason=past.missing or None)]


def action_history(past: Past) -> dict[str, Any]:
    """`history_data` of older callers: the episodes, and how they ended."""
    return {
        "episodes": [one.model_dump(mode="json") for one in told(past)],
        "total": len(past.episodes),
        "by_state": dict(Counter(str(one.state) for one in past.episodes)),
        "explained": sum(bool(cause_of(past, one)) for one in past.episodes),
        "available": not past.missing,
        "reason": past.missing,
    }


def patterns(past: Past, signature: str, now: datetime) -> dict[str, Any]:
    """`pattern_context` of older callers: which cause came back how often, and how long it took to end.

    `correlation_score` is the share of the episodes whose cause is the signature; 0 where none was explained.
    """
    groups: dict[str, list[AlertEpisode]] = {}
    for one in past.episodes:
        cause = cause_of(past, one)
        if cause:
            groups.setdefault(cause, []).append(one)
    explained = sum(map(len, groups.values()))
    same = [one for cause, members in groups.items() if _matches(cause, signature) for one in members]
    return {
        "similar_patterns": [
            {
                "signature": cause,
                "occurrences": len(members),
                "last_seen": max(one.last_seen for one in members).isoformat(),
            }
            for cause, members in sorted(groups.items(), key=lambda pair: -len(pair[1]))
        ],
        "correlation_score": round(len(same) / explained, 3) if explained else 0.0,
        "recent_occurrences": sum(now - one.starts_at <= RECENT for one in same),
        "resolution_patterns": endings(same),
        "available": not past.missing,
        "reason": past.missing,
    }


def _matches(cause: str, signature: str) -> bool:
    reason, _, about = cause.partition(" of ")
    return signature.lower() in (
        cause.lower(),
        reason.lower(),
        about.lower(),
        about.rpartition("/")[2].lower(),
    )


def endings(episodes: Sequence[AlertEpisode]) -> list[dict[str, Any]]:
    """How the ended ones of these ended, and how long they lasted (the median of all of them)."""
    ended = [one for one in episodes if one.ends_at is not None]
    if not ended:
        return []
    lasted = sorted((one.ends_at - one.starts_at).total_seconds() for one in ended if one.ends_at is not None)
    states = Counter(str(one.state) for one in ended)
    return [
        {"state": state, "episodes": count, "median_seconds": round(lasted[len(lasted) // 2])}
        for state, count in states.most_common()
    ]
