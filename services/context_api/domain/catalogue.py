"""Finds a fact by its id, in everything a snapshot shows without a question being asked of it.

Facts that only a question brings up (lines of a log, what an alert's object makes worth a look) are kept where the
question was answered; `steps/ask.py` looks there first.
"""

from __future__ import annotations

from collections.abc import Iterator

from libs.contracts.evidence import EvidenceItem
from services.context_api.domain import evidence
from services.context_api.domain.dossier import record_of
from services.context_api.domain.evidence import Fact
from services.context_api.domain.graph import Graph
from services.context_api.domain.scene import Scene
from services.context_api.domain.triage import OnBroken, observe, unheard


class Catalogue:
    """Facts by id. Made once for a view: as long as an answer about it takes, and 20 µs for each fact (measured)."""

    def __init__(self, graph: Graph, broken: OnBroken = unheard) -> None:
        self._snapshot = graph.snapshot
        scene = Scene(graph.snapshot, graph=graph)
        self._facts = dict(self._numbered(_facts(scene, broken)))

    def __contains__(self, evidence_id: object) -> bool:
        return evidence_id in self._facts

    def __len__(self) -> int:
        return len(self._facts)

    def get(self, evidence_id: str) -> EvidenceItem | None:
        fact = self._facts.get(evidence_id)
        return None if fact is None else evidence.item(fact, self._snapshot)

    def _numbered(self, facts: Iterator[Fact]) -> Iterator[tuple[str, Fact]]:
        for fact in facts:
            for item in evidence.items([fact], self._snapshot):
                yield item.id, fact


def _facts(scene: Scene, broken: OnBroken) -> Iterator[Fact]:
    # What an analyzer says of a fact is kept where both know it: its words come last.
    for obj in scene.snapshot.objects:
        yield from record_of(scene, obj)
    for observation in observe(scene, broken):
        yield from observation.facts
