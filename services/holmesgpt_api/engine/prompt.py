"""Words for the model: what it is told first, and what it is asked for last. Pure.

Telemetry is written as JSON between tags it cannot close, in one place, after everything that is ours. The
words themselves stand in `prompts/`; `messages.PROMPT_VERSION` names them.
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

_FILES = Path(__file__).parent / "prompts"

PER_TOKEN = 3
"""Characters of JSON per token, on the safe side (measured with tiktoken on our evidence: 3.1 to 3.6)."""

ALERT_TEXT = 1_000
"""Characters of one label or annotation; more is no alert text."""

SHARE = 0.4
"""Of the window that the first question may fill; the rest is for tools and answers."""


@functools.cache
def _file(name: str) -> str:
    return (_FILES / f"{name}.md").read_text("utf-8").strip()


def _words(name: str, **gaps: object) -> str:
    """A file of ours with its gaps filled; what fills them is not looked at for gaps again."""
    text = _file(name)
    return Template(text).substitute(gaps) if gaps else text


def system() -> str:
    return _words("system")


def formatting() -> str:
    return _words("format")


def question(
    alert: Alert, head_start: HeadStart, *, window: int, steps: int, others: Sequence[str] = ()
) -> str:
    """The first message: what is asked, and below it everything that is known so far.

    Args:
        window: tokens that the model reads at most, its answer not counted.
        steps: answers of the model until it must conclude.
        others: tools of foreign systems that it is given besides.
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
    known["evidence"] = _fitting(head_start.evidence, room - len(data(known)))
    left_out = len(head_start.evidence) - len(known["evidence"])
    asked = _words("question", steps=steps)
    asked += f"\n\n{_words('others', names=', '.join(others))}" if others else ""
    more = f" {_words('more', number=left_out)}" if left_out else ""
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


def repair(fault: str) -> str:
    """Said once, when the document was none."""
    return _words("repair", fault=fault)


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


def _short(texts: dict[str, str]) -> dict[str, str]:
    return {name[:200]: text[:ALERT_TEXT] for name, text in list(texts.items())[:60]}
