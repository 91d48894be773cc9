"""A dependency that runs and was changed just before its client began to complain about it.

Sees, behind a Service a failing client's log complains about, rollouts of the workload, fewer replicas than before, edits of the ConfigMaps and
Secrets it uses (a rotated password, another port, fewer connections) and edits of the Service itself. Behind a
complaint that a name is not found stands cluster DNS. Surer where the dependency's own log names what was changed.
Only for dependencies that have nothing else wrong: then the change is the best lead there is. Latent.
Cannot know that the change did harm; the log's complaint and the times are all it has.

Rests on: kubernetes.io/docs, "Server-Side Apply" (managedFields), "Service".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import Edit, FieldChange, last_applied, last_edit, writer_of
from services.context_api.domain.config_match import speaks_of
from services.context_api.domain.dependencies import PODS_READ, Spoken
from services.context_api.domain.edits import changes_of, edited
from services.context_api.domain.kube import at, listing, number
from services.context_api.domain.logs import clusters, quote
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trouble import Trouble, troubles
from services.context_api.domain.uses import used_by, uses
from services.context_api.domain.wording import clock, name_of

NAME = "dependency_change"
TOGETHER = timedelta(minutes=1)
_AUTOSCALERS = frozenset({"kube-controller-manager", "keda-operator", "keda"})
"""Who lowers replicas because there is less to do."""

_SCALED_DOWN = re.compile(r"Scaled down replica set (\S+) (?:from (\d+) to|to \d+ from (\d+))")


@dataclass(frozen=True, slots=True)
class _Lead:
    """A change behind one client's complaint."""

    trouble: Trouble
    said: Spoken
    edit: Edit
    use: str


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per changed object behind complaints."""
    broken = {id(o.about) for o in seen if not o.latent}
    explained = {
        id(o.about) for o in seen if o.depth is Depth.mechanism
    }  # what is wrong with it is known better
    found: dict[int, tuple[KubeObject, dict[int, _Lead]]] = {}
    for trouble in troubles(scene, seen):
        if trouble.points_elsewhere:
            continue
        for said in scene.deps.spoken(trouble.top):
            for service in _asked(scene, said):
                for changed, edit, use in _changed(scene, trouble, service, broken):
                    if id(changed) not in explained:
                        leads = found.setdefault(id(changed), (changed, {}))[1]
                        leads.setdefault(id(trouble.top), _Lead(trouble, said, edit, use))
    for changed, leads in found.values():
        yield _observation(scene, changed, list(leads.values()))


def _asked(scene: Scene, said: Spoken) -> list[KubeObject]:
    """The Services that were asked in vain: the one a line names, and cluster DNS where a name was not found."""
    named = [said.found] if said.found is not None and said.found.kind == "Service" else []
    return named + (scene.deps.resolvers if said.trouble == "dns" else [])


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
            lowered = _lowered(scene, workload)
            if lowered is not None and trouble.recent(scene, lowered.at):
                yield workload, lowered, "the workload behind it"
            for use, config in used_by(scene.graph, workload, "ConfigMap", "Secret"):
                edit = last_edit(config)
                if (
                    edit is not None
                    and trouble.recent(scene, edit.at)
                    and any("ata" in p for p in edit.paths)
                ):
                    yield config, edit, f"{name_of(workload)} uses it ({use.where})"


def _lowered(scene: Scene, workload: KubeObject) -> Edit | None:
    """That somebody gave the workload fewer replicas: what its controller's events or the last apply say it had."""
    edit, now = writer_of(workload, "spec.replicas"), number(workload.spec.get("replicas"))
    if edit is None or edit.by in _AUTOSCALERS:
        return None
    said = [
        (int(m[2] or m[3]), e)
        for e in scene.graph.events_about(workload)
        if (m := _SCALED_DOWN.search(e.message)) and e.last is not None and abs(e.last - edit.at) <= TOGETHER
    ]
    before = max((n for n, _ in said), default=number(at(last_applied(workload), "spec", "replicas")))
    if before <= now:
        return None
    return Edit(edit.at, edit.by, (str(FieldChange("spec.replicas", str(before), str(now))),))


def _observation(scene: Scene, changed: KubeObject, leads: list[_Lead]) -> Observation:
    lead = leads[0]
    trouble, said, edit = lead.trouble, lead.said, lead.edit
    fitting = said.trouble == "auth" and changed.kind == "Secret"
    changes = changes_of(scene, changed, edit) if changed.kind in ("ConfigMap", "Secret") else []
    known = [str(c) for c in changes] or (edited(scene, changed, edit) if changed.kind == "Service" else [])
    shown = listing(known or list(edit.paths), 5)
    own = _own_words(scene, changed, changes)
    strength = 0.85 if fitting or own else 0.65
    others = [name_of(one.trouble.top) for one in leads[1:]]
    words = (
        f"{name_of(changed)} was changed at {clock(edit.at)} by {edit.by}, {trouble.how_long_before(edit.at)} {name_of(trouble.top)} began to complain "
        f"about {_complained_about(said)} ({lead.use}): {shown}; its log: `{quote(said.line)}`"
    )
    words += f"; what it serves says: `{quote(own)}`" if own else ""
    words += f"; so do {listing(others, 4)}" if others else ""
    return Observation(
        about=changed,
        reason="DependencyChangedBeforeOnset",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.change,
        certainty=min(strength + 0.05 * len(others), 0.9),
        facts=(
            evidence.change(
                changed,
                f"{name_of(changed)} changed by {edit.by}: {shown}",
                {"by": edit.by, "fields": list(edit.paths), "changes": known[:20]},
                edit.at,
            ),
            *(evidence.log_line(k.said.pod, k.said.container, k.said.line, k.said.count) for k in leads[:4]),
        ),
        basis=(
            "changed shortly before the first complaint",
            *(["the log of what uses it names what was changed"] if own else []),
            *([f"{len(others) + 1} clients complain alike"] if others else []),
            "a client's log names the Service behind which it stands"
            if said.found is not None
            else "a client's log says that names are not found, which cluster DNS answers",
            "against it: what depends on it runs",
        ),
        onset=edit.at,
        remediation=remedies.edit(
            changed,
            f"Check whether the change of {name_of(changed)} was meant, and whether its clients know of it.",
        ),
        explains=tuple(
            Explains(one.trouble.top, strength, "its clients began to fail after it") for one in leads
        ),
        latent=True,
    )


def _complained_about(said: Spoken) -> str:
    if said.host is None:
        return "names that are not found" if said.trouble == "dns" else "it"
    return f"looking up {said.host.name}" if said.trouble == "dns" and said.found is None else said.host.name


def _own_words(scene: Scene, changed: KubeObject, changes: Sequence[FieldChange]) -> str:
    """The line with which a user of the changed object names what was changed."""
    if not changes:
        return ""
    for workload in scene.graph.workloads_in(changed.namespace):
        if uses(workload, changed.kind, changed.name):
            pods = scene.graph.pods_of(workload)[:PODS_READ]
            logs = [g.text for p in pods for g in scene.snapshot.logs_of(p.namespace, p.name)]
            if line := speaks_of(changes, clusters(logs), file_too=False):
                return line
    return ""
