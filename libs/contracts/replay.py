"""Replays on the wire: the same evidence, concluded from again; and in what the two verdicts differ."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.contracts.base import Contract
from libs.contracts.target import Target


class ReplayRequest(Contract):
    """How to conclude again. What is left out is as it is configured now."""

    engine: Literal["triage", "holmesgpt"] | None = Field(
        default=None, description="`holmesgpt` where a model is configured, else `triage`"
    )
    model: str | None = Field(default=None, max_length=200, description="only with `holmesgpt`")
    prompt_version: str | None = Field(
        default=None,
        max_length=40,
        description="of the words that the model is asked under, one of `prompts` in `/api/v1/models`; only with "
        "`holmesgpt`",
    )


class Changed(Contract):
    """One value that differs; null: there was none."""

    before: str | float | Target | None
    after: str | float | Target | None


class Exchanged(Contract):
    """What only one of two lists has, by its words."""

    added: list[str] = Field(default_factory=list)
    removed: list[str] = Field(default_factory=list)


class VerdictDifference(Contract):
    """From the original's verdict to the replay's. Null or empty: no difference there."""

    same: bool = Field(description="nothing below differs")
    engine: Changed | None = None
    cause: Changed | None = Field(
        default=None, description="the cause's code, e.g. `ConfigChangedBeforeOnset`"
    )
    target: Changed | None = Field(default=None, description="the object at fault")
    confidence: Changed | None = None
    recommendations: Exchanged = Field(default_factory=Exchanged, description="by title")
    claims: Exchanged = Field(
        default_factory=Exchanged,
        description="as `status: text`, so that one that lost its support is in both",
    )
