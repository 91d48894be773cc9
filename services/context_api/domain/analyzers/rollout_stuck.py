"""Workloads that lack available replicas, and rollouts that passed their deadline.

Sees replica counts, the Progressing and Available conditions, which revision the failing pods belong to and
which image it changed. Says *that* something is unavailable; why is mostly told by deeper analyzers.
A rollout within its progress deadline, a paused or scaled-down workload and pods that are only young are
healthy, and so are pods that wait for their turn, let others go first or are on their way within the time that was given
them (`meant`), where as many pods as wanted were made.
Cannot see replicas an autoscaler is about to change.

Rests on: kubernetes.io/docs, "Deployments" (failed deployment, progressDeadlineSeconds), "StatefulSets".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.containers import is_ready
from services.context_api.domain.kube import condition, number, replicas
from services.context_api.domain.meant import unready_as_meant
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.rollouts import Rollout, of_revision
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, once
from services.context_api.domain.wording import clock, name_of

NAME = "rollout_stuck"
PATIENCE = timedelta(minutes=2)
"""Pods younger than this may still be starting."""

_COUNTS = ("replicas", "readyReplicas", "availableReplicas", "desiredNumberScheduled", "numberReady")


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per workload with fewer available replicas than it wants."""
    for workload in scene.graph.workloads:
        if workload.is_leaving or workload.kind in ("Pod", "Job", "CronJob"):
            continue
        if not _countable(workload):
            continue
        if workload.kind in ("Deployment", "DeploymentConfig", "Rollout"):
            yield from _deployment(scene, workload)
        else:
            yield from _set(scene, workload)


@once
def _countable(workload: KubeObject) -> bool:
    """Whether its numbers of replicas are numbers, where they are there: a text in their place is no zero."""
    counts = (workload.spec.get("replicas"), *(workload.status.get(field) for field in _COUNTS))
    return all(count is None or count.__class__ is int for count in counts)


def _deployment(scene: Scene, workload: KubeObject) -> Iterator[Observation]:
    wanted = replicas(workload)
    available = number(workload.status.get("availableReplicas"))
    progressing, state = condition(workload, "Progressing"), condition(workload, "Available")
    late = (
        progressing is not None
        and progressing.status == "False"
        and progressing.reason == "ProgressDeadlineExceeded"
    )
    if wanted == 0 or (not late and available >= wanted):
        return
    if not late and (not workload.status or _under_way(scene, workload)):
        return
    rollout = scene.rollouts.of(workload)
    since = (
        (progressing.since or progressing.updated)
        if late and progressing
        else (state.since if state else None)
    )
    words = f"{name_of(workload)} has {available} of {wanted} replicas available"
    if late:
        words += f"; its rollout passed the progress deadline ({number(workload.spec.get('progressDeadlineSeconds'), 600)} s)"
    words += _revision_words(scene, workload, rollout)
    shown = {
        c.type: {"status": c.status, "reason": c.reason, "message": c.message}
        for c in (progressing, state)
        if c
    }
    yield _observation(
        scene,
        workload,
        "ProgressDeadlineExceeded" if late else "ReplicasUnavailable",
        words,
        since,
        shown,
        available == 0,
        late,
    )


def _set(scene: Scene, workload: KubeObject) -> Iterator[Observation]:
    status = workload.status
    wanted = _wanted(workload)
    ready = number(status.get("numberReady" if workload.kind == "DaemonSet" else "readyReplicas"))
    if wanted <= ready or not status or _under_way(scene, workload):
        return
    words = f"{name_of(workload)} has {ready} of {wanted} pods ready"
    words += _revision_words(scene, workload, scene.rollouts.of(workload))
    shown = {
        k: status.get(k)
        for k in ("replicas", "readyReplicas", "desiredNumberScheduled", "numberReady", "updatedReplicas")
        if k in status
    }
    yield _observation(scene, workload, "ReplicasUnavailable", words, None, shown, ready == 0, False)


def _wanted(workload: KubeObject) -> int:
    if workload.kind == "DaemonSet":
        return number(workload.status.get("desiredNumberScheduled"))
    return replicas(workload)


def _under_way(scene: Scene, workload: KubeObject) -> bool:
    """Whether what lacks is meant so, or only young: a rollout within its deadline, or pods that just began."""
    pods = scene.graph.pods_of(workload)
    unready = [p for p in pods if not is_ready(p)]
    if unready and len(pods) >= _wanted(workload) and all(unready_as_meant(scene, p) for p in unready):
        return True
    if not unready:
        state = condition(workload, "Available")
        moments = [m for m in (workload.created_at, state.since if state else None) if m is not None]
        return not moments or scene.now - max(moments) < PATIENCE
    return all(p.created_at is not None and scene.now - p.created_at < PATIENCE for p in unready)


def _revision_words(scene: Scene, workload: KubeObject, rollout: Rollout | None) -> str:
    """Which revision the unready pods belong to, and what it changed."""
    if rollout is None or rollout.newest is workload:
        return ""
    unready = [p for p in scene.graph.pods_of(workload) if not is_ready(p)]
    new = [p for p in unready if of_revision(p, rollout.newest)]
    if not new:
        return ""
    old_ready = sum(is_ready(p) and not of_revision(p, rollout.newest) for p in scene.graph.pods_of(workload))
    words = f"; {len(new)} unready pods are of revision {rollout.revision or '(newest)'} ({rollout.newest.name}, {clock(rollout.at)})"
    if old_ready:
        words += f", {old_ready} pods of the revision before are ready"
    changes = rollout.told[:4]
    return words + (f"; what came with that revision: {'; '.join(changes)}" if changes else "")


def _observation(
    scene: Scene,
    workload: KubeObject,
    reason: str,
    words: str,
    since: datetime | None,
    shown: Mapping[str, object],
    down: bool,
    late: bool,
) -> Observation:
    top = scene.graph.top(workload)
    return Observation(
        about=top,
        reason=reason,
        text=words,
        severity=FindingSeverity.critical if down or late else FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.symptom,
        certainty=0.5 if late else 0.4,
        facts=(evidence.field(workload, "status", dict(shown), words.split(";")[0]),),
        basis=("the workload's own status",),
        onset=since,
        remediation=remedies.undo_rollout(workload)
        if late
        else remedies.look(workload, "Look at its pods and events."),
    )
