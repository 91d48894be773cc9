"""What callers say about the answers they got, and how much context is left out because of it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from libs.contracts.base import Contract, Foreign, UtcTime
from libs.contracts.bundle import InvestigationType

Quality = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=3_600, allow_inf_nan=False)]
Tokens = Annotated[int, Field(ge=0, le=100_000_000)]


class AnswerFeedback(Foreign):
    """How good a model's answer was. Older callers say the same in the query."""

    quality: Quality | None = Field(
        default=None, description="0 useless, 1 right and complete; required here or in the query"
    )
    response_time: Seconds | None = Field(default=None, description="seconds until the model had answered")
    tier: Annotated[str, StringConstraints(pattern="^(simple|moderate|complex|critical)$")] | None = Field(
        default=None,
        description="of the context that was asked with; left out: by `severity`, else `moderate`",
    )
    severity: str | None = Field(
        default=None, max_length=64, description="the alert's, where the tier is not known"
    )
    investigation_type: InvestigationType | None = Field(
        default=None, description="left out: root_cause_analysis"
    )
    token_usage: Tokens | None = None
    context_size: Tokens | None = Field(default=None, description="tokens of context the model was given")


class LlmPerformance(Contract):
    """What is known of the answers since the last change, and what follows from it."""

    status: str = Field(description="`recorded`")
    tier: str
    investigation_type: InvestigationType
    version: int = Field(description="of the tuning in force from now on")
    tracked_metrics: dict[str, Any]
    baseline_comparison: dict[str, Any]
    automatic_adjustment_triggered: bool
    new_context_reduction_target: float = Field(
        ge=0, le=1, description="share of the kinds of context left out"
    )
    reason: str = Field(description="stable word: why it moved or did not, e.g. `too-few-answers`")
    alert_generated: bool = Field(description="whether answers are bad now")
    alert_details: str


class TuningVersion(Contract):
    """One change, and why it was made."""

    version: int
    reduction: float
    previous: float
    reason: str
    detail: str
    quality: float | None = Field(description="of the answers that led to it; null where a person made it")
    answers: int
    made_by: str = Field(description="`automatic`, or who rolled back")
    made_at: UtcTime


class Tuned(Contract):
    """What one tier leaves out for one type of investigation."""

    tier: str
    investigation_type: InvestigationType
    reduction: float = Field(ge=0, le=1, description="share of the kinds of context that is left out now")
    most: float = Field(description="what the tier allows, and what version 0 leaves out")
    version: int
    reason: str = Field(description="why it is so; `default` for version 0")
    detail: str = ""
    changed_at: UtcTime | None = None
    held_until: UtcTime | None = Field(
        default=None, description="nothing moves before, because a person set it"
    )
    degraded: bool = Field(description="whether answers were bad when last told")


class Tuning(Contract):
    kept: bool = Field(description="whether there is a record; without one nothing moves")
    detail: str = ""
    subjects: list[Tuned]


class TuningHistory(Contract):
    present: Tuned
    versions: list[TuningVersion] = Field(description="newest first; version 0 is what the release brings")
    next_before: int | None = Field(
        default=None, description="`before` of the next page; null on the last one"
    )


class Rollback(Contract):
    """Put a subject back to what an earlier version left out."""

    version: int = Field(ge=0, le=1_000_000_000, description="0: what the release brings")
    comment: Annotated[
        str,
        # It is shown on terminals.
        StringConstraints(
            min_length=1, max_length=300, strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]*$"
        ),
    ] = Field(description="why; stands in the history")
    present: int | None = Field(
        default=None,
        ge=0,
        description="the version this was decided on; another one in force is refused with 409",
    )
