"""Words for the model in a chat: what it is told of the incident, and what was said before. Pure.

Telemetry is written as JSON between tags it cannot close, after everything that is ours, as for an investigation.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from libs.contracts.evidence import EvidenceItem
from services.holmesgpt_api.engine.asking import BODY, data, fact
from services.holmesgpt_api.engine.messages import HeadStart, TalkRequest
from services.holmesgpt_api.engine.prompt import PER_TOKEN

_WORDS = Path(__file__).parent / "prompts"

SHARE = 0.3
"""Of the window that the question with its findings may fill; earlier questions, tools and answers need the rest."""

HISTORY_SHARE = 0.15
"""Of the window that earlier questions may fill."""


@functools.cache
def system() -> str:
    return (_WORDS / "chat.md").read_text("utf-8").strip()


def history_room(*, context_tokens: int, output_tokens: int) -> int:
    """Characters that earlier questions may take, with their answers."""
    return int(max(context_tokens - output_tokens, 1) * PER_TOKEN * HISTORY_SHARE)


def question(request: TalkRequest, *, window: int) -> str:
    """The question, and below it what is known of the incident."""
    asked = request.question
    where = f"\n\n(Namespace, unless said otherwise: {request.namespace})" if request.namespace else ""
    steps = f"\n\nYou have {request.max_steps} answers, the last one without tools."
    if request.head_start is None:
        return f"{asked}{where}{steps}"
    known = _known(request.head_start, room=int(window * PER_TOKEN * SHARE) - len(asked))
    return f"{asked}{where}{steps}\n\n<telemetry>\n{data(known)}\n</telemetry>"


def earlier(request: TalkRequest) -> list[dict[str, Any]]:
    """What was said before, as the conversation it was."""
    messages: list[dict[str, Any]] = []
    if request.folded or request.left_out:
        gone = f"\n{request.left_out} still earlier questions are not told." if request.left_out else ""
        told = "Earlier in this conversation, in short:\n" + "\n".join(request.folded) + gone
        messages += [
            {"role": "user", "content": told},
            {"role": "assistant", "content": "Understood."},
        ]
    for one in request.earlier:
        messages += [
            {"role": "user", "content": one.question},
            {"role": "assistant", "content": one.answer},
        ]
    return messages


def _known(head_start: HeadStart, *, room: int) -> dict[str, Any]:
    said: dict[str, Any] = {
        "target": str(head_start.target) if head_start.target else None,
        "triage": {
            "summary": head_start.summary,
            "causes": [
                {
                    "target": str(one.target),
                    "reason": one.reason,
                    "text": one.text,
                    "confidence": one.confidence.value,
                    "since": one.onset.isoformat() if one.onset else None,
                    "evidence_ids": one.evidence_ids,
                }
                for one in head_start.causes[:10]
            ],
            "not_looked_at": head_start.not_looked_at[:10],
        },
    }
    return {**said, "evidence": _fitting(head_start.evidence, room - len(data(said)))}


def _fitting(items: Iterable[EvidenceItem], room: int) -> list[dict[str, Any]]:
    kept = []
    for item in items:
        one = fact(item, BODY)
        room -= len(data(one)) + 1
        if room < 0:
            break
        kept.append(one)
    return kept
