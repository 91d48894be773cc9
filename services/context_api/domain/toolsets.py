"""The toolsets older clients look for: one row for the tools models call, one for each kind of context.

Nothing is discovered here: what this service can tell is known from its registry and its tools. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from libs.contracts.older_context import ToolsetRow, ToolsetStatistics
from services.context_api.domain.registry import TYPES
from services.context_api.domain.tools import TOOLS

MODELS = "kubernaut-context"
"""The toolset of the tools that models call (MCP, and the document at `/api/v1/toolset.yaml`)."""


def toolsets(version: str, now: datetime, *, serves: bool) -> list[ToolsetRow]:
    """Most important first.

    Args:
        serves: whether there is evidence to answer from; without it nothing is enabled.
    """
    first = ToolsetRow(
        name=MODELS,
        service_type="context-api",
        description="tools for models: causes, evidence, logs, objects, graph and bundles of one incident",
        version=version,
        capabilities=sorted(TOOLS),
        enabled=serves,
        priority=max(row.priority for row in TYPES),
        last_updated=now,
    )
    rest = [
        ToolsetRow(
            name=row.source,
            service_type=row.source,
            description=row.description,
            version=version,
            capabilities=[row.endpoint],
            enabled=serves,
            priority=row.priority,
            last_updated=now,
        )
        for row in TYPES
    ]
    return [first, *rest]


def statistics(rows: Sequence[ToolsetRow]) -> ToolsetStatistics:
    return ToolsetStatistics(
        total_toolsets=len(rows),
        enabled_count=sum(row.enabled for row in rows),
        type_counts=dict(Counter(row.service_type for row in rows)),
    )
