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
from services.context_api.domain.everyday import is_everyday
from services.context_api.domain.outline import is_outline

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

CHANGED = 0.45
"""Of a change that nobody finds fault with, on the alert's object itself: it is what people ask about first."""

EVERYDAY = 0.5
"""Factor for what nobody would stop at (`everyday.py`), where nothing rests on it."""

SUSPECT = 1.25
"""Factor for what is on record about the object that is called the first cause."""

MOVED, MOVES_FROM = 1.2, 0.25
"""Factor for a series that did not stay as it was: its least and most lie this share of the larger apart."""

CROWD, UNCROWDED = 0.9, 2
"""Factor for each further fact of one kind about one object, after so many: the fifth series of a pod tells less than
the first line about its neighbour."""

SEVERE: Mapping[FindingSeverity, float] = {
    FindingSeverity.critical: 0.1,
    FindingSeverity.warning: 0.0,
    FindingSeverity.info: -0.45,
}
"""Added for the finding's severity. Information is text that tells its reader what to conclude: told, and not trusted."""

LEAST = 0.01
"""Of anything at all."""

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
    value, why = _standing(item, place)
    factor, when = _timely(item, onset or now)
    value *= factor * _WANTED[kind].get(item.kind, 1.0)
    return Relevance(round(min(max(value, LEAST), 1.0), 3), f"{why}{when}")


def _standing(item: EvidenceItem, place: Placed) -> tuple[float, str]:
    if place.cause is not None:
        sure = PROVES_CAUSE + (1 - PROVES_CAUSE) * place.confidence
        which = "the first cause" if place.cause == 0 else f"cause {place.cause + 1}"
        return sure * RIVAL ** min(place.cause, 4), f"proves {which} ({place.confidence:.2f})"
    if place.severity is not None:
        value = FINDING * (1 + place.nearness) + SEVERE[place.severity]
        story = ", which the first cause explains" if place.explained else ""
        value += EXPLAINED if place.explained else 0.0
        return value, f"proves a finding, nearness {place.nearness:.2f}{story}"
    value, why = _recorded(item, place)
    return value * place.nearness, f"{why}, nearness {place.nearness:.2f}"


def _recorded(item: EvidenceItem, place: Placed) -> tuple[float, str]:
    """Of what no analyzer rests on, as if it were about the alert's object itself."""
    more, whose = (SUSPECT, " about the first cause's object") if place.suspect else (1.0, "")
    if item.kind is EvidenceKind.change:
        return CHANGED * more, f"what was changed last{whose}"
    if is_everyday(item):
        return ON_RECORD * EVERYDAY, "everyday"
    if is_outline(item) and not place.suspect:
        return ON_RECORD * EVERYDAY, "what it is"
    if _moved(item):
        return ON_RECORD * MOVED * more, f"it moved{whose}"
    return ON_RECORD * more, f"on record{whose}"


def crowded(value: Relevance, before: int) -> Relevance:
    """The same where so many facts of its kind about its object stand before it."""
    if before < UNCROWDED:
        return value
    worth = max(value.value * CROWD ** (before - UNCROWDED + 1), LEAST)
    return Relevance(round(worth, 3), f"{value.why}, {before} more of its kind before it")


def _moved(item: EvidenceItem) -> bool:
    least, most = item.body.get("least"), item.body.get("most")
    if item.kind is not EvidenceKind.metric or not isinstance(least, float) or not isinstance(most, float):
        return False
    return most - least > MOVES_FROM * max(abs(least), abs(most))


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
