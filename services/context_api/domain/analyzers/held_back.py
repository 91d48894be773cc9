"""Updates that reach only some pods, or none, because the workload's own strategy holds them back.

Sees a StatefulSet's partition, the strategy OnDelete of StatefulSets and DaemonSets, and paused Deployments, where pods of
an older template run on beside (or instead of) the newest. Latent: a trial on some pods is a use of it; it counts when
the alert is about the workload. Surer when what holds back is older than the update by a day: then somebody left it.
Silent while a pod is not ready: a trial that fails is no reason to let it go on.
Cannot see whether it was meant.

Rests on: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#update-strategies (partition, OnDelete),
https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#pausing-and-resuming-a-deployment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import Edit, last_edit, spec_changes, writer_of
from services.context_api.domain.containers import is_ready
from services.context_api.domain.kube import at, listing, number, pod_template, replicas, text
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.rollouts import Rollout, of_revision
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "held_back"
LEFT = timedelta(days=1)
"""What was set this long before the update was not set for it. A guess: trials end within a working day."""


@dataclass(frozen=True, slots=True)
class _Hold:
    """The field that keeps pods at an older template."""

    path: str
    value: str
    says: str


def observe(scene: Scene) -> Iterator[Observation]:
    """At most one observation per workload."""
    for workload in scene.graph.of_kind("StatefulSet", "DaemonSet", "Deployment"):
        hold = _hold(workload)
        update = _update(scene, workload) if hold is not None else None
        if hold is None or update is None or not update.changes:
            continue
        pods = scene.graph.pods_of(workload)
        new = [p for p in pods if of_revision(p, update.newest)]
        old = [p for p in pods if p not in new]
        if old and all(is_ready(p) for p in pods):
            yield _observation(scene, workload, hold, update, new, old)


def _update(scene: Scene, workload: KubeObject) -> Rollout | None:
    """The newest rollout; of a paused Deployment its template, of which there is no ReplicaSet yet."""
    if workload.kind != "Deployment":
        return scene.rollouts.of(workload)
    revisions, edit = scene.rollouts.revisions(workload), last_edit(workload)
    if not revisions or edit is None:
        return None
    changes = tuple(spec_changes(pod_template(revisions[-1]), pod_template(workload)))
    return Rollout(workload, edit.at, "", edit.by, changes, workload)


def _hold(workload: KubeObject) -> _Hold | None:
    if workload.metadata.get("deletionTimestamp"):
        return None
    if workload.kind == "Deployment":
        behind = number(workload.status.get("updatedReplicas")) < replicas(workload)
        paused = workload.spec.get("paused") is True and behind
        return _Hold("spec.paused", "true", "no pod is updated while it is paused") if paused else None
    strategy = "spec.updateStrategy"
    if text(at(workload.spec, "updateStrategy", "type")) == "OnDelete":
        return _Hold(f"{strategy}.type", "OnDelete", "a pod is updated only when somebody deletes it")
    partition = number(at(workload.spec, "updateStrategy", "rollingUpdate", "partition"))
    if workload.kind != "StatefulSet" or partition < 1:
        return None
    if workload.status.get("currentRevision") == workload.status.get("updateRevision"):
        return None
    return _Hold(
        f"{strategy}.rollingUpdate.partition",
        str(partition),
        f"pods below number {partition} are not updated",
    )


def _observation(
    scene: Scene,
    workload: KubeObject,
    hold: _Hold,
    rollout: Rollout,
    new: list[KubeObject],
    old: list[KubeObject],
) -> Observation:
    by = _writer(workload, hold)
    left = by is not None and rollout.at - by.at >= LEFT
    when = f" (set by {by.by} at {clock(by.at)})" if by is not None else ""
    reached = f"{len(new)} of {len(new) + len(old)} pods"
    reached += f" ({listing([p.name for p in new], 3)})" if new else ""
    words = (
        f"{hold.path} of {name_of(workload)} is {hold.value}{when}: {hold.says}. The update of {clock(rollout.at)}"
        f"{f' by {rollout.by}' if rollout.by else ''} reached {reached} and not {listing([p.name for p in old], 3)}; "
        f"it changed {listing(rollout.told, 4)}"
    )
    return Observation(
        about=scene.graph.top(workload),
        reason="UpdateHeldBack",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.9 if left else 0.65,
        facts=(
            evidence.field(workload, hold.path, hold.value, words),
            evidence.change(
                workload, f"update of {name_of(workload)}", {"changes": rollout.told[:20], "by": rollout.by}, rollout.at
            ),
        ),
        basis=(
            "the update strategy beside the revisions of the pods",
            "what holds back is older than the update"
            if left
            else "against it: it may have been set for this update",
        ),
        onset=rollout.at,
        remediation=remedies.edit(
            workload,
            f"If the trial is over, take back {hold.path} of {name_of(workload)}, or put the older template back.",
            risk="The pods that were held back restart with the newest template.",
        ),
        latent=True,
    )  # fmt: skip


def _writer(workload: KubeObject, hold: _Hold) -> Edit | None:
    """Who set it; a writer of the whole spec that came later repeats what it found."""
    owners = [
        e
        for path in (hold.path, hold.path.rpartition(".")[0], "spec.updateStrategy")
        if (e := writer_of(workload, path)) is not None
    ]
    return min(owners, key=lambda e: e.at, default=None)
