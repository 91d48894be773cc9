"""Find patterns in past investigations: the same alert with the same cause at the same kind of object. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from libs.contracts.analysis import HistoricalPattern

Match = Literal["alert", "cause", "target"]

PATTERNS_AT_MOST = 50
BEFORE_AT_MOST = 3
"""Patterns that an investigation is shown of those before it: a hint at where to look, and no evidence."""
IDS_AT_MOST = 5

NOT_TOLD = (
    "patterns[].historical_success_rate: whether a recommendation helped is told to nobody here",
    (
        "patterns[].avg_resolution_time: when an alert was resolved is not known here; "
        "`average_investigation_seconds` is how long the investigations took"
    ),
    "confidence_level, statistical_p_value: counts are told, and nothing is tested",
)


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered of one investigation."""

    id: str
    asker: str
    seen: Collection[str]
    alert_name: str
    cause_reason: str | None
    cause_target: str | None
    """As `Kind/ns/name`."""
    target_kind: str | None
    recommended: str | None
    status: str
    created_at: datetime
    ended_at: datetime | None
    cluster: str | None = None
    """As its request named it; None: it named none."""

    @property
    def end(self) -> str:
        if self.ended_at is None:
            return "running"
        if self.status == "failed":
            return "failed"
        return "cause" if self.cause_reason else "no-cause"


@dataclass(frozen=True, slots=True)
class Kin:
    """By what other alerts' investigations are related to this one's."""

    reason: str | None
    kind: str | None


def usual(past: Iterable[Past]) -> Kin:
    """The cause that was found most often, and the kind of object most often at fault."""
    found = [one for one in past if one.cause_reason]
    reasons = Counter(one.cause_reason for one in found)
    kinds = Counter(one.target_kind for one in found if one.target_kind)
    return Kin(
        reasons.most_common(1)[0][0] if reasons else None, kinds.most_common(1)[0][0] if kinds else None
    )


def patterns(past: Iterable[Past], *, alert_name: str) -> list[HistoricalPattern]:
    """The most frequent first; of equally frequent ones the one seen last."""
    past = list(past)
    kin = usual(one for one in past if one.alert_name == alert_name)
    groups: dict[tuple[str, str, str], list[Past]] = {}
    for one in past:
        key = (one.alert_name, one.cause_reason or "", one.target_kind or "")
        groups.setdefault(key, []).append(one)
    found = [_pattern(group, alert_name, kin) for group in groups.values()]
    found.sort(key=lambda one: (-one.occurrence_count, -one.last_seen.timestamp(), one.pattern_id))
    return found[:PATTERNS_AT_MOST]


def before(past: Iterable[Past], *, alert_name: str, id_: str, seen: Collection[str]) -> list[dict[str, Any]]:
    """What investigations before this one have found for the same alert.

    Whoever may see this one will see it, so only of those that have seen nothing but what this one has (`seen`).
    """
    known = set(seen)
    shown = [
        one
        for one in past
        if one.id != id_ and one.ended_at is not None and one.seen and known >= set(one.seen)
    ]
    found = patterns(shown, alert_name=alert_name)[:BEFORE_AT_MOST]
    return [one.model_dump(mode="json", exclude_none=True) for one in found]


def _pattern(group: Sequence[Past], alert_name: str, kin: Kin) -> HistoricalPattern:
    newest_first = sorted(group, key=lambda one: (one.created_at, one.id), reverse=True)
    newest, oldest = newest_first[0], newest_first[-1]
    targets = Counter(one.cause_target for one in newest_first if one.cause_target)
    usual_target, times = targets.most_common(1)[0] if targets else (None, 0)
    return HistoricalPattern(
        pattern_id=_id(newest),
        strategy_name=next((one.recommended for one in newest_first if one.recommended), ""),
        occurrence_count=len(group),
        business_context=_said(newest, len(group), usual_target, times),
        alert_name=newest.alert_name,
        matched_by=_matched(newest, alert_name, kin),
        cause_reason=newest.cause_reason,
        target_kind=newest.target_kind,
        usual_target=usual_target,
        usual_target_count=times,
        first_seen=oldest.created_at,
        last_seen=newest.created_at,
        ended=dict(sorted(Counter(one.end for one in group).items())),
        average_investigation_seconds=_average(group),
        investigation_ids=[one.id for one in newest_first[:IDS_AT_MOST]],
    )


def _id(one: Past) -> str:
    told = "\0".join((one.alert_name, one.cause_reason or "", one.target_kind or ""))
    return f"pat-{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def _said(one: Past, count: int, usual_target: str | None, times: int) -> str:
    of = f"{count} investigation{'s' if count > 1 else ''} of {one.alert_name}"
    if one.cause_reason is None:
        return f"{of} without a cause"
    where = f", {times} of them at {usual_target}" if usual_target else ""
    return f"{of} ended with the cause {one.cause_reason}{where}"


def _matched(one: Past, alert_name: str, kin: Kin) -> list[str]:
    by = {
        "alert": one.alert_name == alert_name,
        "cause": one.cause_reason is not None and one.cause_reason == kin.reason,
        "target": one.target_kind is not None and one.target_kind == kin.kind,
    }
    return [word for word, holds in by.items() if holds]


def _average(group: Iterable[Past]) -> float | None:
    took = [one.ended_at - one.created_at for one in group if one.ended_at is not None]
    return round(sum(took, timedelta()).total_seconds() / len(took), 3) if took else None
