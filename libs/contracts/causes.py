"""Findings and causes: what is wrong with an object, and whose fault it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum

from pydantic import Field

from libs.contracts.base import Contract, UtcTime
from libs.contracts.evidence import EvidenceItem
from libs.contracts.target import Target


class FindingSeverity(StrEnum):
    critical = "critical"
    warning = "warning"
    info = "info"


class Confidence(Contract):
    """How sure, and on what ground."""

    value: float = Field(ge=0, le=1)
    basis: list[str] = Field(description="the facts it rests on, one short sentence each")


class Remediation(Contract):
    """What a person can do; never done by us."""

    text: str
    command: str | None = None
    risk: str = ""
    undo: str | None = None


class Finding(Contract):
    """Something wrong with one object, seen by one analyzer."""

    target: Target
    reason: str = Field(
        description="stable CamelCase code, e.g. `CrashLoopBackOff`, `ConfigChangedBeforeOnset`"
    )
    text: str
    severity: FindingSeverity
    onset: UtcTime | None = None
    analyzer: str
    parent: str | None = Field(
        default=None, description="the finding that accounts for this one, as `Kind/ns/name: Reason`"
    )
    evidence_ids: list[str] = Field(default_factory=list)
    remediation: Remediation | None = None


class Cause(Contract):
    """A finding that explains others, with what speaks for it."""

    target: Target
    reason: str
    text: str
    severity: FindingSeverity
    onset: UtcTime | None = None
    confidence: Confidence
    against: list[str] = Field(
        default_factory=list, description="what speaks against it, one short sentence each"
    )
    evidence_ids: list[str]
    path: list[str] = Field(
        default_factory=list, description="this → that → the alerting object, as `Kind/ns/name`"
    )
    explains: list[str] = Field(
        default_factory=list, description="findings it accounts for, as `Kind/ns/name: Reason`"
    )
    remediation: Remediation | None = None


MayRead = Callable[[str | None], bool]
"""Whether a namespace may be read; None is cluster scope."""

_NAMED = re.compile(r"\b[A-Z][A-Za-z0-9.]*/([^/\s:;,]+)/[^/\s:;,]+")


def narrowed(cause: Cause, may_read: MayRead) -> Cause:
    """A readable cause without the words that name objects of namespaces its reader may not read.

    What connects causes (`path`, `explains`, the basis of the confidence) names other objects, as
    `Kind/namespace/name`; one sentence that names an unreadable one is left out whole.
    """
    basis = [line for line in cause.confidence.basis if _readable(line, may_read)]
    return cause.model_copy(
        update={
            "against": [line for line in cause.against if _readable(line, may_read)],
            "path": [step for step in cause.path if _readable(step, may_read)],
            "explains": [one for one in cause.explains if _readable(one, may_read)],
            "confidence": cause.confidence.model_copy(update={"basis": basis}),
        }
    )


def _readable(text: str, may_read: MayRead) -> bool:
    named = _NAMED.findall(text)
    return all(may_read(None if namespace == "_cluster" else namespace) for namespace in named)


class NoCause(StrEnum):
    """Why no cause is named; four different pieces of news."""

    nothing_wrong = "nothing-wrong"
    recovered = "already-recovered"
    insufficient = "insufficient-evidence"
    muted = "all-muted"


class CausesAnswer(Contract):
    """The Context API's answer: ranked causes about the *causal* object, with their evidence."""

    target: Target | None = None
    ranked: list[Cause]
    no_cause: bool
    no_cause_reason: NoCause | None = None
    findings: list[Finding] = Field(default_factory=list)
    evidence: list[EvidenceItem] = Field(default_factory=list)
    not_looked_at: list[str] = Field(default_factory=list, description="what could not be read, and why")
    muted: list[str] = Field(
        default_factory=list, description="findings that an operator muted, until when and why"
    )
    snapshot_at: UtcTime | None = None


class FindingsAnswer(Contract):
    target: Target | None = None
    findings: list[Finding]
    evidence: list[EvidenceItem] = Field(default_factory=list)
    not_looked_at: list[str] = Field(default_factory=list)
    muted: list[str] = Field(default_factory=list)
    snapshot_at: UtcTime | None = None
