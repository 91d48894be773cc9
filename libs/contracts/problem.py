"""Problem details (RFC 9457): the one shape of every error answer."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class FieldError(BaseModel):
    """What is wrong with one input, and what to do about it."""

    field: str = Field(description="where it stands, e.g. `body.alerts.0.labels` or `query.limit`")
    reason: str = Field(description="what is wrong, and what would be right")


class Problem(BaseModel):
    """An error answer, sent as `application/problem+json`. Services may add older keys beside these."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int = Field(ge=400, le=599)
    code: str = Field(description="stable, kebab-case; what a program should branch on")
    detail: str = Field(default="", description="what happened, and the remedy")
    instance: str | None = Field(default=None, description="the request's path")
    request_id: str | None = None
    errors: list[FieldError] = Field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True, exclude_defaults=False)
