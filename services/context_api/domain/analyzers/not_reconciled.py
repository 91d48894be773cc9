"""Custom resources whose last change no controller has taken up.

Sees `metadata.generation` ahead of the generation that the status speaks of, minutes after the object was edited, and
the workload that writes such statuses. Latent: some controllers never say which generation they saw, and a busy one
takes its time. Nothing is said of an object whose status was written well after the edit. It counts where
the alert is about the object, or about what it should have changed.
Cannot see whether a controller works on it at the moment.

Rests on: Kubernetes API conventions, "Typical status properties" (observedGeneration) and "metadata.generation".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import Edit, last_edit, status_written
from services.context_api.domain.kube import entries, number
from services.context_api.domain.observation import Blame, Depth, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of, span

NAME = "not_reconciled"
PATIENCE = timedelta(minutes=10)
"""Controllers that poll look every few minutes; cluster operators take longer, but report in between. A guess."""


def observe(scene: Scene) -> Iterator[Observation]:
    """One latent observation per object that lags behind its own spec."""
    for obj in scene.snapshot.objects:
        if "." not in obj.group or obj.group.endswith(".k8s.io"):
            continue
        seen = _observed(obj)
        edit = last_edit(obj)
        behind = seen is not None and number(obj.metadata.get("generation")) > seen
        if behind and edit is not None and scene.now - edit.at >= PATIENCE and not _looked_at(obj, edit):
            yield _observation(scene, obj, edit, seen or 0)


def _looked_at(obj: KubeObject, edit: Edit) -> bool:
    """Whether its status was written after the edit: the controller has met it since, and does not keep that number."""
    written = status_written(obj)
    return written is not None and written > edit.at + PATIENCE


def _observed(obj: KubeObject) -> int | None:
    """The generation the status speaks of; None when it does not say."""
    if "observedGeneration" in obj.status:
        return number(obj.status.get("observedGeneration"))
    said = [
        number(c.get("observedGeneration"))
        for c in entries(obj.status.get("conditions"))
        if "observedGeneration" in c
    ]
    return max(said) if said else None


def _observation(scene: Scene, obj: KubeObject, edit: Edit, seen: int) -> Observation:
    generation = number(obj.metadata.get("generation"))
    controllers = scene.platforms.controllers(obj)
    words = (
        f"{name_of(obj)} was edited at {clock(edit.at)} by {edit.by}, {span((scene.now - edit.at).total_seconds())} ago, and no controller "
        f"has taken that up: its status speaks of generation {seen}, it is at {generation}"
    )
    words += f"; {name_of(controllers[0])} writes such statuses" if controllers else ""
    return Observation(
        about=obj,
        reason="NotReconciled",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.process,
        certainty=0.7,
        facts=(
            evidence.field(
                obj, "status.observedGeneration", {"observed": seen, "generation": generation}, words
            ),
        ),
        basis=("the object's generation beside the one its status speaks of",),
        onset=edit.at,
        remediation=remedies.look(
            controllers[0] if controllers else obj,
            f"See whether the controller of {name_of(obj)} runs and what it logs.",
        ),
        blames=tuple(Blame(c, 0.88, "it writes the object's status") for c in controllers),
        latent=True,
    )
