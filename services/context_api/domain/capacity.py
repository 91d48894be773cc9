"""What nodes have left: allocatable less the requests of the pods placed on them.

Pure arithmetic over the snapshot. What is really used (metrics) is another question.
"""

from __future__ import annotations

from functools import cached_property

from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import at, entries, mapping, quantity, text


def requests_of(spec: object) -> dict[str, float]:
    """What a pod asks for: its containers together, or the largest init container where that is more."""
    total: dict[str, float] = {}
    for container in entries(mapping(spec).get("containers")):
        for name, amount in mapping(at(container, "resources", "requests")).items():
            total[name] = total.get(name, 0.0) + (quantity(amount) or 0.0)
    for container in entries(mapping(spec).get("initContainers")):
        for name, amount in mapping(at(container, "resources", "requests")).items():
            total[name] = max(total.get(name, 0.0), quantity(amount) or 0.0)
    return total


class Capacity:
    """Requests per node, summed once."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    @cached_property
    def _used(self) -> dict[str, dict[str, float]]:
        used: dict[str, dict[str, float]] = {}
        for pod in self._graph.pods:
            node = text(pod.spec.get("nodeName"))
            if node and pod.status.get("phase") not in ("Succeeded", "Failed"):
                sums = used.setdefault(node, {})
                for name, amount in requests_of(pod.spec).items():
                    sums[name] = sums.get(name, 0.0) + amount
        return used

    def left(self, name: str) -> dict[str, float]:
        """What is left of a resource on each open node that says how much it has."""
        left: dict[str, float] = {}
        for node in self._graph.of_kind("Node"):
            whole = quantity(at(node.status, "allocatable", name))
            if whole is not None and node.spec.get("unschedulable") is not True:
                left[node.name] = whole - self._used.get(node.name, {}).get(name, 0.0)
        return left

    def roomiest(self, name: str) -> tuple[str, float, float] | None:
        """(node, left, allocatable) of the open node with most of a resource left; None when none was recorded."""
        rooms: list[tuple[float, float, str]] = []
        for node in self._graph.of_kind("Node"):
            whole = quantity(at(node.status, "allocatable", name))
            if whole is not None and node.spec.get("unschedulable") is not True:
                rooms.append((whole - self._used.get(node.name, {}).get(name, 0.0), whole, node.name))
        if not rooms:
            return None
        free, whole, best = max(rooms)
        return best, free, whole
