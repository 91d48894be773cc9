"""Verdict: what an engine concludes, and the check that its claims stand on evidence.

The same shape for every engine. How triage reaches one is `triage.py`; how it is told is `answer.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from pydantic import Field

from libs.contracts.base import Contract
from libs.contracts.investigations import Claim, InvestigationResults, Recommendation

SUPPORTED, HYPOTHESIS = "supported", "hypothesis"


class ToolUse(Contract):
    """One question the model asked."""

    tool: str
    arguments: dict[str, str]
    ok: bool
    detail: str = ""
    seconds: float = 0.0


class ModelUse(Contract):
    """Which model was asked under which words, how it went about it, and what that took."""

    model: str
    sdk: str
    prompt: str
    steps: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    repaired: bool = False
    resumed: int = 0
    """How often the run went on after its process had been killed."""
    tools: list[ToolUse] = Field(default_factory=list)

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class Verdict(Contract):
    """An engine's conclusion. A verdict without a cause is a verdict too: it says that none was found."""

    engine: str
    degraded_reason: str | None = None
    """A stable word; `degraded_detail` says it for people."""
    degraded_detail: str | None = None
    summary: str
    root_cause: str | None = None
    confidence_basis: list[str] = Field(default_factory=list)
    recommendations: list[Recommendation] = Field(default_factory=list)
    results: InvestigationResults
    context_used: dict[str, Any] = Field(default_factory=dict)
    triage_agrees: bool | None = None
    """Of a model's verdict: whether triage names the same object."""
    disagreement: str | None = None
    model: ModelUse | None = None
    """The model that was asked, whether its answer stands or not."""


def check_claims(claims: Sequence[Claim], evidence_ids: Collection[str]) -> list[Claim]:
    """Mark each claim by the evidence it cites: `supported` only when it cites some and all of it exists.

    Ids that do not exist are taken out, so that nobody looks for them.
    """
    known = frozenset(evidence_ids)
    checked = []
    for claim in claims:
        cited = [one for one in claim.evidence_ids if one in known]
        stands = bool(cited) and len(cited) == len(claim.evidence_ids)
        checked.append(Claim(text=claim.text, status=SUPPORTED if stands else HYPOTHESIS, evidence_ids=cited))
    return checked
