"""What analyzers are given: one snapshot's graph, with the slower readings filled in when asked."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

from services.context_api.domain.capacity import Capacity
from services.context_api.domain.dependencies import Dependencies
from services.context_api.domain.edges import Needs
from services.context_api.domain.graph import Graph
from services.context_api.domain.latency import slower
from services.context_api.domain.mentions import Mentions
from services.context_api.domain.metrics import MetricIndex
from services.context_api.domain.node_ends import NodeEnds
from services.context_api.domain.platforms import Platforms
from services.context_api.domain.rollouts import Rollouts
from services.context_api.domain.snapshot import KubeObject, Snapshot
from services.context_api.domain.work import Work


class Scene:
    """Everything an analyzer may look at. `onset` is when the alert began, when anybody said so."""

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        target: KubeObject | None = None,
        onset: datetime | None = None,
        graph: Graph | None = None,
    ) -> None:
        self.graph = graph or Graph(snapshot)
        self.snapshot = self.graph.snapshot
        self.now = snapshot.captured_at
        self.target = target
        self.onset = onset

    @cached_property
    def deps(self) -> Dependencies:
        return Dependencies(self.graph, self.onset)

    @cached_property
    def needs(self) -> Needs:
        return Needs(self.graph, self.deps, self.platforms)

    @cached_property
    def platforms(self) -> Platforms:
        return Platforms(self.graph)

    @cached_property
    def rollouts(self) -> Rollouts:
        return Rollouts(self.graph)

    @cached_property
    def capacity(self) -> Capacity:
        return Capacity(self.graph)

    @cached_property
    def mentions(self) -> Mentions:
        return Mentions(self.graph)

    @cached_property
    def slower(self) -> dict[int, bool]:
        """Of each workload whose answers are measured, by its identity, whether they take longer than before."""
        return slower(self.graph, self.metrics)

    @cached_property
    def work(self) -> Work:
        return Work(self.graph)

    @cached_property
    def node_ends(self) -> NodeEnds:
        return NodeEnds(self.graph)

    @cached_property
    def metrics(self) -> MetricIndex:
        return MetricIndex(self.snapshot)
