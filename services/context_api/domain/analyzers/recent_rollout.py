"""A rollout of the failing workload itself, just before it failed.

Sees revisions and how their pod templates differ, which pods belong to which, and whether those of the revision
before still run. Silent where a deeper finding already says what the rollout changed.
Cannot see what an operator or chart would have rendered before.

Rests on: kubernetes.io/docs, "Deployments" (revisions, rollback), "StatefulSets", "DaemonSets" (ControllerRevision).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import FieldChange
from services.context_api.domain.containers import is_ready
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.rollouts import Rollout, of_revision
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trouble import Trouble, troubles
from services.context_api.domain.wording import clock, name_of

NAME = "recent_rollout"
_PROCESS = (
    "image",
    "command",
    "args",
    "env",
    "volume",
    "resources",
    "securityContext",
    "serviceAccount",
    "ports",
    "workingDir",
)
_RELEVANT = {
    "pod_crash_loop": (*_PROCESS, "Probe"),
    "probe_failure": (*_PROCESS, "Probe"),
    "rollout_stuck": (*_PROCESS, "Probe", "readinessGates"),
    "log_errors": (*_PROCESS, "Probe"),
    "unwell": (*_PROCESS, "Probe"),
    "init_waiting": ("initContainers", "image", "env", "volume"),
}
"""Which changes of a template bear on which kind of failure."""


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """At most one observation per failing workload."""
    known = {id(o.about) for o in seen if o.depth is Depth.mechanism and not o.latent}
    for trouble in troubles(scene, seen):
        if id(trouble.top) not in known:  # deeper findings say more, and what the rollout changed
            yield from _rollouts(scene, trouble)


def _rollouts(scene: Scene, trouble: Trouble) -> Iterator[Observation]:
    """A rollout of the failing workload itself."""
    shallow = [o for o in trouble.seen if o.depth < Depth.mechanism]
    if not shallow:
        return
    for workload in scene.graph.workloads_of(trouble.top):
        rollout = scene.rollouts.of(workload)
        if rollout is None or not trouble.recent(scene, rollout.at):
            continue
        words = {w for o in shallow for w in _RELEVANT.get(o.analyzer, ())}
        # Labels and annotations are read by others than the process: `labels.environment` is no `env`.
        changes = [
            c
            for c in rollout.changes
            if any(w in c.path for w in words) and not c.path.startswith("metadata.")
        ]
        strength = _rollout_strength(scene, workload, rollout, trouble) if changes else 0.0
        if strength:
            yield _rollout_observation(trouble, rollout, changes, strength)


def _rollout_strength(scene: Scene, workload: KubeObject, rollout: Rollout, trouble: Trouble) -> float:
    """Surest when pods of the new revision fail while the old ones run; none when old ones fail as well."""
    pods = scene.graph.pods_of(workload)
    if rollout.newest is workload:
        return 0.5 if trouble.points_elsewhere else 0.75
    new = [p for p in pods if of_revision(p, rollout.newest)]
    old = [p for p in pods if not of_revision(p, rollout.newest)]
    if old and not any(is_ready(p) for p in old):
        return 0.0
    if new and all(is_ready(p) for p in new):
        return 0.0
    if trouble.points_elsewhere:
        return 0.45
    return 0.92 if old else 0.8


def _rollout_observation(
    trouble: Trouble, rollout: Rollout, changes: list[FieldChange], strength: float
) -> Observation:
    workload = rollout.workload
    shown = "; ".join(str(c) for c in changes[:6])
    by = f" by {rollout.by}" if rollout.by else ""
    words = f"The rollout of {name_of(workload)} at {clock(rollout.at)}{by}"
    words += f" (revision {rollout.revision})" if rollout.revision else ""
    words += f" changed {shown}; since then: {trouble.told}"
    return Observation(
        about=trouble.top,
        reason="RolloutBeforeOnset",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.change,
        certainty=min(strength, 0.9),
        facts=(
            evidence.change(
                workload,
                f"rollout of {name_of(workload)}: {shown}",
                {"revision": rollout.revision, "changes": [str(c) for c in changes[:20]], "by": rollout.by},
                rollout.at,
            ),
            *(f for o in trouble.seen for f in o.facts[:2]),
        ),
        basis=(
            f"the rollout came {trouble.how_long_before(rollout.at)} the first failure",
            "the two revisions' pod templates differ",
        ),
        onset=rollout.at,
        remediation=remedies.undo_rollout(workload),
        explains=(
            Explains(
                trouble.top,
                strength,
                f"its pods run since the rollout at {clock(rollout.at)}",
                deepest=Depth.process,
            ),
        ),
        latent=True,
    )
