"""What a workload's pods use by name, as it was recorded, and whose pods use a thing.

Decides which object a name in a pod spec means (one of the pod's own namespace), and which keys of a ConfigMap reach a
container: one, or all.

Rests on: https://kubernetes.io/docs/concepts/configuration/configmap/#using-configmaps.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import flat, pod_spec
from services.context_api.domain.references import Reference, references
from services.context_api.domain.snapshot import KubeObject

CLAIM = "PersistentVolumeClaim"


def used_by(graph: Graph, user: KubeObject, *kinds: str) -> Iterator[tuple[Reference, KubeObject]]:
    """Recorded objects of these kinds that a pod or workload names, once for each place that names one."""
    for use in references(pod_spec(user)):
        found = graph.get(use.kind, user.namespace, use.name) if use.kind in kinds else None
        if found is not None:
            yield use, found


def values_of(graph: Graph, user: KubeObject) -> Iterator[tuple[Reference, KubeObject, str, str]]:
    """Every (use, ConfigMap, key, value) that reaches a container."""
    for use, config in used_by(graph, user, "ConfigMap"):
        for key, value in flat(config.body.get("data")).items():
            if use.key in (None, key):
                yield use, config, key, value


def uses(user: KubeObject, kind: str, name: str) -> bool:
    """Whether a pod or workload names that object of its namespace, recorded or not."""
    return any(use.kind == kind and use.name == name for use in references(pod_spec(user)))


def users_of_claim(graph: Graph, namespace: str | None, name: str) -> list[KubeObject]:
    """Uppermost owners of the pods that mount a claim."""
    tops = (graph.top(pod) for pod in graph.pods_in(namespace) if uses(pod, CLAIM, name))
    return list({id(top): top for top in tops}.values())
