"""What comes of asking a model: what it said and what that cost, or why it said nothing.

The reasons are stable words: they stand in `degraded_reason`, in metrics and in runbooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from libs.contracts.evidence import EvidenceItem
from services.holmesgpt_api.domain.budget import BUDGETS
from services.holmesgpt_api.domain.clusters import UNKNOWN_CLUSTER
from services.holmesgpt_api.domain.errors import HolmesError
from services.holmesgpt_api.domain.verdict import ModelUse
from services.holmesgpt_api.engine.messages import Opinion

NAME = "holmesgpt"

CONCLUDED = "concluded"
"""How a run at the model ended that gave its verdict."""

STILL_RUNNING = "model-still-running"
UNSUPPORTED = "model-unsupported"
TIMEOUT = "model-timeout"
TOO_LARGE = "model-context-exceeded"
NOT_ASKED = "model-not-asked"
REDACTION_FAILED = "redaction-failed"
ENGINE_UNAVAILABLE = "engine-unavailable"
ENGINE_FAILED = "engine-failed"

WHY_NOT = (
    "model-unauthorized",
    "model-rate-limited",
    "model-error",
    "model-refused",
    "model-unreachable",
    TIMEOUT,
    "model-garbage",
    TOO_LARGE,
    "model-max-steps",
    "model-misconfigured",
    "model-without-tools",
    UNSUPPORTED,
    NOT_ASKED,
    REDACTION_FAILED,
    ENGINE_FAILED,
    ENGINE_UNAVAILABLE,
    UNKNOWN_CLUSTER,
    *BUDGETS,
)
"""Every reason for which triage's verdict stands although a model is configured."""


@dataclass(frozen=True, slots=True)
class Told:
    """A model's conclusion, the facts it has seen, and what it took."""

    opinion: Opinion
    evidence: Sequence[EvidenceItem]
    """As the model was shown them: verified, and without secrets."""
    use: ModelUse


class ModelFailed(HolmesError):
    """No conclusion that can be used; triage's verdict stands. `use`: what was spent all the same."""

    def __init__(self, word: str, detail: str, use: ModelUse | None = None) -> None:
        super().__init__(f"{word}: {detail}")
        self.word, self.detail, self.use = word, detail, use
