"""Builds the bundle of a case as the service would, and compares it with the case's labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean

from libs.contracts.bundle import MOST_TOKENS, Bundle, ContextSource
from libs.contracts.target import Target
from services.context_api.adapters.recording import load_recording
from services.context_api.domain import dossier
from services.context_api.domain.bundle import Wanted, bundle
from services.context_api.domain.dossier import Dossier
from services.context_api.domain.graph import Graph
from services.context_api.domain.resolve import resolve_in
from services.context_api.domain.triage import Judged, judge
from tests.incidents.incident import RECORDINGS
from tests.relevance.labels import Case, Half, Matcher, of_ranked

BUDGET = 4_000
"""Tokens: what a request that names no budget gets."""

FIRST = 5
"""Facts that a reader looks at before anything else."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one bundle agrees with the labels of its case."""

    name: str
    half: Half
    place: int
    """How many of the first facts are looked at: FIRST, or all relevant ones where there are fewer."""
    relevant: int
    """Of those, how many are relevant."""
    needs: int
    missing: Sequence[Matcher]
    """What nobody can do without and is not in the bundle."""
    tokens: int

    @property
    def precision(self) -> float:
        """1 where nothing relevant is known at all: nothing can be put first then. `missing` tells of it."""
        return self.relevant / self.place if self.place else 1.0


@dataclass(frozen=True, slots=True)
class Known:
    """One incident, judged as the service judges it."""

    judged: Judged
    gathered: Dossier
    resolved_by: str

    def packed(self, case: Case, max_tokens: int = BUDGET) -> Bundle:
        wanted = Wanted(case.asks, max_tokens, frozenset(ContextSource), self.resolved_by)
        return bundle(self.judged, self.gathered, wanted)


def known(recording: Path, about: str | None = None) -> Known:
    """What is known about a recording's first alert, or about an object at the time of it.

    Raises:
        ValueError: neither the alert's labels nor `about` name an object that is there.
    """
    alert = json.loads((recording / "alert.json").read_text("utf-8"))["alerts"][0]
    snapshot = load_recording(recording)
    graph = Graph(snapshot)
    target, resolved_by = _named(graph, about) if about else _resolved(graph, alert["labels"])
    judged = judge(snapshot, target=target, onset=datetime.fromisoformat(alert["startsAt"]), graph=graph)
    return Known(judged, dossier.of(judged, target), resolved_by)


def _resolved(graph: Graph, labels: Mapping[str, str]) -> tuple[Target, str]:
    found = resolve_in(graph, labels)
    if found.target is None:
        raise ValueError(found.detail)
    return found.target, found.reason


def _named(graph: Graph, about: str) -> tuple[Target, str]:
    named = Target.parse(about)
    there = graph.get(named.kind, named.namespace, named.name)
    if there is None:
        raise ValueError(f"no {about} was recorded")
    return there.target(graph.snapshot.cluster), "given"


def outcome(case: Case, half: Half, directory: Path = RECORDINGS) -> Outcome:
    """Measure one case."""
    incident = known(directory / case.incident, case.about)
    return compare(case, half, incident.packed(case), incident.packed(case, MOST_TOKENS))


def compare(case: Case, half: Half, made: Bundle, everything: Bundle) -> Outcome:
    """`everything`: the same without a budget; it tells how many relevant facts there are to be put first."""
    there = sum(case.is_relevant(of_ranked(item)) for item in everything.items)
    shown = [of_ranked(item) for item in made.items]
    place = min(FIRST, there)
    return Outcome(
        name=case.incident,
        half=half,
        place=place,
        relevant=sum(case.is_relevant(fact) for fact in shown[:place]),
        needs=len(case.must_have),
        missing=case.missing_from(shown),
        tokens=made.budget.used_tokens,
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """What one half comes to."""

    cases: int
    precision: float
    complete: float
    """Share of cases with nothing missing."""
    within: float
    """Share of the `must_have` of all cases that is in their bundles."""
    tokens: float


def figures(outcomes: Sequence[Outcome]) -> Figures:
    needs = sum(one.needs for one in outcomes)
    return Figures(
        cases=len(outcomes),
        precision=fmean(one.precision for one in outcomes),
        complete=fmean(not one.missing for one in outcomes),
        within=1 - sum(len(one.missing) for one in outcomes) / needs,
        tokens=fmean(one.tokens for one in outcomes),
    )
