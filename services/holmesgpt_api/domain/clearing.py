"""Take secrets out of what a model is told and out of what comes back; keep only facts that are what they say.

Pure but for the redactor, which remembers what it has taken out. One redactor per run: equal secrets have equal
placeholders in the question, in every tool's answer, in the evidence that is kept and in the conclusion.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

from pydantic import BaseModel

from libs.contracts.evidence import EvidenceItem, content_hash
from libs.contracts.target import Target
from libs.redaction import Redactor

M = TypeVar("M", bound=BaseModel)


def cleared(message: M, redactor: Redactor) -> M:
    """The same message without secrets; objects' names, ids and hashes are none.

    Raises:
        Unredactable
    """
    found = {name: _cleared(getattr(message, name), name, redactor) for name in type(message).model_fields}
    if isinstance(message, EvidenceItem) and found["body"] != message.body:
        found["content_hash"] = content_hash(redactor.of(message.body))
    return message.model_copy(update=found)


def to_be_kept(words: str) -> str:
    """What a person has written, as it is recorded: told again for days to whoever may read it, and in every copy of the
    database. What somebody pastes in with a log's line is nobody's later on.

    Raises:
        Unredactable
    """
    return Redactor(os.urandom(16)).text(words)


def _cleared(value: object, name: str, redactor: Redactor) -> object:
    if isinstance(value, Target) or name in _KEPT:
        return value
    if isinstance(value, BaseModel):
        return cleared(value, redactor)
    if isinstance(value, list | tuple):
        return [_cleared(one, name, redactor) for one in value]
    if isinstance(value, dict):
        return redactor.of(value)
    return redactor.text(value) if type(value) is str else value


_KEPT = frozenset({"id", "content_hash", "evidence_ids", "target"})
"""Fields whose texts others are found by; each has a form in which nothing else fits."""


def genuine(items: Iterable[EvidenceItem]) -> tuple[list[EvidenceItem], int]:
    """The facts whose hash is that of their body, and how many are not.

    They come from a process in which a model's client runs: what it says of the evidence is not taken on trust.
    """
    kept, dropped = [], 0
    for item in items:
        if item.content_hash == content_hash(item.body):
            kept.append(item)
        else:
            dropped += 1
    return kept, dropped
