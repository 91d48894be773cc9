"""Evidence: one observed fact, hashed, so that a claim can cite it and be checked."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from libs.contracts.base import Contract, UtcTime
from libs.contracts.target import Target


class EvidenceKind(StrEnum):
    object = "object"
    event = "event"
    log = "log"
    metric = "metric"
    change = "change"


class EvidenceItem(Contract):
    """One observed fact.

    `id` is derived from source, kind, target and content (not from the time of observation), so the
    same fact has the same id in every snapshot that shows it.
    """

    id: str
    source: str = Field(description="`recording`, `kubernetes`, `prometheus`, …")
    kind: EvidenceKind
    target: Target | None = None
    observed_at: UtcTime | None = Field(
        default=None, description="when the fact was true, by the source's clock"
    )
    freshness_s: float | None = Field(
        default=None, description="seconds between `observed_at` and the snapshot's time"
    )
    content_hash: str = Field(description="SHA-256 of the body in canonical JSON, hex")
    summary: str = Field(description="one line a person can read")
    body: dict[str, Any]
