"""Verdict: what an engine concludes.

The same shape for every engine. How triage reaches one is `triage.py`; whether a model's claims stand, `claims.py`;
how it is told, `answer.py`.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from libs.contracts.base import Contract
from libs.contracts.investigations import InvestigationResults, Recommendation

EVIDENCE_AT_MOST = 200
"""Pieces of evidence in one answer. A ranked cause cites a handful; more than this is nobody's reading."""


class ToolUse(Contract):
    """One question the model asked."""

    tool: str
    arguments: dict[str, str]
    ok: bool
    detail: str = ""
    seconds: float = 0.0
    toolset: str | None = None
    """Of a tool of a foreign system: its toolset and that one's version, `name@1.2.0`."""


class ModelRefusal(Contract):
    """One request that a model did not answer."""

    model: str
    word: str
    detail: str = ""


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
    dropped: int = 0
    """Facts that came with another hash than theirs, and count for nothing."""
    resumed: int = 0
    """How often the run went on after its process had been killed."""
    tools: list[ToolUse] = Field(default_factory=list)
    answered_by: list[str] = Field(default_factory=list)
    """Of each answer, in their order, the name of the model that gave it."""
    refusals: list[ModelRefusal] = Field(default_factory=list)

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
    cached_from: str | None = None
    """The investigation whose model's verdict this is: the same question met the same evidence again."""
    model: ModelUse | None = None
    """The model that was asked, whether its answer stands or not."""
