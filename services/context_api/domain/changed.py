"""What was changed last about an object, as facts of the plain record: its rollout, and the newest edit beside it.

Decides which changes are told, and in which words; whether one did harm is the analyzers' and the ranking's business.
Of what a controller makes (pods, ReplicaSets) no change is told: it was its owner that was changed. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.context_api.domain import evidence
from services.context_api.domain.changes import SETTLING, Edit, applied_changes, last_edit
from services.context_api.domain.edits import edited, recorded_changes
from services.context_api.domain.evidence import Fact
from services.context_api.domain.kube import WORKLOADS, listing
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import name_of

MADE = frozenset({"Pod", "ReplicaSet", "ReplicationController", "ControllerRevision", "Endpoints", "EndpointSlice", "Lease", "Node"})  # fmt: skip
"""Written by controllers all the time."""

MOST_TOLD = 6
MOST_KEPT = 20
"""Changes in words, and in the fact's body."""

FEW = 6
"""Fields a manager may own for its newest write to be told as a change of just these; one that owns more has
applied the whole object."""


def in_words(scene: Scene, about: KubeObject, edit: Edit) -> list[str]:
    """What an edit changed, before → after where that is recorded."""
    for workload in scene.graph.workloads_of(about):
        rollout = scene.rollouts.of(workload)
        if rollout is not None and abs(rollout.at - edit.at) <= SETTLING and rollout.changes:
            return rollout.told
    if about.kind == "ConfigMap":
        return [str(change) for change in recorded_changes(scene, about)]
    return [str(change) for change in applied_changes(about, edit)]


def now_in_words(scene: Scene, about: KubeObject, edit: Edit) -> list[str]:
    """The same; where no text before is recorded, what the fields say now, if they are few."""
    known = in_words(scene, about, edit)
    return known or (edited(scene, about, edit) if len(edit.paths) <= FEW else [])


def changes(scene: Scene, obj: KubeObject) -> Iterator[Fact]:
    """Its rollout, and an edit that was none: of what is known to have changed."""
    if obj.kind in MADE:
        return
    rollout = scene.rollouts.of(obj) if obj.kind in WORKLOADS else None
    if rollout is not None and rollout.told:
        body = {"revision": rollout.revision, "changes": rollout.told[:MOST_KEPT], "by": rollout.by}
        words = f"rollout of {name_of(obj)}: {'; '.join(rollout.told[:MOST_TOLD])}"
        yield evidence.change(obj, words, body, rollout.at)
    edit = last_edit(obj)
    if edit is None or (rollout is not None and abs(rollout.at - edit.at) <= SETTLING):
        return
    known = in_words(scene, obj, edit) or (
        [f"{p} changed" for p in edit.paths] if len(edit.paths) <= FEW else []
    )
    if known:
        words = f"{name_of(obj)} edited by {edit.by}: {listing(known, MOST_TOLD)}"
        yield evidence.change(obj, words, {"by": edit.by, "changes": known[:MOST_KEPT]}, edit.at)
