"""Whether the kinds of context that an investigation needs are there, as one number and by name.

Decides by a table: which kinds each type of investigation must have, and from which score on it counts as adequate. The
score reaches that threshold exactly when nothing it must have is missing, and 1 when everything there is is there.

Source: the customer's BR-CONTEXT-021..025 and their anchors (root cause analysis needs metrics, Kubernetes and action
history at 0.85; performance optimization metrics and Kubernetes at 0.75; a basic investigation Kubernetes at 0.60).
"""

from __future__ import annotations

from collections.abc import Set

from libs.contracts.bundle import Adequacy, ContextSource, InvestigationType
from services.context_api.domain.registry import TYPES

NEEDS: dict[InvestigationType, tuple[float, frozenset[ContextSource]]] = {
    InvestigationType.root_cause: (
        0.85,
        frozenset({ContextSource.metrics, ContextSource.kubernetes, ContextSource.action_history}),
    ),
    InvestigationType.performance: (0.75, frozenset({ContextSource.metrics, ContextSource.kubernetes})),
    InvestigationType.basic: (0.60, frozenset({ContextSource.kubernetes})),
}

_WEIGHT = {row.source: row.relevance for row in TYPES}


def adequacy(kind: InvestigationType, present: Set[ContextSource]) -> Adequacy:
    """How adequate a bundle is that holds facts from these kinds of context."""
    wanted, needs = NEEDS[kind]
    missing = [row.source for row in TYPES if row.source in needs - present]
    if missing:
        score = wanted * _sum(needs & present) / _sum(needs)
    else:
        others = frozenset(_WEIGHT) - needs
        score = wanted + (1 - wanted) * _sum(others & present) / _sum(others)
    return Adequacy(score=round(score, 3), adequate=not missing, wanted=wanted, missing=missing)


def _sum(sources: Set[ContextSource]) -> float:
    return sum(_WEIGHT[source] for source in sources)
