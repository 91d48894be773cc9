"""`kubernaut triage`: from a recorded cluster, or a live one, to its ranked causes, in one process.

Decides what is asked about which object, and the exit code. Finding causes is the Context API's domain, words
on the terminal are `triage_text`'s.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError

from cli.alert_file import Alert, UnreadableAlert, read_alerts
from libs.contracts.causes import Cause, CausesAnswer
from libs.contracts.evidence import EvidenceItem
from libs.contracts.target import Target
from services.context_api.adapters.mutes import UnreadableMutes, read_mutes
from services.context_api.adapters.recording import UnreadableRecording, load_recording
from services.context_api.domain.graph import Graph
from services.context_api.domain.mutes import Mutes
from services.context_api.domain.resolve import resolve_in
from services.context_api.domain.snapshot import Snapshot
from services.context_api.domain.triage import find_causes

if TYPE_CHECKING:
    from cli.live import Wanted

CAUSE_FOUND, UNREADABLE, NO_CAUSE = 0, 2, 3

MOST_TARGETS = 10
"""Distinct objects of one webhook that are looked into. A group of alerts is about one thing, or a few."""


class BadTarget(Exception):
    """`--target` is not KIND/NAMESPACE/NAME."""


class UnreadableCluster(Exception):
    """The live cluster gave no snapshot; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to explain, and who asks."""

    target: Target | None
    onset: datetime | None = None
    alert: str = ""
    reason: str = ""
    """Which label decided the target, e.g. `label:pod`."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything found, about all questions together."""

    snapshot: Snapshot
    questions: Sequence[Question]
    answers: Sequence[CausesAnswer]

    @property
    def causes(self) -> Sequence[Cause]:
        """Each cause once: those of the first question, then what the others add."""
        merged: dict[tuple[str, str], Cause] = {}
        for cause in (cause for answer in self.answers for cause in answer.ranked):
            merged.setdefault((str(cause.target), cause.reason), cause)
        return list(merged.values())

    @property
    def evidence(self) -> Mapping[str, EvidenceItem]:
        return {item.id: item for answer in self.answers for item in answer.evidence}

    @property
    def not_looked_at(self) -> Sequence[str]:
        return list(dict.fromkeys(gap for answer in self.answers for gap in answer.not_looked_at))

    @property
    def muted(self) -> Sequence[str]:
        return list(dict.fromkeys(one for answer in self.answers for one in answer.muted))

    @property
    def no_cause_reason(self) -> str | None:
        return next((a.no_cause_reason.value for a in self.answers if a.no_cause_reason), None)


def main(
    source: Path | Wanted, *, alert: Path | None, target: str | None, mutes: Path | None = None, as_json: bool
) -> int:
    """Read, find, print; returns the exit code."""
    # A short-lived process with a million small objects: collecting garbage would take a third of its time.
    gc.disable()
    try:
        alerts = read_alerts(alert) if alert else []
        named = _target(target) if target else None
        muted = read_mutes(mutes) if mutes else ()
        report = triage(_snapshot(source), alerts, named, muted)
    except (UnreadableRecording, UnreadableCluster, UnreadableAlert, UnreadableMutes, BadTarget) as error:
        return _unreadable(str(error), as_json=as_json)
    if as_json:
        _print_json(document(report))
    else:
        from cli.triage_text import write

        write(report, sys.stdout)
    return CAUSE_FOUND if report.causes else NO_CAUSE


def _snapshot(source: Path | Wanted) -> Snapshot:
    if isinstance(source, Path):
        return load_recording(source)
    # Late: the cluster's client takes a second to import, and a recording needs none.
    from cli import live

    try:
        return live.read(source)[0]
    except (live.BadOption, live.NotRead) as error:
        raise UnreadableCluster(str(error)) from error


def triage(snapshot: Snapshot, alerts: Sequence[Alert], named: Target | None, mutes: Mutes = ()) -> Report:
    """Ask about the named object, or about what the alerts name, or about the whole cluster."""
    graph = Graph(snapshot)
    questions = questions_of(graph, alerts, named)
    answers = [
        find_causes(snapshot, target=q.target, onset=q.onset, graph=graph, mutes=mutes) for q in questions
    ]
    return Report(snapshot, questions, answers)


def questions_of(graph: Graph, alerts: Sequence[Alert], named: Target | None) -> Sequence[Question]:
    """A target given by hand decides what is asked about; the alert then only says since when."""
    if named is not None:
        began = [alert.starts_at for alert in alerts if alert.starts_at]
        return [Question(named, min(began, default=None), alerts[0].name if alerts else "", "given")]
    asked: dict[Target | None, Question] = {}
    for alert in alerts:
        resolution = resolve_in(graph, alert.labels)
        question = Question(resolution.target, alert.starts_at, alert.name, resolution.reason)
        asked.setdefault(resolution.owner or resolution.target, question)
    return list(asked.values())[:MOST_TARGETS] or [Question(None)]


def document(report: Report) -> dict[str, Any]:
    """The JSON answer. Keys are only ever added."""
    first = report.questions[0]
    return {
        "ranked": [_cause(cause, report.evidence) for cause in report.causes],
        "no_cause": not report.causes,
        "no_cause_reason": None if report.causes else report.no_cause_reason,
        "not_looked_at": list(report.not_looked_at),
        "muted": list(report.muted),
        "target": str(first.target) if first.target else None,
        "questions": [
            {
                "alert": q.alert,
                "target": str(q.target) if q.target else None,
                "reason": q.reason,
                "onset": q.onset,
            }
            for q in report.questions
        ],
        "snapshot_at": report.snapshot.captured_at,
    }


def _cause(cause: Cause, evidence: Mapping[str, EvidenceItem]) -> dict[str, Any]:
    plain = cause.model_dump(mode="json", exclude={"target", "confidence", "evidence_ids"})
    return {
        "kind": cause.target.kind,
        "api_version": cause.target.api_version,
        "namespace": cause.target.namespace,
        "name": cause.target.name,
        **plain,
        "confidence": cause.confidence.value,
        "confidence_basis": cause.confidence.basis,
        "evidence": [evidence[i].model_dump(mode="json") for i in cause.evidence_ids if i in evidence],
    }


def _target(text: str) -> Target:
    try:
        return Target.parse(text)
    except ValidationError as error:
        field = error.errors(include_url=False)[0]["loc"][0]
        raise BadTarget(f"--target {text!r}: no {field} is written like that") from error
    except ValueError as error:
        raise BadTarget(f"--target {error}") from error


def _unreadable(reason: str, *, as_json: bool) -> int:
    print(f"kubernaut triage: {reason}", file=sys.stderr)
    if as_json:
        _print_json({"ranked": [], "no_cause": True, "not_looked_at": [reason], "error": reason})
    return UNREADABLE


def _print_json(content: object) -> None:
    sys.stdout.write(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode() + "\n")
