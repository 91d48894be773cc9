"""Words for the model: what it is told first, and what it is asked for last. Pure.

Telemetry is written as JSON between tags it cannot close, in one place, after everything that is ours. The
words themselves stand in `prompts/`, in the versions that `wordings.py` names.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any

from libs.contracts.evidence import EvidenceItem
from services.holmesgpt_api.engine.asking import BODY, data, fact
from services.holmesgpt_api.engine.messages import Alert, HeadStart, Opinion
from services.holmesgpt_api.engine.wordings import PROMPT_VERSION

_FILES = Path(__file__).parent / "prompts"

PER_TOKEN = 3
"""Characters of JSON per token, on the safe side (measured with tiktoken on our evidence: 3.1 to 3.6)."""

ALERT_TEXT = 1_000
"""Characters of one label or annotation; more is no alert text."""

CONTEXT = 4_000
"""Characters of what a caller tells besides the alert. More is a document of its own, and would take the evidence's place."""

SHARE = 0.4
"""Of the window that the first question may fill; the rest is for tools and answers."""


@functools.cache
def file(name: str, version: str) -> Path:
    """Where the words of this name stand for a version: its own file, or the one that it shares with the others."""
    own = _FILES / version / f"{name}.md"
    return own if own.exists() else _FILES / f"{name}.md"


@functools.cache
def _text(name: str, version: str) -> str:
    return file(name, version).read_text("utf-8").strip()


def _words(name: str, version: str, **gaps: object) -> str:
    """A file of ours with its gaps filled; what fills them is not looked at for gaps again."""
    text = _text(name, version)
    return Template(text).substitute(gaps) if gaps else text


def system(version: str = PROMPT_VERSION) -> str:
    return _words("system", version)


def formatting(version: str = PROMPT_VERSION) -> str:
    return _words("format", version)


def question(
    alert: Alert,
    head_start: HeadStart,
    *,
    window: int,
    steps: int,
    others: Sequence[str] = (),
    version: str = PROMPT_VERSION,
) -> str:
    """The first message: what is asked, and below it everything that is known so far.

    Args:
        window: tokens that the model reads at most, its answer not counted.
        steps: answers of the model until it must conclude.
        others: tools of foreign systems that it is given besides.
        version: of our words.
    """
    room = int(window * PER_TOKEN * SHARE)
    causes = [
        {
            "target": str(one.target),
            "reason": one.reason,
            "text": one.text,
            "confidence": one.confidence.value,
            "since": one.onset.isoformat() if one.onset else None,
            "evidence_ids": one.evidence_ids,
            "path": one.path,
        }
        for one in head_start.causes
    ]
    known: dict[str, Any] = {
        "alert": {
            "name": alert.name[:ALERT_TEXT],
            "priority": alert.priority,
            "namespace": alert.namespace,
            "starts_at": alert.starts_at,
            "labels": _short(alert.labels),
            "annotations": _short(alert.annotations),
        },
        "target": str(head_start.target) if head_start.target else None,
        "triage": {
            "summary": head_start.summary,
            "causes": causes,
            "not_looked_at": head_start.not_looked_at[:10],
        },
    }
    if alert.context:
        known["alert"]["context"] = _begun(alert.context)
    if head_start.history:
        known["earlier_investigations"] = head_start.history
    known["evidence"] = _fitting(head_start.evidence, room - len(data(known)))
    left_out = len(head_start.evidence) - len(known["evidence"])
    asked = _words("question", version, steps=steps)
    asked += f"\n\n{_words('others', version, names=', '.join(others))}" if others else ""
    more = f" {_words('more', version, number=left_out)}" if left_out else ""
    return f"{asked}{more}\n\n<telemetry>\n{data(known)}\n</telemetry>"


def last(answer: str, seen: Sequence[EvidenceItem], head_start: HeadStart, *, window: int) -> str:
    """The final question: the same conclusion again, as a document."""
    room = int(window * PER_TOKEN * SHARE)
    triage = head_start.causes[0] if head_start.causes else None
    known = {
        "investigation": answer[: room // 2],
        "triage": None if triage is None else {"target": str(triage.target), "reason": triage.reason},
        "evidence": [f"{one.id}: {one.summary[:160]}" for one in seen][: max(room // 800, 10)],
    }
    return f"The document's JSON Schema:\n{_schema()}\n\n<telemetry>\n{data(known)}\n</telemetry>"


def repair(fault: str, version: str = PROMPT_VERSION) -> str:
    """Said once, when the document was none."""
    return _words("repair", version, fault=fault)


def schema() -> dict[str, Any]:
    return Opinion.model_json_schema()


@functools.cache
def _schema() -> str:
    return json.dumps(schema(), separators=(",", ":"))


def _fitting(items: Iterable[EvidenceItem], room: int) -> list[dict[str, Any]]:
    kept = []
    for item in items:
        one = fact(item, BODY)
        room -= len(data(one)) + 1
        if room < 0:
            break
        kept.append(one)
    return kept


def _begun(context: dict[str, Any]) -> dict[str, Any]:
    text = data(context)
    return context if len(text) <= CONTEXT else {"begins": text[:CONTEXT]}


def _short(texts: dict[str, str]) -> dict[str, str]:
    return {name[:200]: text[:ALERT_TEXT] for name, text in list(texts.items())[:60]}
