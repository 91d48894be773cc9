"""Words all analyzers share: names of objects, "2 of 3 pods", times and sizes a person reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from services.context_api.domain.containers import Container
from services.context_api.domain.kube import listing
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject


def name_of(obj: KubeObject) -> str:
    """`Deployment shop/api`, `Node worker-1`."""
    return f"{obj.kind} {obj.namespace}/{obj.name}" if obj.namespace else f"{obj.kind} {obj.name}"


def by_top(scene: Scene, containers: Iterable[Container]) -> list[tuple[KubeObject, list[Container]]]:
    """Containers grouped by the uppermost owner of their pods, in a stable order."""
    groups: dict[int, tuple[KubeObject, list[Container]]] = {}
    for container in containers:
        top = scene.graph.top(container.pod)
        groups.setdefault(id(top), (top, []))[1].append(container)
    return list(groups.values())


def pods_by_top(scene: Scene, pods: Iterable[KubeObject]) -> list[tuple[KubeObject, list[KubeObject]]]:
    """Pods grouped by their uppermost owner, in a stable order."""
    groups: dict[int, tuple[KubeObject, list[KubeObject]]] = {}
    for pod in pods:
        top = scene.graph.top(pod)
        groups.setdefault(id(top), (top, []))[1].append(pod)
    return list(groups.values())


def how_many(scene: Scene, top: KubeObject, pods: Sequence[KubeObject]) -> str:
    """`2 of 3 pods of Deployment shop/api`; a bare pod by its name alone."""
    if top.kind == "Pod":
        return name_of(top)
    count = len({p.name for p in pods})
    return f"{count} of {max(len(scene.graph.pods_of(top)), count)} pods of {name_of(top)} ({listing([p.name for p in pods], 2)})"


def clock(moment: datetime | None) -> str:
    """`2026-11-21 10:02:11 UTC`."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "an unknown time"


def size(count: float | None) -> str:
    """Bytes as Kubernetes writes them: `128Mi`."""
    if count is None:
        return "unknown"
    for unit, factor in (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if count >= factor:
            return f"{count / factor:.4g}{unit}"
    return f"{count:.0f}"


def span(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h`, `2 d`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172800 else f"{seconds / 86400:.0f} d"
