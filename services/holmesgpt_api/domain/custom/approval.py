"""Approvals: what a person is asked before something is changed, and what has become of it. Pure.

pending ──► approved ──► executing ──► done | failed
   ├──────► denied            └──────► unknown (it may have happened: look)
   └──────► expired     approved ──► lapsed (its run ended before it was done)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.holmesgpt_api.domain.errors import HolmesError


class State(StrEnum):
    pending = "pending"
    approved = "approved"
    denied = "denied"
    expired = "expired"
    lapsed = "lapsed"
    executing = "executing"
    done = "done"
    failed = "failed"
    unknown = "unknown"


DECIDED_YES = frozenset(
    {State.approved, State.lapsed, State.executing, State.done, State.failed, State.unknown}
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One change that a model wants made: exactly this, and no other, is what is agreed to."""

    toolset: str
    version: str
    digest: str
    """Of the toolset's document and, of an MCP tool, of what its server says of it: what it does stands there."""
    tool: str
    arguments: Mapping[str, Any]
    why: str

    @property
    def key(self) -> str:
        """Equal for the same change; what was agreed to under another document is another one."""
        told = json.dumps([self.toolset, self.digest, self.tool, self.arguments], sort_keys=True)
        return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


def idempotency_key(investigation: str, wanted: Wanted) -> str:
    """The same for the same change of the same investigation, whoever sends it and how often."""
    return hashlib.sha256(f"{investigation}\n{wanted.key}".encode()).hexdigest()[:40]


@dataclass(frozen=True, slots=True)
class Approval:
    """As it is kept."""

    id: str
    toolset: str
    version: str
    tool: str
    arguments: Mapping[str, Any]
    why: str
    state: State
    asked_at: datetime
    expires_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    comment: str | None = None
    outcome: str | None = None
    """What the foreign system answered, in short; of `done` and `failed`."""


def approval(kept: Mapping[str, Any]) -> Approval:
    """From what is kept; times may be texts, as JSON has them."""
    times = {
        name: datetime.fromisoformat(kept[name]) if isinstance(kept[name], str) else kept[name]
        for name in ("asked_at", "expires_at", "decided_at")
    }
    return Approval(**{**kept, **times, "state": State(kept["state"])})


class UnknownApproval(HolmesError):
    """This investigation asks, and has asked, for no such approval."""


class DecidedAlready(HolmesError):
    """Somebody has decided otherwise."""

    def __init__(self, one: Approval) -> None:
        word = "approved" if one.state in DECIDED_YES else "denied"
        super().__init__(f"{one.id} was {word} by {one.decided_by}; it is {one.state.value}")


class TooLate(HolmesError):
    """Nobody decided in time, or the run has ended: nothing will be done."""

    def __init__(self, one: Approval) -> None:
        super().__init__(
            f"{one.id} is {one.state.value}: nothing was done and nothing will be; investigate again"
        )


def standing(one: Approval, *, approved: bool) -> None:
    """Whether a decision agrees with what was decided before; for one that is not pending any more.

    Raises:
        DecidedAlready, TooLate
    """
    if one.state is State.expired:
        raise TooLate(one)
    if approved != (one.state in DECIDED_YES):
        raise DecidedAlready(one)


def said(one: Approval) -> str:
    """What the model is told of a change whose end is known. It is never told to try again."""
    match one.state:
        case State.denied:
            because = f": {one.comment}" if one.comment else ""
            return (
                f"not approved: a person has denied this{because}. Do not ask for it again; conclude without"
            )
        case State.expired | State.lapsed:
            return "not approved in time: nothing was done. Do not ask for it again; conclude without"
        case State.unknown | State.executing:
            return (
                "it is not known whether this was done: it may have happened. It is not tried again; say so in your "
                "conclusion, and that a person must look"
            )
        case State.failed:
            return f"this was approved and tried once, and failed: {one.outcome or 'without a reason'}"
        case State.done:
            return f"this was approved and done, once: {one.outcome or 'without an answer'}"
    return "nothing is known of it"
