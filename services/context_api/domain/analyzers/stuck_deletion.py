"""Objects that were deleted and do not go: finalizers nobody serves, namespaces with contents left, pods that hang.

Sees deletion times, finalizers, a namespace's own conditions, and a pod's grace period against its node's state.
A deletion under way is healthy. Cannot see whether a finalizer's controller is still at work.

Rests on: kubernetes.io/docs, "Finalizers", "Garbage Collection", "Pod Lifecycle" (termination).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import conditions, listing, number, strings, text
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import Blame, Depth, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.wording import clock, name_of, span

NAME = "stuck_deletion"
PATIENCE = timedelta(minutes=5)
"""Beyond the grace period; clean-up by controllers takes seconds to minutes."""

MOST_LEFT = 20


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per object whose deletion hangs."""
    for obj in scene.snapshot.objects:
        since = parse_time(obj.metadata.get("deletionTimestamp"))
        if since is None:
            continue
        # A pod's deletionTimestamp already includes its grace period.
        late = scene.now - since
        if late > PATIENCE:
            yield _observation(scene, obj, late)


def _observation(scene: Scene, obj: KubeObject, late: timedelta) -> Observation:
    finalizers = strings(obj.metadata.get("finalizers")) + strings(obj.spec.get("finalizers"))
    since = parse_time(obj.metadata.get("deletionTimestamp"))
    words = f"{name_of(obj)} was deleted and is still there after {span(late.total_seconds())} (since {clock(since)})"
    if finalizers:
        words += f": it waits for finalizer {listing([f'`{f}`' for f in finalizers])}"
    left = (
        [cut(redact(c.message), 240) for c in conditions(obj) if c.status == "True" and c.message]
        if obj.kind == "Namespace"
        else []
    )
    if left:
        words += f"; {listing(left, 2)}"
    node = scene.graph.get("Node", None, text(obj.spec.get("nodeName"))) if obj.kind == "Pod" else None
    held = [Blame(node, 0.9, f"its kubelet on node {node.name} must end it")] if node is not None else []
    held += [Blame(o, 0.9, f"namespace {obj.name} waits for it") for o in _left_in(scene, obj)[:MOST_LEFT]]
    return Observation(
        about=obj,
        reason="FinalizerStuck" if finalizers else "StuckTerminating",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.8 if finalizers or left else 0.6,
        facts=(
            evidence.field(
                obj,
                "metadata",
                {
                    "deletionTimestamp": text(obj.metadata.get("deletionTimestamp")),
                    "finalizers": finalizers,
                    "grace": number(obj.metadata.get("deletionGracePeriodSeconds")),
                },
                words,
                since,
            ),
        ),
        basis=("deletion time and finalizers of the object itself",),
        onset=since,
        remediation=remedies.look(
            obj,
            "Find out whether the finalizer's controller still runs before a finalizer is taken off by hand: what it cleans up would be left behind.",
        ),
        blames=tuple(held),
    )


def _left_in(scene: Scene, obj: KubeObject) -> list[KubeObject]:
    """What a deleted namespace still contains that was deleted, too, and does not go."""
    if obj.kind != "Namespace":
        return []
    return [
        other
        for other in scene.snapshot.objects
        if other.namespace == obj.name and other.metadata.get("deletionTimestamp") and other is not obj
    ]
