"""Rank the strategies a caller offers for an alert. Pure.

First by how well they fit the cause that triage finds, then by what the caller itself tells of them: success
rate, and then time before cost for a critical alert, cost before time for others. No weights: where two facts
point in different directions, the order of the facts decides, and the reason says which. What a strategy does
is read from its name, since nothing else is told of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from libs.contracts.analysis import (
    ComparedStrategy,
    OfferedStrategy,
    OptimalStrategy,
    StrategyAnswer,
    StrategyRequest,
)
from libs.contracts.causes import Cause
from services.holmesgpt_api.domain.commission import priority_of
from services.holmesgpt_api.domain.recommend import action_type, recommendations

CRITICAL = frozenset({"critical", "p0", "sev1", "emergency", "page"})
_PRIORITIES = {
    **dict.fromkeys(CRITICAL, "critical"),
    **dict.fromkeys(("high", "error", "major", "p1", "sev2"), "high"),
    **dict.fromkeys(("low", "info", "none", "p3"), "low"),
}

REMEDIES_CAUSE = "remedies-cause"
REMEDIES_CONTRIBUTING = "remedies-contributing-cause"
ACT_NOT_TOLD = "act-not-told"
REMEDY_NOT_TOLD = "remedy-not-told"
CAUSE_NOT_KNOWN = "cause-not-known"
NOT_THE_REMEDY = "not-the-remedy"

_BETTER_FIRST = {
    REMEDIES_CAUSE: 0,
    REMEDIES_CONTRIBUTING: 1,
    ACT_NOT_TOLD: 2,
    REMEDY_NOT_TOLD: 2,
    CAUSE_NOT_KNOWN: 2,
    NOT_THE_REMEDY: 3,
}

# The words of a name that say what is done. A name may say several things: `rollback_and_restart`.
_ACTS: tuple[tuple[str, frozenset[str]], ...] = (
    ("rollback", frozenset(["rollback", "revert", "reverting", "undo", "restore", "restoring", "downgrade"])),
    ("restart", frozenset(["restart", "restarting", "reboot", "recycle", "recreate", "redeploy", "rolling"])),
    (
        "scale",
        frozenset(
            ["scale", "scaling", "autoscale", "autoscaling", "upscale", "replicas", "horizontal", "expand"]
        ),
    ),
    (
        "configure",
        frozenset(
            [
                "config",
                "configure",
                "configuration",
                "configmap",
                "limit",
                "limits",
                "quota",
                "adjust",
                "adjustment",
                "tune",
                "tuning",
                "patch",
                "increase",
                "decrease",
            ]
        ),
    ),
    (
        "schedule",
        frozenset(["drain", "draining", "cordon", "uncordon", "evict", "reschedule", "taint", "migrate"]),
    ),
    ("failover", frozenset(["failover", "switchover", "promote"])),
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_BACK = re.compile(r"\b(?:put|roll|bring|take|set)\b[^.]*\bback\b", re.IGNORECASE)

NOT_TOLD = (
    "optimal_strategy.expected_roi, roi_analysis: the request tells no benefit to hold the cost against",
    (
        "strategy_comparison[].confidence_interval, .statistical_p_value, statistical_significance: a rate without the "
        "number of trials behind it cannot be tested"
    ),
    "business_impact_metrics: what an hour of this alert costs is not told",
)


@dataclass(frozen=True, slots=True)
class _Judged:
    offered: OfferedStrategy
    place: int
    """Where it stood in the request, from 0."""
    fit: str
    held_against: Cause | None


def priority_word(severity: str) -> str:
    """An alert's severity as an investigation's priority; one that is not known counts as medium."""
    return _PRIORITIES.get(severity.strip().lower(), "medium")


def rank(request: StrategyRequest, causes: Sequence[Cause], *, unknown: str | None = None) -> StrategyAnswer:
    """The answer without what only the asking knows (target, why degraded).

    Args:
        causes: triage's, the first one first; none: not known.
        unknown: why there is none, for the reasons.
    """
    severity = request.alert_context.severity
    hurried = priority_word(severity) == "critical"
    judged = [_judged(one, place, causes) for place, one in enumerate(request.available_strategies)]
    order = sorted(judged, key=lambda one: _key(one, hurried))
    compared = [_compared(one, number, judged, hurried, unknown) for number, one in enumerate(order, start=1)]
    return StrategyAnswer(
        optimal_strategy=_optimal(compared),
        strategy_comparison=compared,
        request_id=request.request_id,
        cause=causes[0] if causes else None,
        recommendations=recommendations(causes, priority_of(priority_word(severity))),
        not_told=list(NOT_TOLD),
    )


def acts_in(name: str) -> set[str]:
    """What a strategy does, as far as its name says."""
    words = {word.lower() for word in _WORD.findall(name)}
    return {act for act, known in _ACTS if words & known}


def remedy_of(cause: Cause) -> set[str]:
    """What kind of act the remedy of a cause is, as far as it says."""
    if cause.remediation is None:
        return set()
    acts = {action_type(cause.remediation.command)} - {"manual", "inspect"}
    return acts | ({"rollback"} if _BACK.search(cause.remediation.text) else set())


def _judged(offered: OfferedStrategy, place: int, causes: Sequence[Cause]) -> _Judged:
    if not causes:
        return _Judged(offered, place, CAUSE_NOT_KNOWN, None)
    acts = acts_in(offered.name)
    if not acts:
        return _Judged(offered, place, ACT_NOT_TOLD, causes[0])
    for number, cause in enumerate(causes):
        if acts & remedy_of(cause):
            return _Judged(offered, place, REMEDIES_CONTRIBUTING if number else REMEDIES_CAUSE, cause)
    return _Judged(offered, place, NOT_THE_REMEDY if remedy_of(causes[0]) else REMEDY_NOT_TOLD, causes[0])


def _key(one: _Judged, hurried: bool) -> tuple[float, ...]:
    rate, time, cost = one.offered.success_rate, one.offered.time_to_resolve, one.offered.cost
    first, second = ((time or 2**63), cost) if hurried else (cost, (time or 2**63))
    return (_BETTER_FIRST[one.fit], -rate, first, second, one.place)


def _compared(
    one: _Judged, number: int, all_: Sequence[_Judged], hurried: bool, unknown: str | None
) -> ComparedStrategy:
    offered = one.offered
    better = next((other for other in all_ if _dominates(other, one)), None)
    return ComparedStrategy(
        rank=number,
        strategy_name=offered.name,
        success_rate=offered.success_rate or None,
        average_cost=offered.cost,
        average_time=offered.time_to_resolve or None,
        fit=one.fit,
        reason=f"{_fit_said(one, unknown)}; {_told(offered, hurried)}",
        dominated_by=better.offered.name if better else None,
    )


def _dominates(other: _Judged, one: _Judged) -> bool:
    def merits(judged: _Judged) -> tuple[float, ...]:
        offered = judged.offered
        time = offered.time_to_resolve or 2**63
        return (-_BETTER_FIRST[judged.fit], offered.success_rate, -time, -offered.cost)

    theirs, ours = merits(other), merits(one)
    return theirs != ours and all(their >= our for their, our in zip(theirs, ours, strict=True))


def _fit_said(one: _Judged, unknown: str | None) -> str:
    cause = one.held_against
    acts = " and ".join(sorted(acts_in(one.offered.name)))
    match one.fit:
        case "remedies-cause" if cause is not None:
            return f"it does what mends the cause ({cause.target}: {cause.reason}): {acts}"
        case "remedies-contributing-cause" if cause is not None:
            return f"it does what mends a further cause ({cause.target}: {cause.reason}): {acts}"
        case "not-the-remedy" if cause is not None:
            remedy = " or ".join(sorted(remedy_of(cause)))
            return f"the cause ({cause.target}: {cause.reason}) is mended by {remedy}, and this is {acts}"
        case "remedy-not-told" if cause is not None:
            return f"what mends the cause ({cause.target}: {cause.reason}) is not known"
        case "act-not-told":
            return "its name does not say what it does, so it cannot be held against the cause"
        case _:
            return f"the cause is not known{f' ({unknown})' if unknown else ''}"


def _told(offered: OfferedStrategy, hurried: bool) -> str:
    rate = (
        f"success rate {offered.success_rate:g} as told" if offered.success_rate else "success rate not told"
    )
    time = f"{offered.time_to_resolve / 60e9:g} min" if offered.time_to_resolve else "time not told"
    cost = f"cost {offered.cost:g}"
    return ", ".join([rate, time, cost] if hurried else [rate, cost, time])


def _optimal(compared: Sequence[ComparedStrategy]) -> OptimalStrategy:
    if not compared:
        return OptimalStrategy(
            name="", justification="No strategy was offered; `recommendations` says what triage would do."
        )
    first = compared[0]
    said = first.reason
    if first.fit == NOT_THE_REMEDY:
        said = f"None of the offered strategies mends the cause; the least bad one: {said}"
    return OptimalStrategy(
        name=first.strategy_name,
        success_rate=first.success_rate,
        justification=f"{said[:1].upper()}{said[1:]}.",
    )
