"""Asks about incidents again without the rules that found their causes: how triage does where nobody wrote a rule.

Decides which analyzers are general (they know no fault in particular) and which are an incident's own: all others that
had something to say about the object a person would change. Those are left out, again and again while special ones find
that object; what is named then comes from the general mechanism, or from rules made for other faults. Asked with the
general ones alone, nothing else helps or misleads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from libs.contracts.causes import CausesAnswer
from services.context_api.adapters.recording import load_recording
from services.context_api.domain.analyzers import EXPLAINERS, SYMPTOMS
from services.context_api.domain.graph import Graph
from tests.incidents.corpus import Entry
from tests.incidents.judge import Verdict, ask, compare
from tests.incidents.table import share

GENERAL = frozenset(
    {
        "dependency_change",
        "leads",
        "log_errors",
        "pod_crash_loop",
        "recent_edit",
        "recent_rollout",
        "rollout_stuck",
        "unhealthy_condition",
        "unwell",
    }
)
"""Analyzers that look at what any object says, and at what was changed, whatever the fault."""

ALL = frozenset(analyzer.__module__.rpartition(".")[2] for analyzer in (*SYMPTOMS, *EXPLAINERS))


@dataclass(frozen=True, slots=True)
class Ablated:
    """One incident asked about without its own rules."""

    whole: Verdict
    """With every rule."""
    out: Sequence[str]
    """What was left out; nothing where general ones alone had found it."""
    rest: Verdict
    """Without those."""
    alone: Verdict
    """By the general ones alone."""
    words: str
    """What the first cause says then."""


def ablate(entry: Entry) -> Ablated:
    """Judge an incident whole, without its own rules, and by the general ones alone; its recording is read once."""
    snapshot = load_recording(entry.recording)
    alert = json.loads((entry.recording / "alert.json").read_text("utf-8"))
    graph = Graph(snapshot)

    def asked(without: Collection[str]) -> tuple[CausesAnswer, Verdict]:
        answer = ask(snapshot, alert, graph, without)
        return answer, compare(entry, answer, 0.0, None)

    answer, whole = asked(())
    out: set[str] = set()
    rest = whole
    while rest.target and (own := makers(answer) - GENERAL - out):
        out |= own
        answer, rest = asked(out)
    words = answer.ranked[0].text if answer.ranked else answer.no_cause_text
    alone = asked(ALL - GENERAL)[1]
    return Ablated(whole, sorted(out), alone if entry.incident.no_cause else rest, alone, words)


def makers(answer: CausesAnswer) -> frozenset[str]:
    """The analyzers that have something to say about the object of the first cause."""
    if not answer.ranked:
        return frozenset()
    first = answer.ranked[0].target
    return frozenset(finding.analyzer for finding in answer.findings if finding.target == first)


_ROWS: Sequence[tuple[str, Callable[[Verdict], bool | None]]] = (
    ("object right", lambda one: one.target),
    ("facts said", lambda one: one.says),
    ("object among three", lambda one: one.among),
    ("no cause kept", lambda one: one.no_cause),
    ("innocent first", lambda one: one.innocent),
)


def totals(found: Sequence[Ablated]) -> str:
    """One row a question, one column a way of asking."""
    lines = ["| | with every rule | without its own rules | general ones alone |", "|---|--:|--:|--:|"]
    for title, mark in _ROWS:
        ways = ([one.whole for one in found], [one.rest for one in found], [one.alone for one in found])
        lines.append(f"| {title} | {' | '.join(share(map(mark, way)) for way in ways)} |")
    return "\n".join(lines)


HEADER = "| incident | left out | named first then | object | lacks | alone |\n|---|---|---|---|---|---|"


def row(one: Ablated) -> str:
    """What was left out of one incident, and what is named then."""
    rest = one.rest
    lacks = ", ".join(rest.missing).replace("|", "or") if rest.target is not None else ""
    whole = "" if one.whole.right else f" (with every rule: {one.whole.first})"
    return (
        f"| {one.whole.name}{whole} | {' '.join(one.out)} | {rest.first} | {_mark(rest)} | {lacks} | "
        f"{_mark(one.alone)} |"
    )


def _mark(verdict: Verdict) -> str:
    right = verdict.no_cause if verdict.no_cause is not None else verdict.target
    return "yes" if right else "**no**"
