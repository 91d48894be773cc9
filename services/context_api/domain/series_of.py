"""Which object a recorded series tells of, by its labels.

Series of pods are found by their pods (`MetricIndex.of_pod`); here are the others: of a Service, a workload, a claim, a
node, a consumer group, and those of a whole namespace. What a value means is the analyzers' business. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import entries, text
from services.context_api.domain.latency import pod_of
from services.context_api.domain.metrics import NODE_LABELS, Series
from services.context_api.domain.resolve import resolve_in
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject

MOST_READ = 2_000
"""Series whose labels are read: resolving takes some ten microseconds each."""


def node_of(graph: Graph, series: Series) -> KubeObject | None:
    """The node by its name or its address, with or without the port of what was scraped."""
    for label in NODE_LABELS:
        value = series.labels.get(label, "").rpartition(":")[0] or series.labels.get(label, "")
        found = graph.get("Node", None, value) if value else None
        if found is not None:
            return found
        for node in graph.of_kind("Node") if value else ():
            if value in (text(a.get("address")) for a in entries(node.status.get("addresses"))):
                return node
    return None


def object_of(graph: Graph, series: Series) -> KubeObject | None:
    """The recorded object its labels name: the narrowest, so of a namespace only when they name nothing in it."""
    found = resolve_in(graph, series.labels, graph.snapshot.cluster)
    if found.target is not None and found.exists:
        return graph.find(found.target.kind, found.target.namespace, found.target.name)
    return None if _place(series) else node_of(graph, series)


def beside_pods(scene: Scene, namespaces: Set[str]) -> Mapping[int, list[Series]]:
    """Series by the identity of the object they tell of, without those of one pod; of these namespaces and of none."""
    index: dict[int, list[Series]] = {}
    read = 0
    for series in scene.metrics.all:
        if _place(series) not in namespaces | {""} or pod_of(scene.graph, series) is not None:
            continue
        read += 1
        if read > MOST_READ:
            break
        obj = object_of(scene.graph, series)
        if obj is not None:
            index.setdefault(id(obj), []).append(series)
    return index


def _place(series: Series) -> str:
    return series.labels.get("exported_namespace") or series.labels.get("namespace", "")
