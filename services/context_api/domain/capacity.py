"""What nodes have left: allocatable less the requests of the pods placed on them.

Pure arithmetic over the snapshot. What is really used (metrics) is another question. A storage driver's volumes are
a resource as well: how many a node may have attached its CSINode says, how many it has the claims of its pods.

Rests on: https://kubernetes.io/docs/concepts/storage/storage-limits/.
"""

from __future__ import annotations

from functools import cached_property

from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import at, entries, mapping, quantity, text
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.uses import CLAIM, used_by


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


VOLUMES = "volumes of "
"""Begins the name of a resource that is a driver's volumes, e.g. `volumes of ebs.csi.aws.com`."""


def volumes_of(graph: Graph, pod: KubeObject) -> dict[str, frozenset[str]]:
    """Resource name -> the volumes of that driver that a pod's claims stand for."""
    found: dict[str, set[str]] = {}
    for _, claim in used_by(graph, pod, CLAIM):
        volume = graph.get("PersistentVolume", None, text(claim.spec.get("volumeName")))
        kind = graph.get("StorageClass", None, text(claim.spec.get("storageClassName")))
        driver = text(at(volume.spec, "csi", "driver")) if volume is not None else ""
        if volume is None and kind is not None:
            driver = text(kind.body.get("provisioner"))
        if driver:
            found.setdefault(f"{VOLUMES}{driver}", set()).add(f"{claim.namespace}/{claim.name}")
    return {name: frozenset(claims) for name, claims in found.items()}


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
        if name.startswith(VOLUMES):
            return self._volumes_left(name)
        left: dict[str, float] = {}
        for node in self._graph.of_kind("Node"):
            whole = quantity(at(node.status, "allocatable", name))
            if whole is not None and node.spec.get("unschedulable") is not True:
                left[node.name] = whole - self._used.get(node.name, {}).get(name, 0.0)
        return left

    def _volumes_left(self, name: str) -> dict[str, float]:
        """On each node whose CSINode says how many it may have; a volume that two pods share is one."""
        attached: dict[str, set[str]] = {}
        for pod in self._graph.pods:
            place = text(pod.spec.get("nodeName"))
            if place and pod.status.get("phase") not in ("Succeeded", "Failed"):
                attached.setdefault(place, set()).update(volumes_of(self._graph, pod).get(name, ()))
        left: dict[str, float] = {}
        for node in self._graph.of_kind("Node"):
            limits = self._graph.get("CSINode", None, node.name)
            drivers = entries(limits.spec.get("drivers")) if limits is not None else []
            whole = next(
                (
                    quantity(at(d, "allocatable", "count"))
                    for d in drivers
                    if f"{VOLUMES}{text(d.get('name'))}" == name
                ),
                None,
            )
            if whole is not None and node.spec.get("unschedulable") is not True:
                left[node.name] = whole - len(attached.get(node.name, ()))
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
