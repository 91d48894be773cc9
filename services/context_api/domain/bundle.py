"""Packs what is known about an incident into what its reader can take in: ranked, folded, cut to a budget.

Decides which facts go in and says which did not. Causes come first and take at most their share; then facts by
relevance, each counted as it will be sent. A fact too long for the room that is left gives way to a shorter one of less
relevance, and is listed. The whole answer, envelope included, keeps within the budget. Pure.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import orjson

from libs.contracts.base import Contract
from libs.contracts.bundle import (
    BYTES_PER_TOKEN,
    Budget,
    Bundle,
    BundleCause,
    ContextSource,
    InvestigationType,
    LeftOut,
    PastEpisode,
    RankedEvidence,
    SourceReport,
)
from libs.contracts.causes import Cause
from libs.contracts.conflicts import Conflict
from libs.contracts.evidence import EvidenceItem, EvidenceKind
from libs.contracts.target import Target
from services.context_api.domain import history, spans
from services.context_api.domain.adequacy import adequacy
from services.context_api.domain.dossier import Dossier
from services.context_api.domain.everyday import is_everyday
from services.context_api.domain.graph import Graph
from services.context_api.domain.history import Past
from services.context_api.domain.logs import cut, shape_of
from services.context_api.domain.outline import is_outline
from services.context_api.domain.registry import TYPES, source_of
from services.context_api.domain.relevance import Relevance, crowded, relevance
from services.context_api.domain.snapshot import Snapshot
from services.context_api.domain.sources import parts_of
from services.context_api.domain.triage import Judged, without_cause, written

CAUSES_SHARE = 0.4
"""Of the budget, at most, for causes: what proves them has to be in it too."""

CONFLICTS_SHARE = 0.15
"""Of what is left, at most, for sources that contradict each other; one takes about 200 tokens."""

MOST_CAUSES = 5
LONGEST_CAUSE = 700
LONGEST_ITEM = 600
"""Characters of one fact's text; the whole of it is at `GET /evidence/{id}`."""

LONGEST_DETAIL = 800
"""Bytes of JSON of a fact's body: a condition with its message of 400 characters fits, escapes included."""

MOST_LEFT_OUT = 20
"""Facts without room that are named by id; the others are counted."""

MOST_EPISODES = 5
"""Earlier episodes told; `GET /action-history/…` has them all."""

LEFT_OUT_SHARE = 0.1
MOST_GAPS = 10
LONGEST_GAP = 160
NUMBERS = 24
"""Bytes kept for numbers of the envelope that are only known at the end."""

Part = TypeVar("Part", bound=Contract)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a bundle is to be like."""

    investigation: InvestigationType
    max_tokens: int
    sources: Set[ContextSource]
    resolved_by: str
    past: Past | None = None
    """Earlier episodes of the alert; None: no alert was named, or nobody keeps them."""


def bundle(judged: Judged, gathered: Dossier, wanted: Wanted) -> Bundle:
    """The bundle about what was judged; `gathered` is its dossier."""
    proofs = {i.id for i, place in zip(gathered.items, gathered.places, strict=True) if place.cause == 0}
    ranked = _spread(
        judged.scene.graph, _folded(judged.scene.graph, _ranked(judged, gathered, wanted)), proofs
    )
    reports = _reports(judged.scene.snapshot, gathered, wanted)
    present = {r.source for r in reports if r.found}
    empty = Bundle(
        target=gathered.target,
        resolved_by=wanted.resolved_by,
        investigation_type=wanted.investigation,
        causes=[],
        no_cause=without_cause(judged),
        items=[],
        left_out=[],
        left_out_total=0,
        history=_history(wanted),
        sources=reports,
        adequacy=adequacy(wanted.investigation, present),
        budget=Budget(max_tokens=wanted.max_tokens, used_tokens=0),
        not_looked_at=_gaps(judged.not_looked_at),
        snapshot_at=judged.scene.snapshot.captured_at,
    )
    return _packed(empty, written(judged), gathered.conflicts, ranked)


def tokens(size: int) -> int:
    """Of so many bytes."""
    return -(-size // BYTES_PER_TOKEN)


def as_sent(part: Contract) -> bytes:
    """The JSON of a bundle or a part of it, as it is counted and sent: without what is not there."""
    return part.model_dump_json(exclude_none=True).encode()


def _packed(
    empty: Bundle, causes: Sequence[Cause], opposed: Sequence[Conflict], ranked: Sequence[RankedEvidence]
) -> Bundle:
    room = empty.budget.max_tokens * BYTES_PER_TOKEN - len(as_sent(empty)) - NUMBERS
    named, room = _taken(_brief(causes), room, most=int(room * CAUSES_SHARE))
    told, room = _taken(opposed, room, most=int(room * CONFLICTS_SHARE))
    room -= len(',"conflicts":[]') if told else 0
    spare = int(room * LEFT_OUT_SHARE) if _size(ranked) > room else 0
    items, room = _taken(ranked, room, most=room - spare)
    inside = {item.id for item in items}
    outside = [LeftOut(id=one.id, relevance=one.relevance) for one in ranked if one.id not in inside]
    listed, _ = _taken(outside[:MOST_LEFT_OUT], room, most=room)
    full = empty.model_copy(
        update={
            "causes": named,
            "items": items,
            "conflicts": told or None,
            "left_out": listed,
            "left_out_total": len(outside),
        }
    )
    return _counted(full)


def _counted(made: Bundle) -> Bundle:
    """With its own size told, in which the number's digits count too."""
    size, digits = len(as_sent(made)) - 1, 1
    while len(str(tokens(size + digits))) != digits:
        digits += 1
    budget = made.budget.model_copy(update={"used_tokens": tokens(size + digits)})
    return made.model_copy(update={"budget": budget})


def _taken(parts: Iterable[Part], room: int, *, most: int) -> tuple[list[Part], int]:
    """Those that fit into `most` bytes, in their order, and what is left of `room`."""
    kept: list[Part] = []
    for part in parts:
        size = len(as_sent(part)) + 1
        if size <= most:
            kept.append(part)
            room, most = room - size, most - size
    return kept, room


def _size(parts: Iterable[Contract]) -> int:
    return sum(len(as_sent(part)) + 1 for part in parts)


def _brief(causes: Sequence[Cause]) -> list[BundleCause]:
    return [
        BundleCause(
            about=str(one.target),
            reason=one.reason,
            text=cut(one.text, LONGEST_CAUSE),
            severity=one.severity,
            confidence=one.confidence.value,
            evidence_ids=one.evidence_ids[:5],
        )
        for one in causes[:MOST_CAUSES]
    ]


def _ranked(judged: Judged, gathered: Dossier, wanted: Wanted) -> list[RankedEvidence]:
    now = judged.scene.now
    opposed = {side.evidence_id for one in gathered.conflicts for side in one.sides}
    found = []
    for item, place in zip(gathered.items, gathered.places, strict=True):
        source = source_of(item.kind)
        if source in wanted.sources:
            found.append(
                _item(
                    judged.scene.snapshot,
                    item,
                    source,
                    relevance(item, place, wanted.investigation, now, judged.scene.onset),
                ).model_copy(update={"conflict": True} if item.id in opposed else None)
            )
    found.sort(key=lambda one: -one.relevance)
    return found


def _item(snapshot: Snapshot, item: EvidenceItem, source: ContextSource, worth: Relevance) -> RankedEvidence:
    lines = None
    if item.kind is EvidenceKind.log and item.target is not None:
        lines = spans.of(snapshot, item)
    return RankedEvidence(
        id=item.id,
        kind=item.kind,
        source=source,
        about=str(item.target) if item.target is not None else "",
        text=cut(_said(item) if lines else item.summary, LONGEST_ITEM),
        relevance=worth.value,
        why=worth.why,
        observed_at=item.observed_at,
        age_s=round(item.freshness_s) if item.freshness_s is not None else None,
        lines=lines or None,
        detail=_detail(item),
    )


def _detail(item: EvidenceItem) -> dict[str, Any] | None:
    """The body of an object's field or of a change, when it is short; other facts say everything in their text."""
    if item.kind not in (EvidenceKind.object, EvidenceKind.change) or is_everyday(item) or is_outline(item):
        return None
    return item.body if len(orjson.dumps(item.body, default=str)) <= LONGEST_DETAIL else None


def _said(item: EvidenceItem) -> str:
    """Of a log whose lines are listed: whose it is. The lines are not said twice."""
    which = "previous log" if item.body.get("previous") else "log"
    return f"{which} of {item.body.get('container')}"


def _folded(graph: Graph, ranked: Sequence[RankedEvidence]) -> list[RankedEvidence]:
    """One of those that say the same of the replicas of one owner."""
    kept: OrderedDict[tuple[str, str, str], RankedEvidence] = OrderedDict()
    for one in ranked:
        text = shape_of(one.text) + "".join(shape_of(line.text) for line in one.lines or [])
        key = (one.kind, _owner(graph, one.about), _without_names(text, one.about))
        first = kept.get(key)
        kept[key] = one if first is None else first.model_copy(update={"also": (first.also or 0) + 1})
    return list(kept.values())


def _spread(graph: Graph, ranked: Sequence[RankedEvidence], proofs: Set[str]) -> list[RankedEvidence]:
    """In an order in which many facts of one kind about one object do not crowd out all others. Proofs stay."""
    count: Counter[tuple[str, str]] = Counter()
    found = []
    for one in ranked:
        if one.id in proofs:
            found.append(one)
            continue
        key = (one.kind, _owner(graph, one.about))
        worth = crowded(Relevance(one.relevance, one.why), count[key])
        count[key] += 1
        found.append(one.model_copy(update={"relevance": worth.value, "why": worth.why}))
    return sorted(found, key=lambda one: -one.relevance)


def _owner(graph: Graph, about: str) -> str:
    if not about.startswith("Pod/"):
        return about
    target = Target.parse(about)
    pod = graph.get(target.kind, target.namespace, target.name)
    return str(graph.top(pod)) if pod is not None else about


def _without_names(text: str, about: str) -> str:
    name = about.rpartition("/")[2]
    return text.replace(shape_of(name), "") if name else text


def _reports(snapshot: Snapshot, gathered: Dossier, wanted: Wanted) -> list[SourceReport]:
    found: dict[ContextSource, list[EvidenceItem]] = {}
    for item in gathered.items:
        found.setdefault(source_of(item.kind), []).append(item)
    reports = []
    for row in TYPES:
        if row.source not in wanted.sources:
            reports.append(SourceReport(source=row.source, status="not-wanted", found=0))
        elif row.source in (ContextSource.action_history, ContextSource.patterns):
            reports.append(_of_the_past(row.source, wanted.past, gathered.snapshot_at))
        else:
            reports.append(_report(snapshot, row.source, found.get(row.source, [])))
    return reports


def _of_the_past(source: ContextSource, past: Past | None, now: datetime) -> SourceReport:
    if past is None:
        return SourceReport(
            source=source,
            status="not-available",
            found=0,
            detail="no alert was named whose past could be looked up",
        )
    return history.report(source, past, now)


def _history(wanted: Wanted) -> list[PastEpisode]:
    if wanted.past is None or ContextSource.action_history not in wanted.sources:
        return []
    return history.told(wanted.past)[:MOST_EPISODES]


def _report(snapshot: Snapshot, source: ContextSource, items: Sequence[EvidenceItem]) -> SourceReport:
    ages = [item.freshness_s for item in items if item.freshness_s is not None]
    gaps = [gap for gap in snapshot.not_read if _of_source(gap.what) is source]
    status = "empty" if not items else "read"
    return SourceReport(
        source=source,
        status="partial" if gaps else status,
        found=len(items),
        age_s=round(min(ages)) if ages else None,
        detail=cut("; ".join(str(gap) for gap in gaps[:2]), LONGEST_GAP) if gaps else "",
        parts=parts_of(snapshot.parts, source),
    )


def _of_source(what: str) -> ContextSource:
    word = what.lower()
    if "log" in word:
        return ContextSource.logs
    if "metric" in word or "prometheus" in word or "quer" in word:
        return ContextSource.metrics
    return ContextSource.kubernetes


def _gaps(gaps: Sequence[str]) -> list[str]:
    shown = [cut(gap, LONGEST_GAP) for gap in gaps[:MOST_GAPS]]
    return shown if len(gaps) <= MOST_GAPS else [*shown, f"{len(gaps) - MOST_GAPS} more"]
