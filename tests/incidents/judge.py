"""Judges triage's answer to an incident by what a person would have answered."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from libs.contracts.causes import CausesAnswer
from libs.contracts.target import Target
from services.context_api.adapters.recording import load_recording
from services.context_api.domain.graph import Graph
from services.context_api.domain.resolve import resolve_in
from services.context_api.domain.snapshot import Snapshot
from services.context_api.domain.triage import find_causes
from tests.incidents.corpus import Entry, entries
from tests.incidents.incident import Half
from tests.incidents.play import filled, names_of

AMONG = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one answer compares with the expected one. None where the question does not arise."""

    name: str
    half: Half
    kind: str
    first: str
    """What triage named first: object and reason, or why it named none."""
    target: bool | None
    """The first object is an expected one."""
    says: bool | None
    """The first cause's text states all facts it has to, and its object is right."""
    among: bool | None
    """An expected object is among the first three."""
    no_cause: bool | None
    """Where no cause may be named, none is, and the reason is the right one."""
    innocent: bool
    """An object that must not be is named first."""
    second: bool | None
    """Asked about the whole cluster, both faults are among the first three."""
    confidence: float
    seconds: float
    missing: Sequence[str] = ()
    """Facts that the text does not state."""

    @property
    def right(self) -> bool:
        return bool(self.no_cause if self.no_cause is not None else self.target and self.says)


def ask(
    snapshot: Snapshot, alert: dict[str, Any], graph: Graph | None = None, without: Collection[str] = ()
) -> CausesAnswer:
    """The answer to the first alert of a webhook body; `without` the analyzers of these names."""
    one = alert["alerts"][0]
    graph = graph or Graph(snapshot)
    target = resolve_in(graph, one["labels"]).target
    onset = datetime.fromisoformat(one["startsAt"])
    return find_causes(snapshot, target=target, onset=onset, graph=graph, without=without)


@dataclass(frozen=True, slots=True)
class Heard:
    """An incident as it was recorded, the answer to its alert, and what that is worth."""

    snapshot: Snapshot
    labels: Mapping[str, str]
    """The alert's."""
    target: Target | None
    onset: datetime
    answer: CausesAnswer
    verdict: Verdict


@cache
def heard(name: str) -> Heard:
    """Read and asked once per process: a dozen tests look at each incident.

    Raises:
        Exception: whatever an analyzer failed with.
    """
    entry = entries()[name]
    snapshot = load_recording(entry.recording)
    one = json.loads((entry.recording / "alert.json").read_text("utf-8"))["alerts"][0]
    graph, onset = Graph(snapshot), datetime.fromisoformat(one["startsAt"])
    target = resolve_in(graph, one["labels"]).target
    began = time.perf_counter()
    answer = find_causes(snapshot, target=target, onset=onset, graph=graph, broken=_raised)
    took = time.perf_counter() - began
    whole = find_causes(snapshot, graph=graph, broken=_raised) if entry.incident.second else None
    return Heard(snapshot, one["labels"], target, onset, answer, compare(entry, answer, took, whole))


def _raised(_name: str, error: Exception) -> None:
    raise error


def judge(entry: Entry) -> Verdict:
    """Ask about the recording as the command line does."""
    snapshot = load_recording(entry.recording)
    alert = json.loads((entry.recording / "alert.json").read_text("utf-8"))
    began = time.perf_counter()
    answer = ask(snapshot, alert)
    took = time.perf_counter() - began
    return compare(entry, answer, took, find_causes(snapshot) if entry.incident.second else None)


def _words(reason: str) -> str:
    """`ImageNotFound` as its reader reads it: Image Not Found."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", reason)


def compare(entry: Entry, answer: CausesAnswer, took: float, whole: CausesAnswer | None) -> Verdict:
    incident, pods = entry.incident, names_of(entry.recording)
    wanted = [filled(text, pods) for text in incident.causes]
    innocent = {filled(text, pods) for text in incident.innocent}
    second = {filled(text, pods) for text in incident.second}
    named = [str(cause.target) for cause in answer.ranked]
    best = answer.ranked[0] if answer.ranked else None
    reason = answer.no_cause_reason.value if answer.no_cause_reason else ""
    text = f"{best.target} {_words(best.reason)} {best.text}".casefold() if best else ""
    missing = [
        " | ".join(group) for group in incident.says if not any(word.casefold() in text for word in group)
    ]
    target = (bool(named) and named[0] in wanted) if wanted else None
    both = None
    if whole is not None:
        top = {str(cause.target) for cause in whole.ranked[:AMONG]}
        both = bool(top & set(wanted)) and bool(top & second)
    return Verdict(
        name=entry.name,
        half=incident.half,
        kind=incident.kind,
        first=f"{named[0]} {best.reason}" if best else f"none: {reason}",
        target=target,
        says=(target and not missing) if wanted else None,
        among=any(one in wanted for one in named[:AMONG]) if wanted else None,
        no_cause=(not named and reason == incident.no_cause) if incident.no_cause else None,
        innocent=bool(named) and (named[0] in innocent or (bool(incident.no_cause) and best is not None)),
        second=both,
        confidence=best.confidence.value if best else 0.0,
        seconds=took,
        missing=missing,
    )
