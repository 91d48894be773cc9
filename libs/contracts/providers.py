"""What the HolmesGPT API tells of itself: models, toolsets, configuration, status and the models' health.

The first keys of each are those that callers of 2025 read; the others came after them.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from libs.contracts.base import Contract, UtcTime
from libs.contracts.health import ComponentHealth


class ModelInfo(Contract):
    name: str
    provider: str
    description: str
    available: bool
    model: str = Field(description="as its provider calls it")
    state: str = Field(
        description="`ready`, `left-alone` after failures, or `unknown` before its first answer"
    )
    reason: str | None = Field(default=None, description="why its last request failed, as a stable word")
    rank: int = Field(description="asked in this order; equal ones share the runs by weight")
    weight: int
    tools: bool | None = Field(description="whether it calls tools; null: not known yet")
    context_tokens: int
    max_tokens: int
    input_price: float | None = Field(description="US dollars per million tokens; null: the SDK's list")
    output_price: float | None
    requests: int = Field(description="of its last hundred or fewer, per worker")
    availability: float | None = Field(description="share of those that were answered")
    response_time: float | None = Field(description="seconds an answer took, on average")


class PromptInfo(Contract):
    """A version of the words that a model is asked under; a replay can name it."""

    version: str
    description: str
    default: bool = Field(description="every investigation that is no replay is asked under it")


class ModelsAnswer(Contract):
    models: list[ModelInfo]
    prompts: list[PromptInfo] = Field(
        default_factory=list, description="what a replay's `prompt_version` can name"
    )


class ToolInfo(Contract):
    """A tool of a foreign system."""

    name: str
    access: str = Field(description="`read`, or `write`: done only after a person has agreed")
    status: str = Field(description="`ok`, `withdrawn`, or `unknown`: no worker has looked yet")
    reason: str | None = None


class ToolsetInfo(Contract):
    name: str
    description: str
    version: str
    capabilities: list[str]
    enabled: bool
    default: bool = Field(description="given to requests that name none")
    type: str = Field(default="built-in", description="`built-in`, `http` or `mcp`")
    origin: str | None = Field(default=None, description="of a foreign system: where it is")
    status: str = Field(default="ok", description="`ok`, `withdrawn` or `unknown`")
    reason: str | None = Field(default=None, description="why it is withdrawn")
    for_some_tenants: bool = Field(default=False, description="others do not see it")
    tools: list[ToolInfo] = Field(default_factory=list, description="of a foreign system's")


class ToolsetsAnswer(Contract):
    toolsets: list[ToolsetInfo]


class ProcessInfo(Contract):
    id: str
    role: str
    version: int
    digest: str
    fault: str = Field(description="why it has not taken up the newest version; empty: it has")


class ConfigAnswer(Contract):
    """No secret and no address with one in it."""

    llm_provider: str | None
    llm_model: str | None
    available_toolsets: list[str]
    max_concurrent_investigations: int
    default_toolsets: list[str]
    models: list[ModelInfo]
    prompts: list[PromptInfo] = Field(
        default_factory=list, description="what a replay's `prompt_version` can name"
    )
    budgets: dict[str, Any]
    clusters: list[str] = Field(
        default_factory=list, description="those that are configured by name; empty: one for all"
    )
    version: int = Field(description="0: as it was at start; each reload counts on")
    digest: str
    source: str = Field(description="`environment` or `file`")
    not_honoured: dict[str, str] = Field(
        description="what stands in the file (by its path) or the environment without effect, and why"
    )
    processes: list[ProcessInfo]


class ReloadAnswer(Contract):
    version: int
    digest: str
    changed: list[str] = Field(description="sections that differ from before")
    needs_restart: list[str] = Field(description="settings among them that count from the next start on")
    not_honoured: dict[str, str]


class ServiceStatus(Contract):
    service: str
    version: str
    status: str
    capabilities: list[str]
    timestamp: UtcTime
    active: int = Field(description="investigations that have not ended")
    engine: str = Field(description="`holmesgpt`, or `triage` where no model is configured")
    running: int = Field(description="investigations at a model")
    held: int = Field(description="investigations waiting for a place there")
    places: int
    models_available: int
    config_version: int
    monitoring: bool
    clusters: dict[str, str] = Field(
        default_factory=dict,
        description="of each cluster that is configured by name, how it is; empty where there is one for all",
    )


class LlmHealth(Contract):
    """Read from what workers have reported; no model is asked for it."""

    status: str = Field(description="`healthy`, `degraded`, `unhealthy`, `not_configured` or `unknown`")
    detail: str
    timestamp: UtcTime
    age_s: float | None = Field(description="since the workers' words were last read")
    response_time: float | None = Field(description="seconds an answer took, on average")
    accuracy: float | None = Field(description="share of the models' conclusions that stood the check")
    availability: float | None = Field(description="share of requests that were answered")
    monitoring: bool
    models: list[ModelInfo] = Field(default_factory=list)


class DependenciesHealth(Contract):
    status: str
    timestamp: UtcTime
    response_time: float | None
    accuracy: float | None
    availability: float | None = Field(description="share of looks at which all of them were fine")
    monitoring: bool
    dependencies: dict[str, ComponentHealth]


class Monitoring(Contract):
    """Whether models are probed between runs."""

    monitoring: bool
    message: str
    timestamp: UtcTime
    response_time: float | None = Field(description="as /health/llm tells it; so are the next two")
    accuracy: float | None
    availability: float | None
