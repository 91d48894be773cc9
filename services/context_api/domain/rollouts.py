"""The newest rollout of a workload: when, which revision, which fields of the pod template changed.

Reads ReplicaSets, ControllerRevisions and ReplicationControllers, an older version of the object in
the recording, last-applied, and at last managedFields, which name fields without their old values.
Cannot see what an operator or a Helm chart would have rendered before.

Rests on: kubernetes.io/docs, "Deployments" (revision annotation), "StatefulSets", "DaemonSets" (ControllerRevision).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.context_api.domain.changes import (
    FieldChange,
    last_applied,
    last_edit,
    spec_changes,
)
from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import at, mapping, number, pod_template, text
from services.context_api.domain.snapshot import Body, KubeObject

_REVISION = ("deployment.kubernetes.io/revision", "openshift.io/deployment-config.latest-version")

RESTARTED = "kubectl.kubernetes.io/restartedAt"

FEW = 6
"""Fields a manager may own for its last write to be read as a change of just these."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """How the pods' template came to be what it is."""

    workload: KubeObject
    at: datetime
    revision: str
    by: str
    changes: tuple[FieldChange, ...]
    newest: KubeObject
    """The ReplicaSet or ControllerRevision of the current template; the workload itself when there is none."""

    def changed(self, *words: str) -> list[FieldChange]:
        """Changes whose path speaks of one of these."""
        return [c for c in self.changes if any(w in c.path for w in words)]

    @property
    def told(self) -> list[str]:
        """Its changes in words; `kubectl rollout restart` leaves a date in an annotation and changes nothing else."""
        rest = [c for c in self.changes if RESTARTED not in f"{c.path} {c.before} {c.after}"]
        restarted = ["its pods were restarted"] if len(rest) < len(self.changes) else []
        return [*(str(c) for c in rest), *restarted]


class Rollouts:
    """Rollouts per workload, computed when asked."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[int, Rollout | None] = {}
        self._children: dict[int, list[KubeObject]] = {}
        for child in graph.of_kind("ReplicaSet", "ControllerRevision", "ReplicationController"):
            owner = graph.owner(child)
            if owner is not None:
                self._children.setdefault(id(owner), []).append(child)

    def of(self, workload: KubeObject) -> Rollout | None:
        """The newest change of the template; None when only the first revision is known."""
        if id(workload) not in self._known:
            self._known[id(workload)] = self._read(workload)
        return self._known[id(workload)]

    def revisions(self, workload: KubeObject) -> list[KubeObject]:
        """What the evidence holds of its revisions, oldest first."""
        return sorted(
            self._children.get(id(workload), []),
            key=lambda c: (revision_of(c), c.created_at is not None, c.name),
        )

    def _read(self, workload: KubeObject) -> Rollout | None:
        edit = last_edit(workload)
        by = edit.by if edit and any("template" in p for p in edit.paths) else ""
        revisions = self.revisions(workload)
        if len(revisions) >= 2:
            old, new = revisions[-2], revisions[-1]
            changes = tuple(spec_changes(_template(old), _template(new)))
            moment = new.created_at
            if edit and moment and moment < edit.at and old.created_at and moment < old.created_at:
                moment = edit.at  # a rollback gives an old ReplicaSet a new revision
            if moment is not None:
                return Rollout(workload, moment, str(revision_of(new) or ""), by, changes, new)
        older = self._graph.earlier(workload)
        if older and edit:
            changes = tuple(spec_changes(pod_template(older[-1]), pod_template(workload)))
            if changes:
                return Rollout(workload, edit.at, "", by, changes, workload)
        return self._from_edit(workload, revisions)

    def _from_edit(self, workload: KubeObject, revisions: list[KubeObject]) -> Rollout | None:
        edit = last_edit(workload)
        if edit is None:
            return None
        applied = mapping(at(last_applied(workload), "spec", "template"))
        # Only what apply had set: everything else differs by the server's defaults.
        known = (
            [c for c in spec_changes(applied, pod_template(workload)) if c.before and c.after]
            if applied
            else []
        )
        paths = [p.removeprefix("spec.template.") for p in edit.paths if p.startswith("spec.template.")]
        # A manager that owns many fields has applied the whole object: which of them it changed is not known.
        changes = known or ([FieldChange(p, "", "") for p in paths] if len(paths) <= FEW else [])
        if not changes:
            return None
        newest = revisions[-1] if revisions else workload
        return Rollout(workload, edit.at, str(revision_of(newest) or ""), edit.by, tuple(changes), newest)


def revision_of(child: KubeObject) -> int:
    """The revision number of a ReplicaSet, ControllerRevision or ReplicationController."""
    if child.kind == "ControllerRevision":
        return number(child.body.get("revision"))
    return next((number(child.annotations.get(a)) for a in _REVISION if a in child.annotations), 0)


def _template(child: KubeObject) -> Body:
    if child.kind == "ControllerRevision":
        return mapping(at(child.body, "data", "spec", "template"))
    return pod_template(child)


def of_revision(pod: KubeObject, newest: KubeObject) -> bool:
    """Whether a pod was made from that revision."""
    if newest.kind == "ControllerRevision":
        return text(pod.labels.get("controller-revision-hash")) in (
            newest.name,
            text(newest.labels.get("controller.kubernetes.io/hash")),
        )
    return any(text(o.get("uid")) == newest.uid or text(o.get("name")) == newest.name for o in pod.owners)
