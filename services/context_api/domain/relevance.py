"""How much one fact matters to one investigation: 0 to 1, with the reason.

Decides by the way a fact got into the dossier (it proves a cause, it proves a finding, it is only on record), how near
its object is to the alert's, when it was true against the onset, and what the investigation is after. The weights are
measured on the labelled cases in `tests/relevance`; docs/context-api.md gives their reasons. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.contracts.bundle import InvestigationType
from libs.contracts.causes import FindingSeverity
from libs.contracts.evidence import EvidenceItem, EvidenceKind
from services.context_api.domain.dossier import Placed

PROVES_CAUSE = 0.55
"""Of what proves a cause that is not sure at all; its confidence fills up what is missing to 1."""

RIVAL = 0.75
"""Of a second cause against the first; the third counts this much less again."""

FINDING = 0.35
"""Of a finding beside the alert's object; its nearness adds as much again."""

EXPLAINED = 0.15
"""More, where the first cause accounts for the finding: it is the same story."""

ON_RECORD = 0.25
"""Of what nobody finds fault with, on the alert's object itself."""

SEVERE: Mapping[FindingSeverity, float] = {
    FindingSeverity.critical: 0.1,
    FindingSeverity.warning: 0.0,
    FindingSeverity.info: -0.45,
}
"""Added for the finding's severity. Information is text that tells its reader what to conclude: told, and not trusted."""

RECENT = timedelta(hours=1)
"""Before the onset: changes and events of this hour are what people look at first."""

OLD = timedelta(hours=24)
STALE, FRESH = 0.6, 1.1
"""Factors for what was last true a day before the onset, and for what happened in the hour around it."""

_WANTED: dict[InvestigationType, dict[EvidenceKind, float]] = {
    InvestigationType.basic: {EvidenceKind.object: 1.1, EvidenceKind.event: 1.05},
    InvestigationType.root_cause: {EvidenceKind.change: 1.15, EvidenceKind.event: 1.05},
    InvestigationType.performance: {EvidenceKind.metric: 1.3, EvidenceKind.change: 1.05},
}
"""What each kind of investigation looks at first."""


@dataclass(frozen=True, slots=True)
class Relevance:
    value: float
    why: str


def relevance(
    item: EvidenceItem, place: Placed, kind: InvestigationType, now: datetime, onset: datetime | None
) -> Relevance:
    """`onset`: when the alert began; None: it is still being looked for, and the snapshot's time counts."""
    value, why = _standing(place)
    factor, when = _timely(item, onset or now)
    value *= factor * _WANTED[kind].get(item.kind, 1.0)
    return Relevance(round(min(max(value, 0.01), 1.0), 3), f"{why}{when}")


def _standing(place: Placed) -> tuple[float, str]:
    if place.cause is not None:
        sure = PROVES_CAUSE + (1 - PROVES_CAUSE) * place.confidence
        which = "the first cause" if place.cause == 0 else f"cause {place.cause + 1}"
        return sure * RIVAL ** min(place.cause, 4), f"proves {which} ({place.confidence:.2f})"
    if place.severity is not None:
        value = FINDING * (1 + place.nearness) + SEVERE[place.severity]
        story = ", which the first cause explains" if place.explained else ""
        value += EXPLAINED if place.explained else 0.0
        return value, f"proves a finding, nearness {place.nearness:.2f}{story}"
    return ON_RECORD * place.nearness, f"on record, nearness {place.nearness:.2f}"


def _timely(item: EvidenceItem, onset: datetime) -> tuple[float, str]:
    if item.observed_at is None:
        return 1.0, ""
    before = onset - item.observed_at
    if before > OLD:
        return STALE, f", {before.days} d before the onset"
    if before > RECENT:
        return 1.0, ""
    minutes = round(before.total_seconds() / 60)
    return FRESH, f", {abs(minutes)} min {'before' if minutes >= 0 else 'after'} the onset"
