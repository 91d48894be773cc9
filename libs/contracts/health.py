"""Health answers: both key styles that older callers read (`checks` and `services`)."""

from __future__ import annotations

from pydantic import Field

from libs.contracts.base import Contract, UtcTime


class ComponentHealth(Contract):
    status: str = Field(description="`healthy`, `unhealthy`, `degraded`, `unknown` or `not_configured`")
    detail: str = ""
    age_s: float | None = Field(default=None, description="seconds since this was last checked")


class Health(Contract):
    """Answered at once from the last background check; always with 200."""

    status: str = Field(description="`healthy` or `degraded`")
    service: str
    version: str
    timestamp: UtcTime
    timestamp_unix: float
    checks: dict[str, ComponentHealth]
    services: dict[str, str] = Field(description="the same by name alone, and under names older callers know")


class Readiness(Contract):
    """200 when ready, 503 when not."""

    ready: bool
    status: str
    timestamp: UtcTime
    services: dict[str, str]
