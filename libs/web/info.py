"""What a service tells `create_app` about itself, its errors and its dependencies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from libs.contracts.health import ComponentHealth


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """How a service introduces itself."""

    name: str
    """As in metrics and health answers, e.g. `context-api`."""
    title: str
    description: str
    version: str
    older_names: Mapping[str, str] = field(default_factory=dict)
    """What older callers read in `services` of health answers, to the check that tells it now."""


@dataclass(frozen=True, slots=True)
class ProblemSpec:
    """How a domain error is told over HTTP. The error's own text becomes `detail`."""

    status: int
    code: str
    title: str = ""
    retry_after: Callable[[Exception], timedelta | None] | None = None
    headers: Callable[[Exception], Mapping[str, str]] | None = None
    detail: Callable[[Exception], str] | None = None
    """Where the error's text is not for the caller."""


Problems = Mapping[type[Exception], ProblemSpec]


@dataclass(frozen=True, slots=True)
class Check:
    """One dependency's health, asked in the background."""

    probe: Callable[[], Awaitable[ComponentHealth | None]]
    """None means healthy; an exception means unhealthy, its type and text become the detail."""
    critical: bool = False
    """Without it this service is not ready."""


Checks = Mapping[str, Check]
