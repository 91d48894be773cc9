"""The Context API's answers as the Kubernaut application and its toolsets decode them. Names and units are theirs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, Field, StringConstraints

from libs.contracts.base import Contract, Foreign, UtcTime


class MetricsContext(Contract):
    namespace: str
    resource: str
    time_range: str
    metrics: dict[str, Any]
    collection_time: UtcTime


class ActionHistoryContext(Contract):
    alert_type: str
    context_hash: str = Field(description="SHA-256 of the alert's type and namespace, hex")
    namespace: str
    history_data: dict[str, Any]
    retrieved_time: UtcTime


class PatternContext(Contract):
    signature: str
    namespace: str
    alert_type: str
    pattern_context: dict[str, Any]
    retrieved_time: UtcTime


class ContextTypeRow(Contract):
    name: str
    description: str
    endpoint: str
    freshness_window: int = Field(description="nanoseconds, as Go's time.Duration")
    relevance_score: float = Field(ge=0, le=1)
    retrieval_cost_ms: int
    dependencies: list[str]
    priority: int
    cache_hit_rate: float


class Discovery(Contract):
    available_types: list[ContextTypeRow]
    total_types: int
    timestamp: UtcTime
    complexity_tier: str | None = None
    tier_reason: str | None = None
    context_adequate: bool | None = None
    adequacy_score: float | None = None
    missing: list[str] | None = None


class AlertContext(Contract):
    context: dict[str, Any]
    context_size: int = Field(description="tokens of `context`, counted as 3 bytes each")
    complexity_tier: str
    optimization_applied: bool
    metadata: dict[str, Any]
    timestamp: UtcTime


class InvestigationContext(Contract):
    context: dict[str, Any]
    context_adequate: bool
    adequacy_score: float
    enrichment_applied: bool
    metadata: dict[str, Any]
    timestamp: UtcTime


class ToolsetRow(Contract):
    name: str
    service_type: str
    description: str
    version: str
    capabilities: list[str]
    enabled: bool
    priority: int
    last_updated: UtcTime


class Toolsets(Contract):
    toolsets: list[ToolsetRow]
    count: int
    timestamp: UtcTime


class ToolsetStatistics(Contract):
    total_toolsets: int
    enabled_count: int
    type_counts: dict[str, int]


class ToolsetStats(Contract):
    stats: ToolsetStatistics
    timestamp: UtcTime


class ToolsetRefresh(Contract):
    status: str = Field(description="`refreshed`: toolsets are worked out whenever they are asked for")
    count: int
    timestamp: UtcTime


class ServiceDiscovery(Contract):
    health: dict[str, str]
    statistics: ToolsetStatistics
    timestamp: UtcTime


class PatternQuestion(Foreign):
    """What the earlier Python client sends; its names for the alert differ from release to release."""

    alert_name: str = Field(
        default="",
        max_length=256,
        validation_alias=AliasChoices("alert_name", "alertName", "alert_type", "alertType", "alert"),
    )
    namespace: (
        Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)] | None
    ) = None
    signature: str = Field(default="", max_length=256)
