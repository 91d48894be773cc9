"""How complex an alert is, and how much of the context may therefore be left out.

Decides by severity and by words of the alert's name that no severity label tells (an intrusion, lost data). Each tier
keeps at least so many kinds of context, and leaves out at most so much, the least important first. Source: the customer's BR-CONTEXT-016..020 and 031..038.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.context_api.domain.registry import TYPES, ContextType


class Tier(StrEnum):
    simple = "simple"
    moderate = "moderate"
    complex = "complex"
    critical = "critical"


@dataclass(frozen=True, slots=True)
class Allowance:
    most_left_out: float
    """Share of the kinds of context."""
    fewest: int
    """Kinds that are kept."""


ALLOWANCES = {
    Tier.simple: Allowance(0.75, 1),
    Tier.moderate: Allowance(0.55, 2),
    Tier.complex: Allowance(0.25, 3),
    Tier.critical: Allowance(0.05, 4),
}

_GRAVE = re.compile(
    r"secur|breach|intrusion|unauthori[sz]ed|malware|exfiltrat|ransom|data ?loss|corrupt|split ?brain",
    re.IGNORECASE,
)
_SEVERE = frozenset({"critical", "page", "emergency", "fatal", "disaster", "sev1", "p1"})
_MIDDLING = frozenset({"warning", "error", "high", "major", "minor", "medium", "ticket", "sev2", "p2"})


@dataclass(frozen=True, slots=True)
class Assessment:
    tier: Tier
    reason: str


def is_severe(severity: str) -> bool:
    """Whether a severity is one that wakes people."""
    return severity.strip().lower() in _SEVERE


def assess(severity: str, name: str, description: str = "") -> Assessment:
    """The tier of an alert; a severity nobody knows counts as middling, since unknown is not harmless."""
    word = severity.strip().lower()
    grave = _GRAVE.search(f"{name} {description}")
    if word in _SEVERE:
        if grave:
            return Assessment(Tier.critical, f"severity {word}, and it speaks of `{grave[0]}`")
        return Assessment(Tier.complex, f"severity {word}")
    if grave:
        return Assessment(Tier.complex, f"it speaks of `{grave[0]}`")
    if word in _MIDDLING:
        return Assessment(Tier.moderate, f"severity {word}")
    if word in ("info", "none", "low", "informational", "debug", "notice"):
        return Assessment(Tier.simple, f"severity {word}")
    return Assessment(Tier.moderate, f"severity {word or 'not given'} is none that is known")


def kept(
    tier: Tier, types: Sequence[ContextType] = TYPES, *, left_out: float | None = None
) -> list[ContextType]:
    """The kinds of context such an alert gets, most important first.

    Args:
        left_out: share to leave out, where somebody wants less than the tier allows; more than it allows is not done.
    """
    allowance = ALLOWANCES[tier]
    share = allowance.most_left_out if left_out is None else min(left_out, allowance.most_left_out)
    ordered = sorted(types, key=lambda row: -row.priority)
    count = max(allowance.fewest, math.ceil((1 - share) * len(ordered) - 1e-9))
    return ordered[:count]
