"""Objects that a controller's log complains about by name: the resource it cannot reconcile, the pod it cannot evict.

Decides which words of a line mean an object of the recording. Names are common words, so a name alone means nobody: a
namespaced object counts where the line says its namespace too, one of the whole cluster where it says its kind or the
name has a UID in it (`pvc-…`, `snapcontent-…`). A line can point at an object; it never makes one faulty.

Rests on: kubernetes.io/docs, "System Logs" (structured logging: kind and namespace/name beside the message);
controller-runtime writes the same as JSON fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import flat, selects
from services.context_api.domain.logs import Line, quote
from services.context_api.domain.observation import Blame
from services.context_api.domain.snapshot import KubeObject

STRENGTH = 0.8
MOST_WORDS = 120
_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_WORKLOADS = ("Pod", "Deployment", "StatefulSet", "DaemonSet", "Job")
_UNIQUE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A name with a UID in it is nobody else's."""

_BUDGET = re.compile(r"disruption budget", re.IGNORECASE)
"""As the API server words a refused eviction: "Cannot evict pod as it would violate the pod's disruption budget."."""


def blames_by_name(graph: Graph, top: KubeObject, lines: Iterable[Line]) -> tuple[Blame, ...]:
    """What the lines name, each object once, by its uppermost controller; never `top` itself."""
    found: dict[int, Blame] = {}
    for line in lines:
        for obj in named_in(graph, line.text):
            behind = [graph.top(obj), *(_budgets(graph, obj) if _BUDGET.search(line.text) else [])]
            for one in behind:
                if one is not top:
                    found.setdefault(
                        id(one),
                        Blame(one, STRENGTH, f"the log names {obj.kind} {obj.name}: `{quote(line.text)}`"),
                    )
    return tuple(found.values())


def named_in(graph: Graph, line: str) -> list[KubeObject]:
    """Objects that a line means; one may be there twice."""
    words = list(dict.fromkeys(_WORD.findall(line)))[:MOST_WORDS]
    known = set(words)
    namespaces = [word for word in words if graph.pods_in(word)]
    kinds = {word.lower().removesuffix("s") for word in words}
    found: list[KubeObject] = []
    for word in words:
        found += [
            obj
            for obj in graph.named(word)
            if (
                obj.namespace in known if obj.namespace else obj.kind.lower() in kinds or _UNIQUE.search(word)
            )
        ]
        found += [
            obj
            for namespace in namespaces
            for kind in _WORKLOADS
            if namespace != word and (obj := graph.get(kind, namespace, word)) is not None
        ]
    return found


def _budgets(graph: Graph, pod: KubeObject) -> list[KubeObject]:
    return [
        budget
        for budget in graph.of_kind("PodDisruptionBudget")
        if budget.namespace == pod.namespace and selects(budget.spec.get("selector"), flat(pod.labels))
    ]
