"""Approvals on the wire: what a person is asked before a model may have something changed, and what they say."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from libs.contracts.base import Contract, UtcTime


class ToolApproval(Contract):
    """One change that a model wants made in a foreign system."""

    id: str
    toolset: str
    version: str
    tool: str
    arguments: dict[str, Any] = Field(description="exactly what is agreed to; no secrets are taken")
    why: str = Field(description="what will be sent, and where")
    state: str = Field(
        description="`pending`; `approved`, `denied` or `expired`; then `executing`, `done`, `failed`, `lapsed` (its run "
        "ended first) or `unknown`: it may have happened, look"
    )
    asked_at: UtcTime
    expires_at: UtcTime
    decided_by: str | None = None
    decided_at: UtcTime | None = None
    comment: str | None = None
    outcome: str | None = Field(default=None, description="what the foreign system answered, in short")


class ApprovalDecision(Contract):
    approval_id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$")
    approved: bool
    comment: str | None = Field(
        default=None, max_length=1_000, pattern="^[^\\x00]*$", description="the model reads it when you deny"
    )
