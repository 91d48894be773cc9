"""The Context API's answers as the Kubernaut application and its toolsets decode them. Names and units are theirs."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from libs.contracts.base import Contract, UtcTime


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
