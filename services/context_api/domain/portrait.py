"""What the record tells of one object beside its faults: what was changed last, how it ended, its own words, its metrics.

Decides which few facts an engineer would want of an object that others complain about, however long ago they are, and
puts them in one sentence each. Judges nothing: whether a change did harm is the ranking's business.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.context_api.domain.changes import last_applied, last_edit, writer_of
from services.context_api.domain.containers import containers_of
from services.context_api.domain.edits import edited
from services.context_api.domain.kube import WORKLOADS, at, listing, number, text
from services.context_api.domain.logs import clusters, cut, quote, telling
from services.context_api.domain.metrics import Series, moment_of
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import stepped
from services.context_api.domain.wording import clock

PODS = 4
LINES = 2
SERIES = 2
RISEN = 1.5
"""Times as much as before from which a series is told to have moved."""


def portrait(scene: Scene, obj: KubeObject, *, changes: bool = True) -> list[str]:
    """A few clauses about it, those of its changes on demand; none where nothing is recorded."""
    changed = _changed(scene, obj) if changes else ()
    return [*changed, *_ended(scene, obj), *_measured(scene, obj), *_says(scene, obj)]


def _changed(scene: Scene, obj: KubeObject) -> Iterator[str]:
    for workload in scene.graph.workloads_of(obj) if obj.kind in WORKLOADS else ():
        rollout = scene.rollouts.of(workload)
        if rollout is not None and rollout.told:
            by = f" by {rollout.by}" if rollout.by else ""
            yield f"its newest rollout was at {clock(rollout.at)}{by}: {listing(rollout.told, 4)}"
            return
        if workload.kind != "CronJob" and workload.spec.get("replicas") == 0:
            yield "it is scaled to 0 replicas" + _since(workload)
    edit = last_edit(obj)
    if edit is not None:
        yield f"it was edited at {clock(edit.at)} by {edit.by}: {listing(edited(scene, obj, edit) or list(edit.paths), 5)}"
    if obj.kind == "Service" and text(obj.spec.get("externalName")):
        yield f"it stands for {text(obj.spec.get('externalName'))} outside the cluster"


def _since(workload: KubeObject) -> str:
    """Who set its replicas to what they are, and when, and from what if the last apply says it."""
    edit, before = (
        writer_of(workload, "spec.replicas"),
        number(at(last_applied(workload), "spec", "replicas")),
    )
    if edit is None:
        return f" (`{before}` as applied)" if before else ""
    return f" since {clock(edit.at)}, by {edit.by}" + (f" (from {before})" if before else "")


def _ended(scene: Scene, obj: KubeObject) -> Iterator[str]:
    ended = [c for pod in scene.graph.pods_of(obj) for c in containers_of(pod) if c.restarts and c.last_end]
    if ended:
        newest = max(ended, key=lambda c: text(c.last_end.get("finishedAt")))
        why = text(newest.last_end.get("reason")) or "an error"
        yield f"its containers ended {sum(c.restarts for c in ended)} times, last with {why}"


def _measured(scene: Scene, obj: KubeObject) -> Iterator[str]:
    found: list[tuple[float, Series, str]] = []
    for series in of_object(scene, obj):
        step = stepped(series.points, RISEN)
        if step is not None:
            since = clock(moment_of(step.since))
            words = f"{series.query}: {step.before:.4g} → {step.after:.4g} since {since}"
            found.append((step.after / step.before if step.before else 1e9, series, words))
    found.sort(key=lambda one: (-one[0], one[1].query))
    for _, _, words in found[:SERIES]:
        yield f"measured {cut(words, 240)}"


def of_object(scene: Scene, obj: KubeObject) -> list[Series]:
    """Recorded series whose labels name the object or one of its pods."""
    pods = scene.graph.pods_of(obj)[:PODS]
    found = [s for pod in pods for s in scene.metrics.of_pod(pod.namespace, pod.name)]
    label = obj.kind.lower()
    if obj.kind not in ("Pod", "Namespace"):
        found += [
            series
            for series in scene.metrics.of_pod(obj.namespace, "")
            if obj.name in {series.labels.get(key) for key in (label, "service", "workload")}
        ]
    return found


def _says(scene: Scene, obj: KubeObject) -> Iterator[str]:
    logs = [
        log.text
        for pod in scene.graph.pods_of(obj)[:PODS]
        for log in scene.snapshot.logs_of(pod.namespace, pod.name)
    ]
    lines = telling(clusters(logs), LINES)
    if lines:
        yield "its own log: " + ", ".join(f"`{quote(line.text)}`" for line in lines)
