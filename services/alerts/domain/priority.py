"""Decide how urgent an alert is: the score of severity and of what it hits, P0 to P3.

Severity counts 3, 2 or 1; production 3, staging 2, others 1; a tier `critical` 3 or `high` 2 counts when
it is more than the environment. 6 is P0, 5 is P1, 4 is P2, less is P3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from libs.contracts.alerts import PRIORITY_WORDS, Decision, Environment, Priority, Severity
from services.alerts.domain.environment import RANK

_SEVERITY_POINTS = {Severity.critical: 3, Severity.warning: 2, Severity.info: 1, Severity.unknown: 1}
_TIER_POINTS = {"critical": 3, "high": 2}
_BY_SCORE = {6: Priority.p0, 5: Priority.p1, 4: Priority.p2}
_URGENCY = list(Priority)


def decide(
    severity: Severity, environment: Environment, tiers: Sequence[Mapping[str, str]], *, names: Sequence[str]
) -> tuple[Priority, Decision]:
    """The priority and the decision that explains it.

    Args:
        tiers: labels that may hold the target's tier. The alert's own may be among them: a tier only raises.
        names: the label names that mean the tier.
    """
    place, place_said = RANK[environment], f"environment {environment.value} {RANK[environment]}"
    reason = "severity-and-environment"
    for labels in tiers:
        for name in names:
            said = labels.get(name, "").strip().lower()
            if _TIER_POINTS.get(said, 0) > place:
                place, place_said = _TIER_POINTS[said], f"tier {said} {_TIER_POINTS[said]}"
                reason = "severity-and-tier"
    points = _SEVERITY_POINTS[severity]
    score = points + place
    priority = _BY_SCORE.get(score, Priority.p3)
    if severity is Severity.unknown and priority is Priority.p3:
        # A severity nobody could read is not a reason to sleep: both earlier generations said P2 here.
        priority, reason = Priority.p2, "unknown-severity-is-at-least-P2"
    detail = f"severity {severity.value} {points} + {place_said} = {score} ({PRIORITY_WORDS[priority]})"
    return priority, Decision(subject="priority", outcome=priority.value, reason=reason, detail=detail)


def most_urgent(priorities: Sequence[Priority]) -> Priority:
    """The one that decides for an incident of several alerts."""
    return min(priorities, key=_URGENCY.index)


def more_urgent(one: Priority, other: Priority) -> bool:
    return _URGENCY.index(one) < _URGENCY.index(other)
