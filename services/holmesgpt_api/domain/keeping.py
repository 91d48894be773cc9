"""Keeping results: when a model need not be asked again, since the same question meets the same evidence. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from services.holmesgpt_api.domain.commission import question
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.verdict import Verdict


def readable(namespaces: Iterable[str]) -> list[str]:
    """The same for all who may read the same, in whatever order their credentials list it."""
    named = set(namespaces)
    return ["*"] if "*" in named else sorted(named)


def evidence_key(run: Claimed, interim: Verdict, *, asked_of: str, place: str = "") -> bytes:
    """Equal where a model's verdict may be given again: the question, who asks and what they may read, the target and its
    cluster, and what triage found, by content; when it was observed does not count.

    Args:
        asked_of: the model and the version of the prompt.
        place: of which cluster it was asked (`clusters.Route.place`): two that are built alike may have the same evidence.
            "" where no clusters are configured: what was kept before there were any is then found.
    """
    target = interim.results.target
    told = (
        run.tenant,
        readable(run.reads),
        question(run.request).hex(),
        None if target is None else target.model_dump(mode="json"),
        sorted({item.content_hash for item in interim.results.evidence}),
        asked_of,
        *([place] if place else []),
    )
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).digest()
