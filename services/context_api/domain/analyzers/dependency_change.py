"""A dependency that runs and was changed just before its client began to complain about it.

Sees, behind a Service a failing client's log complains about, rollouts of the workload, edits of the ConfigMaps and
Secrets it uses (a rotated password, another port, fewer connections) and edits of the Service itself.
Only for dependencies that have nothing else wrong: then the change is the best lead there is. Latent.
Cannot know that the change did harm; the log's complaint and the times are all it has.

Rests on: kubernetes.io/docs, "Server-Side Apply" (managedFields), "Service".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import Edit, last_edit
from services.context_api.domain.dependencies import Spoken
from services.context_api.domain.kube import listing, pod_spec
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.references import references
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trouble import Trouble, troubles
from services.context_api.domain.wording import clock, name_of

NAME = "dependency_change"


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per changed object behind a complaint."""
    broken = {id(o.about) for o in seen if not o.latent}
    explained = {
        id(o.about) for o in seen if o.depth is Depth.mechanism
    }  # what is wrong with it is known better
    told: set[tuple[int, int]] = set()
    for trouble in troubles(scene, seen):
        if trouble.points_elsewhere:
            continue
        for said in scene.deps.spoken(trouble.top):
            if said.found is None or said.found.kind != "Service":
                continue
            for changed, edit, use in _changed(scene, trouble, said.found, broken):
                if (id(changed), id(trouble.top)) not in told and id(changed) not in explained:
                    told.add((id(changed), id(trouble.top)))
                    yield _observation(trouble, said, changed, edit, use)


def _changed(
    scene: Scene, trouble: Trouble, service: KubeObject, broken: set[int]
) -> Iterator[tuple[KubeObject, Edit, str]]:
    edit = last_edit(service)
    if edit is not None and trouble.recent(scene, edit.at) and any(p.startswith("spec") for p in edit.paths):
        yield service, edit, "the Service itself"
    for top in scene.deps.behind(service):
        if id(top) in broken:
            continue
        for workload in scene.graph.workloads_of(top):
            rollout = scene.rollouts.of(workload)
            if rollout is not None and rollout.changes and trouble.recent(scene, rollout.at):
                yield (
                    workload,
                    Edit(rollout.at, rollout.by or "a rollout", tuple(str(c) for c in rollout.changes[:6])),
                    "the workload behind it",
                )
            for use in references(pod_spec(workload)):
                if use.kind not in ("ConfigMap", "Secret"):
                    continue
                config = scene.graph.get(use.kind, workload.namespace, use.name)
                edit = last_edit(config) if config is not None else None
                if (
                    config is not None
                    and edit is not None
                    and trouble.recent(scene, edit.at)
                    and any("ata" in p for p in edit.paths)
                ):
                    yield config, edit, f"{name_of(workload)} uses it ({use.where})"


def _observation(trouble: Trouble, said: Spoken, changed: KubeObject, edit: Edit, use: str) -> Observation:
    fitting = said.trouble == "auth" and changed.kind == "Secret"
    strength = 0.85 if fitting else 0.65
    words = (
        f"{name_of(changed)} was changed at {clock(edit.at)} by {edit.by}, {trouble.how_long_before(edit.at)} {name_of(trouble.top)} began to complain "
        f"about {said.host.name if said.host else 'it'} ({use}): {listing(list(edit.paths), 5)}; its log: `{cut(said.line, 200)}`"
    )
    return Observation(
        about=changed,
        reason="DependencyChangedBeforeOnset",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.change,
        certainty=strength,
        facts=(
            evidence.change(
                changed,
                f"{name_of(changed)} changed by {edit.by}: {listing(list(edit.paths), 5)}",
                {"by": edit.by, "fields": list(edit.paths)},
                edit.at,
            ),
            evidence.log_line(said.pod, said.container, said.line, said.count),
        ),
        basis=(
            "changed shortly before the first complaint",
            "the client's log names the Service behind which it stands",
            "against it: what depends on it runs",
        ),
        onset=edit.at,
        remediation=remedies.edit(
            changed,
            f"Check whether the change of {name_of(changed)} was meant, and whether its clients know of it.",
        ),
        explains=(Explains(trouble.top, strength, "its clients began to fail after it"),),
        latent=True,
    )
