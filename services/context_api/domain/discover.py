"""Which kinds of context there are for an alert, what each costs and how much it is worth; never more than is useful.

Decides by the registry, the tier of the alert and the type of investigation. Source: the customer's BR-CONTEXT-001..005
and 016..038.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from libs.contracts.bundle import ContextSource, InvestigationType
from services.context_api.domain.adequacy import NEEDS
from services.context_api.domain.durations import nanoseconds
from services.context_api.domain.registry import TYPES, ContextType
from services.context_api.domain.tiers import Tier, kept

NEEDED = 0.1
"""Added to the relevance of a kind of context that the investigation cannot do without."""

_ABOUT: Sequence[tuple[str, ContextSource, float]] = (
    ("memory", ContextSource.metrics, 0.1),
    ("cpu", ContextSource.metrics, 0.1),
    ("latency", ContextSource.metrics, 0.1),
    ("disk", ContextSource.metrics, 0.1),
    ("crash", ContextSource.logs, 0.15),
    ("error", ContextSource.logs, 0.15),
    ("security", ContextSource.logs, 0.15),
)
"""Words of an alert's name that make a kind of context worth more."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to know of the kinds of context."""

    alert_type: str = ""
    tier: Tier | None = None
    left_out: float | None = None
    most: int | None = None
    investigation: InvestigationType | None = None


def discover(wish: Wish, hit_rate: float, fresh: Mapping[str, timedelta]) -> list[dict[str, Any]]:
    """The kinds, most important first, as older callers decode them (durations in integer nanoseconds).

    Args:
        hit_rate: how often the cache had the answer, of all questions.
        fresh: by source, how long an answer is kept here.
    """
    rows = kept(wish.tier, left_out=wish.left_out) if wish.tier is not None else list(TYPES)
    if wish.tier is None and wish.left_out is not None:
        rows = rows[: max(1, math.ceil((1 - wish.left_out) * len(rows) - 1e-9))]
    if wish.most is not None:
        rows = rows[: wish.most]
    return [_row(row, wish, hit_rate, fresh[row.source.value]) for row in rows]


def _row(row: ContextType, wish: Wish, hit_rate: float, fresh: timedelta) -> dict[str, Any]:
    return {
        "name": row.source.value,
        "description": row.description,
        "endpoint": row.endpoint,
        "freshness_window": nanoseconds(fresh),
        "relevance_score": _worth(row, wish),
        "retrieval_cost_ms": round(row.cost.total_seconds() * 1000),
        "dependencies": list(row.dependencies),
        "priority": row.priority,
        "cache_hit_rate": hit_rate,
    }


def _worth(row: ContextType, wish: Wish) -> float:
    name = wish.alert_type.lower()
    worth = row.relevance + sum(
        more for word, source, more in _ABOUT if source is row.source and word in name
    )
    if wish.investigation is not None and row.source in NEEDS[wish.investigation][1]:
        worth += NEEDED
    return round(min(worth, 1.0), 3)
