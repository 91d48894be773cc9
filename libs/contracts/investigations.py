"""Investigations on the wire: the superset that every known caller can read (contracts of 2025 and ours)."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

from pydantic import Field, field_validator, model_validator

from libs.contracts.alerts import Priority
from libs.contracts.approvals import ToolApproval
from libs.contracts.base import Contract, Foreign, PlausibleTime, UtcTime
from libs.contracts.causes import Cause
from libs.contracts.evidence import EvidenceItem
from libs.contracts.target import Target


class InvestigationRequest(Foreign):
    """What a caller asks. Only `alert_name` is needed; unknown fields of foreign callers are ignored.

    A field sent as null, or as an empty text, counts as left out: Go callers send their zero values.
    """

    alert_name: str = Field(min_length=1, max_length=1024)
    namespace: str | None = Field(default=None, max_length=253)
    labels: dict[str, str] = Field(default_factory=dict, max_length=256)
    annotations: dict[str, str] = Field(default_factory=dict, max_length=256)
    priority: str = Field(default="medium", pattern="^(low|medium|high|critical|P[0-3])$")
    target: Target | None = None
    starts_at: PlausibleTime | None = Field(default=None, description="onset of the alert, when known")
    toolsets: list[str] = Field(default_factory=list, max_length=64)
    include_context: bool = Field(default=True, description="tell in `context_used` what the result rests on")
    include_metrics: bool = Field(
        default=False,
        description="name the evidence from metrics in `context_used.metrics` as well; it is looked at either way",
    )
    include_history: bool = Field(
        default=False,
        description="show the model what earlier investigations of this alert found, and tell it in "
        "`context_used.history`; `patterns` is told either way",
    )
    async_processing: bool = False
    context: dict[str, Any] = Field(
        default_factory=dict,
        description="what else you know of the alert: read by the model, as data, as far as 4,000 characters go",
    )
    request_id: str | None = Field(default=None, max_length=256)

    @model_validator(mode="before")
    @classmethod
    def _zero_values_count_as_left_out(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {key: value for key, value in body.items() if value is not None and value != ""}

    @model_validator(mode="after")
    def _every_text_can_be_stored(self) -> InvestigationRequest:
        # PostgreSQL stores no NUL and UTF-8 no half of a surrogate pair; nobody means one.
        if unstorable(self.model_dump()):
            raise ValueError("a text contains a NUL character or an unpaired surrogate; leave it out")
        return self

    @field_validator("priority", mode="before")
    @classmethod
    def _any_case(cls, word: Any) -> Any:
        if not isinstance(word, str):
            return word
        return word.upper() if word[:1] in "pP" else word.lower()


_UNSTORABLE = re.compile("[\\0\ud800-\udfff]")


def unstorable(value: object) -> bool:
    """Whether a text in it is one that PostgreSQL stores in no form."""
    if isinstance(value, str):
        return _UNSTORABLE.search(value) is not None
    if isinstance(value, dict):
        return any(unstorable(key) or unstorable(item) for key, item in value.items())
    return isinstance(value, list) and any(unstorable(item) for item in value)


class InvestigationStatus(StrEnum):
    started = "started"
    running = "running"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"


class Recommendation(Contract):
    title: str
    description: str
    action_type: str
    command: str | None = None
    priority: str
    confidence: float = Field(ge=0, le=1)
    confidence_basis: list[str] = Field(
        default_factory=list,
        description="what `confidence` rests on, one short sentence each: the cause that this would mend, and what "
        "speaks for that one",
    )
    risk: str = ""


class Claim(Contract):
    text: str
    status: str = Field(description="`supported` by the cited evidence, or a `hypothesis`")
    evidence_ids: list[str]
    reason: str | None = Field(
        default=None,
        description="of a hypothesis: `cites-nothing`, `cites-unknown`, `not-in-evidence` or `object-not-looked-at`, "
        'with the words it is about (`not-in-evidence: "1.5Gi"`)',
    )


class InvestigationResults(Contract):
    cause: Cause | None
    target: Target | None
    contributing: list[Cause] = Field(default_factory=list)
    claims: list[Claim] = Field(default_factory=list)
    evidence: list[EvidenceItem] = Field(default_factory=list)
    not_looked_at: list[str] = Field(default_factory=list)
    no_cause_reason: str | None = None


class InvestigationAccepted(Contract):
    """The 202 answer: the investigation is committed and will end."""

    investigation_id: str
    status: InvestigationStatus = InvestigationStatus.started
    message: str


class Investigation(Contract):
    """One investigation, running or ended."""

    investigation_id: str
    status: InvestigationStatus
    progress: int = Field(ge=0, le=100)
    alert_name: str
    namespace: str | None
    priority: Priority
    engine: str | None = Field(
        default=None, description="`triage` or `holmesgpt`; null until one has answered"
    )
    degraded_reason: str | None = Field(
        default=None,
        description="why no model's answer stands, as a stable word: `no-model-configured`, `model-still-running`, "
        "`model-timeout`, `model-unauthorized`, …; `triage-not-done`: there is no result at all yet, and `status` is "
        "`started` or `running`; `metadata.degraded_detail` says more",
    )
    summary: str = ""
    root_cause: str | None = None
    confidence_basis: list[str] = Field(default_factory=list)
    recommendations: list[Recommendation] = Field(default_factory=list)
    results: InvestigationResults | None = None
    context_used: dict[str, Any] = Field(default_factory=dict)
    error: str | None = None
    error_code: str | None = Field(
        default=None, description="stable word for why it failed, e.g. `context-unavailable`"
    )
    timestamp: UtcTime
    duration_seconds: float = 0.0
    metadata: dict[str, Any] = Field(default_factory=dict)
    pending_approvals: list[ToolApproval] = Field(
        default_factory=list,
        description="changes that wait for a person: `POST …/approve`; `metadata.approvals` has all of them",
    )
    # Read by the Kubernaut Go application (`investigation.summary`, `strategies[].name`, `patterns`).
    investigation: dict[str, Any] = Field(default_factory=dict)
    strategies: list[dict[str, Any]] = Field(default_factory=list)
    patterns: list[dict[str, Any]] = Field(default_factory=list)
    context: dict[str, Any] = Field(default_factory=dict)


class InvestigationSummary(Contract):
    """One line of a list."""

    investigation_id: str
    status: InvestigationStatus
    progress: int
    alert_name: str
    namespace: str | None
    priority: Priority
    engine: str | None = None
    summary: str = ""
    timestamp: UtcTime
    duration_seconds: float = 0.0


class InvestigationPage(Contract):
    """A page of investigations, newest first."""

    items: list[InvestigationSummary]
    next_cursor: str | None = Field(default=None, description="pass as `?cursor=`; absent on the last page")
