"""Whether what a workload does for others, or what those on a node do, is measured, and is as well as ever.

Decides only that nothing of it is felt: a share of failed requests that is as low as before, and answers that take no
longer. A program may log errors for months that nobody notices. Says nothing of a workload whose failures nobody measures.

Rests on: https://sre.google/sre-book/monitoring-distributed-systems/ (symptoms versus causes).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from services.context_api.domain.failures import LEAST, fails, is_failed_share
from services.context_api.domain.latency import is_timed, slow, subject
from services.context_api.domain.metrics import Series, moment_of
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import COMPARED


def unharmed(scene: Scene, top: KubeObject, since: datetime) -> Series | None:
    """The share of failures that says so; None where none was recorded from before `since` on, or anything is worse."""
    shares: list[Series] = []
    others: list[Series] = []
    for series in _about(scene, top):
        (shares if is_failed_share(series) else others).append(series)
    if not shares or any(fails(s) or s.last >= LEAST for s in shares) or any(slow(s) for s in others):
        return None
    return next((s for s in shares if (began := moment_of(s.points[0][0])) and began <= since), None)


def harmed(scene: Scene, top: KubeObject) -> bool:
    """Whether what was recorded of how its requests end and how long they take is too bad now."""
    return any(fails(series) or slow(series) is not None for series in _about(scene, top))


def unfelt_on(scene: Scene, node: KubeObject) -> bool:
    """Whether answers of somebody with pods there are measured, and all of these take no longer than before.

    Whoever else is asked about must be measured as well: that others feel nothing says nothing of him.
    """
    if not all(id(top) in scene.slower for top in _asked_about(scene)):
        return False
    here = {id(scene.graph.top(pod)) for pod in scene.graph.pods_on(node.name)}
    felt = [scene.slower[top] for top in here if top in scene.slower]
    return bool(felt) and not any(felt)


def _asked_about(scene: Scene) -> list[KubeObject]:
    """Who answers for the alert's target; nobody where it is a node, or there is none."""
    target = scene.target
    if target is None or target.kind == "Node":
        return []
    return (scene.graph.behind(target) if target.kind == "Service" else []) or [scene.graph.top(target)]


def _about(scene: Scene, top: KubeObject) -> Iterator[Series]:
    """What tells how requests to it end and how long they take: its own, and those of Services that lead to it alone."""
    for series in scene.metrics.all:
        if len(series.points) < COMPARED or not (is_failed_share(series) or is_timed(series)):
            continue
        found = subject(scene.graph, series)
        if found is None:
            continue
        behind = scene.graph.behind(found) if found.kind == "Service" else [found]
        if any(one is top for one in behind):
            yield series
