"""Sources that contradict each other: what each says, which is fresher, and which is believed how far."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.contracts.base import Contract, UtcTime


class Saying(Contract):
    """What one source says."""

    source: str = Field(description="`object`, `event`, `metric` or `alert`")
    text: str
    observed_at: UtcTime | None = Field(default=None, description="the time it speaks of")
    evidence_id: str | None = Field(default=None, description="the fact itself, where it can be cited")


class Conflict(Contract):
    """Two sources that cannot both be right about one object now."""

    conflict: Literal[True] = True
    reason: str = Field(
        description="stable code: `replicas`, `readiness`, `restart-count`, `waiting`, `image-pull`, `node-condition`, `alert`"
    )
    about: str = Field(description="`Kind/namespace/name`")
    sides: list[Saying] = Field(description="what each says, the more believable first")
    fresher: str | None = Field(default=None, description="source of the fresher side; null: equally fresh")
    confidence: float = Field(ge=0, le=1, description="that the first side is right")
    why: str = Field(description="what the confidence rests on, in a few words")
