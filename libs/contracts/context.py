"""The Context API's own requests and answers (the causes are in `causes.py`)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from libs.contracts.base import Contract, UtcTime
from libs.contracts.target import Target


class ResolveRequest(Contract):
    """Which object do these alert labels speak of?"""

    labels: dict[str, str] = Field(max_length=256)
    cluster: str | None = Field(default=None, max_length=65_536, description="the alert's own word for it")


class Resolution(Contract):
    """The object the labels name, and the owner an incident is about."""

    target: Target | None = Field(description="the object named by the labels; null when they name none")
    owner: Target | None = Field(
        description="the top owner (a pod's Deployment); the target itself when it has none"
    )
    exists: bool = Field(description="whether the evidence holds the target")
    reason: str = Field(description="stable word: which label decided, e.g. `label:pod`, `no-target-label`")
    detail: str = ""
    # What the environment and the tier are decided by. Empty when the evidence does not hold the object.
    namespace_labels: dict[str, str] = Field(default_factory=dict)
    namespace_annotations: dict[str, str] = Field(default_factory=dict)
    owner_labels: dict[str, str] = Field(default_factory=dict)
    owner_annotations: dict[str, str] = Field(default_factory=dict)
    snapshot_at: UtcTime | None = Field(default=None, description="when the evidence was taken")
    not_looked_at: list[str] = Field(
        default_factory=list, description="what could not be read; told when the target was not found"
    )


class KubernetesContext(Contract):
    """Objects of one resource in one namespace, as older callers decode it."""

    namespace: str
    resource: str
    labels: dict[str, str] | None = None
    context: dict[str, Any]
    timestamp: UtcTime


class ContextHealth(Contract):
    status: str
    service: str = "context-api"
    timestamp: UtcTime
    version: str
    cache_hit_rate: float
    context_types: int
    kubernetes_connectivity: str = Field(description="`healthy`, `unhealthy` or `unavailable`")


class TopologyNode(Contract):
    id: str = Field(description="`Kind/namespace/name`")
    target: Target
    distance: int = Field(description="steps from the object asked about")
    findings: list[str] = Field(default_factory=list, description="reasons of what is wrong with it")


class TopologyEdge(Contract):
    """`source` needs `target`: a fault of the target can reach the source along it."""

    source: str
    target: str
    relation: str = Field(
        description="`owner`, `selects`, `config`, `volume`, `heard`, …; `blames`: a finding says so"
    )
    how: str
    strength: float = Field(ge=0, le=1, description="how well a fault travels along it")


class Topology(Contract):
    """What an object needs and what it is made of, as a graph."""

    target: Target
    nodes: list[TopologyNode]
    edges: list[TopologyEdge]
    cut: str | None = Field(default=None, description="what was left out, and how to see it")
    not_looked_at: list[str] = Field(default_factory=list)
    snapshot_at: UtcTime
