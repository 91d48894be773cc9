"""When the containers on each node came to their last ends, by the workload they belong to.

Decides nothing: whether they ended together is asked in `endings.py`, of each restless container of a node, so their times
are read once for all of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.context_api.domain.containers import containers_of
from services.context_api.domain.graph import Graph
from services.context_api.domain.snapshot import KubeObject, parse_time

Ends = Sequence[tuple[KubeObject, Sequence[datetime]]]
"""Per workload with pods there, the last ends of their containers; none of those that never ended."""


class NodeEnds:
    """Looked up per node, and known then."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[str, Ends] = {}

    def on(self, node: str) -> Ends:
        if node not in self._known:
            found: dict[int, tuple[KubeObject, list[datetime]]] = {}
            for pod in self._graph.pods_on(node):
                top = self._graph.top(pod)
                times = (parse_time(c.last_end.get("finishedAt")) for c in containers_of(pod))
                found.setdefault(id(top), (top, []))[1].extend(t for t in times if t is not None)
            self._known[node] = list(found.values())
        return self._known[node]
