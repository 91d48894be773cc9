"""Turn the causes' remediations into recommendations: what a person can do, in which order."""

from __future__ import annotations

import re
from collections.abc import Sequence

from libs.contracts.alerts import PRIORITY_WORDS, Priority
from libs.contracts.causes import Cause
from libs.contracts.investigations import Recommendation
from libs.contracts.target import Target
from services.holmesgpt_api.domain.wording import first_sentence

AT_MOST = 5
"""More than five is no advice any more (BR-NOT-028 asks for one to five)."""

TITLE = 120
"""Characters, the target not counted: one line of a list."""

# First match decides; what only looks comes last, because a command may look first and then act.
_ACTIONS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("rollback", re.compile(r"\brollout undo\b")),
    ("restart", re.compile(r"\brollout restart\b|\bdelete pods?\b")),
    ("scale", re.compile(r"\b(?:kubectl|oc) (?:\S+ )*?(?:auto)?scale\b")),
    ("configure", re.compile(r"\b(?:kubectl|oc) (?:\S+ )*?(?:edit|patch|apply|set|create|annotate|label)\b")),
    ("schedule", re.compile(r"\b(?:kubectl|oc) (?:\S+ )*?(?:taint|cordon|uncordon|drain)\b")),
    ("inspect", re.compile(r"\b(?:kubectl|oc) (?:\S+ )*?(?:get|describe|logs|diff|top|explain)\b")),
)


def recommendations(causes: Sequence[Cause], priority: Priority) -> list[Recommendation]:
    """One per distinct remediation, in the causes' order; the first has the investigation's priority."""
    found: dict[tuple[str, str | None], Recommendation] = {}
    for rank, cause in enumerate(causes):
        remedy = cause.remediation
        if remedy is None or (remedy.text, remedy.command) in found:
            continue
        undo = f" To undo it: {remedy.undo}" if remedy.undo else ""
        found[remedy.text, remedy.command] = Recommendation(
            title=title(remedy.text, cause.target),
            description=f"{remedy.text} For {cause.target}: {cause.reason}.{undo}",
            action_type=action_type(remedy.command),
            command=remedy.command,
            priority=PRIORITY_WORDS[priority if rank == 0 else Priority.p3],
            confidence=cause.confidence.value,
            confidence_basis=basis(cause),
            risk=remedy.risk,
        )
    return list(found.values())[:AT_MOST]


def basis(cause: Cause) -> list[str]:
    """What the confidence of a recommendation rests on: it is that of the cause that it would mend."""
    return [f"as sure as its cause is: {cause.target} ({cause.reason})", *cause.confidence.basis]


def title(text: str, target: Target) -> str:
    """The first sentence, short enough for a list, and with the target where it does not name it."""
    first = first_sentence(text, TITLE).rstrip(".")
    return first if target.name in first else f"{first} ({target})"


def action_type(command: str | None) -> str:
    """What kind of act a command is; `manual` when there is none, or none we know."""
    if command is None:
        return "manual"
    return next((word for word, pattern in _ACTIONS if pattern.search(command)), "manual")
