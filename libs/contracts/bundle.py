"""A bundle: the evidence about one incident, ranked, and packed into what its reader can take in."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from libs.contracts.base import Contract, PlausibleTime, UtcTime
from libs.contracts.causes import FindingSeverity
from libs.contracts.conflicts import Conflict
from libs.contracts.evidence import EvidenceKind
from libs.contracts.target import Cluster, Target

FEWEST_TOKENS, MOST_TOKENS = 1_000, 100_000
BYTES_PER_TOKEN = 3
"""A token is counted as three bytes, ⌈UTF-8 bytes / 3⌉ of the JSON as it is sent. Models' own
counts of such text are lower (logs and identifiers take 2.5 to 4 bytes a token), so a bundle never turns out too large."""


class InvestigationType(StrEnum):
    """What the reader is after; decides which kinds of evidence weigh more and which must not be missing."""

    basic = "basic_investigation"
    root_cause = "root_cause_analysis"
    performance = "performance_optimization"


class ContextSource(StrEnum):
    """Where evidence comes from, in the words of the context types that `discover` lists."""

    kubernetes = "kubernetes"
    metrics = "metrics"
    logs = "logs"
    action_history = "action-history"
    patterns = "patterns"


class BundleAlert(Contract):
    """An alert as Alertmanager sends it, as far as it says what it is about."""

    labels: dict[
        Annotated[str, StringConstraints(max_length=256)], Annotated[str, StringConstraints(max_length=4096)]
    ] = Field(min_length=1, max_length=256)
    starts_at: PlausibleTime | None = None


class IncidentRequest(Contract):
    """What is asked about: a target, or an alert whose labels name one."""

    target: Target | None = None
    alert: BundleAlert | None = None
    cluster: Cluster | None = Field(default=None, description="left out: the cluster this service speaks for")
    onset: PlausibleTime | None = Field(
        default=None, description="when it began; left out: the alert's `starts_at`"
    )

    @model_validator(mode="after")
    def _about_one_thing(self) -> Self:
        if (self.target is None) == (self.alert is None):
            raise ValueError("give either target or alert")
        return self


class BundleRequest(IncidentRequest):
    """What the bundle is to be about, and how large it may be."""

    investigation_type: InvestigationType = InvestigationType.root_cause
    max_tokens: int = Field(
        default=4_000,
        ge=FEWEST_TOKENS,
        le=MOST_TOKENS,
        description="size of the whole answer, one token counted as 3 bytes of its JSON",
    )
    sources: Annotated[list[ContextSource], Field(min_length=1, max_length=5)] | None = Field(
        default=None, description="only evidence from these; left out: from all"
    )


class LogCluster(Contract):
    """Log lines of one shape: the newest as an example."""

    text: str
    count: int = Field(ge=1)
    first: UtcTime | None = Field(
        default=None, description="time of the oldest such line, where lines have one"
    )
    last: UtcTime | None = None


class RankedEvidence(Contract):
    """One fact, how much it matters here, and why. Its whole body is at `GET /evidence/{id}`."""

    id: str
    kind: EvidenceKind
    source: ContextSource
    about: str = Field(description="`Kind/namespace/name`; empty for what is about no object")
    text: str
    relevance: float = Field(ge=0, le=1)
    why: str = Field(description="what the relevance rests on, in a few words")
    observed_at: UtcTime | None = None
    age_s: float | None = Field(default=None, description="seconds before the snapshot")
    also: int | None = Field(
        default=None,
        ge=1,
        description="so many other facts say the same of its siblings and are folded into it",
    )
    conflict: bool | None = Field(
        default=None, description="true: another source says otherwise; see `conflicts`"
    )
    detail: dict[str, Any] | None = Field(default=None, description="the fact itself, where it is short")
    lines: list[LogCluster] | None = None


class BundleCause(Contract):
    """A cause in short; `GET /causes/…` has its path, its remedy and what speaks against it."""

    about: str
    reason: str
    text: str
    severity: FindingSeverity
    confidence: float
    evidence_ids: list[str]


class LeftOut(Contract):
    """A fact there was no room for."""

    id: str
    relevance: float


class PastEpisode(Contract):
    """An earlier firing of the same alert, and how it ended."""

    id: str
    state: str = Field(description="`firing`, `resolved` or `expired`")
    starts_at: UtcTime
    ends_at: UtcTime | None = None
    target: str = Field(default="", description="`Kind/namespace/name` it was about")
    cause: str = Field(default="", description="`Reason of Kind/namespace/name` that was found then")


class SourcePart(Contract):
    """How one system that evidence comes from took part, and what it cost."""

    name: str = Field(description="`kubernetes`, `pod-logs`, `loki`, `prometheus`, `alerts`")
    outcome: str = Field(description="`read`, `partial`, `stale`, `failed`, `late`, `held-back`")
    age_s: float | None = Field(
        default=None, description="seconds since it last answered, by the snapshot's time"
    )
    took_ms: int | None = Field(default=None, description="how long it was waited for")
    deadline_ms: int | None = Field(default=None, description="how long it would have been waited for")
    calls: int | None = None
    bytes: int | None = Field(default=None, description="what it sent")
    breaker: str | None = Field(default=None, description="`open` or `half-open`; left out: closed")
    reason: str | None = Field(default=None, description="what is missing, and why")


class SourceReport(Contract):
    """How one source took part."""

    source: ContextSource
    status: str = Field(description="`read`, `partial`, `empty`, `not-wanted`, `not-available`")
    found: int = Field(description="facts found there")
    age_s: float | None = Field(default=None, description="age of its newest fact, by the snapshot's time")
    detail: str = ""
    parts: list[SourcePart] | None = Field(
        default=None, description="the systems behind it; left out for a recording"
    )


class Adequacy(Contract):
    """Whether the kinds of evidence that such an investigation needs are there."""

    score: float = Field(ge=0, le=1)
    adequate: bool
    wanted: float = Field(description="score from which on it is adequate")
    missing: list[ContextSource]


class Budget(Contract):
    max_tokens: int
    used_tokens: int
    counted: str = "ceil(UTF-8 bytes / 3) of this answer"


class Bundle(Contract):
    """Ranked evidence about one target within a budget."""

    target: Target
    resolved_by: str = Field(description="which label named the target, `given` where the caller did")
    investigation_type: InvestigationType
    causes: list[BundleCause]
    no_cause: str | None = Field(default=None, description="why none is named, where none is")
    items: list[RankedEvidence] = Field(description="most relevant first")
    history: list[PastEpisode] = Field(
        default_factory=list, description="earlier episodes of the same alert, newest first"
    )
    left_out: list[LeftOut] = Field(description="the most relevant of what there was no room for")
    left_out_total: int
    conflicts: list[Conflict] | None = Field(
        default=None, description="sources that contradict each other; left out where none do"
    )
    sources: list[SourceReport]
    adequacy: Adequacy
    budget: Budget
    not_looked_at: list[str]
    snapshot_at: UtcTime


class SimilarEpisode(PastEpisode):
    similarity: float = Field(ge=0, le=1, description="share of labels and object that both firings have")
    why: str = Field(description="what differs")


class Recalled(Contract):
    """What an alert was in the past and is now."""

    alertname: str
    fingerprint: str = Field(default="", description="empty where the caller gave labels")
    target: Target
    resolved_by: str
    similarity_threshold: float
    similar: list[SimilarEpisode] = Field(
        description="ended episodes of the same alert, the most alike first"
    )
    compared: int = Field(description="ended episodes that were compared")
    endings: list[dict[str, Any]] = Field(description="how the similar ones ended, and how long they lasted")
    bundle: Bundle | None = Field(description="the evidence of now; null where it did not come in time")
    missing: list[str] = Field(description="what is not in this answer, and why")
