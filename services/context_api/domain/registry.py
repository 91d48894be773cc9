"""The kinds of context there are: what each is, what it costs, and when it is called for.

One table, read by `discover`, by the bundle and by adequacy. Figures are those that older callers were given
(docs/context-api.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from libs.contracts.bundle import ContextSource
from libs.contracts.evidence import EvidenceKind


@dataclass(frozen=True, slots=True)
class ContextType:
    """One row."""

    source: ContextSource
    description: str
    endpoint: str
    priority: int
    relevance: float
    cost: timedelta
    """Of gathering it anew."""
    dependencies: Sequence[str] = ()


TYPES: Sequence[ContextType] = (
    ContextType(
        ContextSource.kubernetes,
        "objects, their conditions, events and recent changes",
        "/api/v1/context/kubernetes/{namespace}/{resource}",
        100,
        0.9,
        timedelta(milliseconds=50),
    ),
    ContextType(
        ContextSource.metrics,
        "series about an object: usage, limits, error and latency rates",
        "/api/v1/context/metrics/{namespace}/{resource}",
        85,
        0.85,
        timedelta(milliseconds=150),
        ("prometheus",),
    ),
    ContextType(
        ContextSource.logs,
        "the telling lines of containers' logs",
        "/api/v1/context/logs/{namespace}/{pod}",
        70,
        0.75,
        timedelta(milliseconds=120),
    ),
    ContextType(
        ContextSource.action_history,
        "earlier episodes of the alert, what was done and how they ended",
        "/api/v1/context/action-history/{alertType}",
        60,
        0.7,
        timedelta(milliseconds=100),
        ("alerts",),
    ),
    ContextType(
        ContextSource.patterns,
        "how often the same signature came back, and with which causes",
        "/api/v1/context/patterns/{signature}",
        40,
        0.6,
        timedelta(milliseconds=200),
        ("alerts",),
    ),
)

_OF_KIND = {
    EvidenceKind.object: ContextSource.kubernetes,
    EvidenceKind.event: ContextSource.kubernetes,
    EvidenceKind.change: ContextSource.kubernetes,
    EvidenceKind.log: ContextSource.logs,
    EvidenceKind.metric: ContextSource.metrics,
}


def source_of(kind: EvidenceKind) -> ContextSource:
    """Which kind of context a fact belongs to."""
    return _OF_KIND[kind]
