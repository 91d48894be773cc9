"""A class that keeps what is deleted, where what it kept uses up a limit.

Sees an object that says that a limit, quota or resource is used up, the class it names, and whether that class retains
what it makes (`deletionPolicy`, `reclaimPolicy`). Whatever of that class is there (snapshot contents, volumes) and was
made for an object that exists no more is counted. Where that is a good part of all, the class is why, with who set its
policy and when, however long ago. Says nothing of classes that delete, nor while no limit is met.
Cannot see what lies at the provider without an object, nor how high the limit is, unless the words say so.

Rests on: https://kubernetes.io/docs/concepts/storage/volume-snapshot-classes/#deletionpolicy,
https://kubernetes.io/docs/concepts/storage/persistent-volumes/#retain,
https://github.com/container-storage-interface/spec/blob/master/spec.md (RESOURCE_EXHAUSTED).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import applied_changes, last_edit
from services.context_api.domain.kube import listing, mapping, text
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "kept_for_nobody"
FEWEST = 5
SHARE = 0.5
"""Part of all of a class that was made for what exists no more, from which keeping is why a limit is met. A guess."""

_POLICIES = ("deletionPolicy", "reclaimPolicy")
_USED_UP = re.compile(
    r"resource_?exhausted|limit ?exceeded|exceeded .{0,40}(?:limit|quota)|(?:limit|quota|maximum) .{0,60}(?:exceeded|reached)|too many (?:snapshots|volumes|disks)",
    re.IGNORECASE,
)
_SPEAKS = frozenset({"unhealthy_condition", "pvc_pending"})


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per class whose leftovers use up a limit that somebody met."""
    met: dict[int, tuple[KubeObject, list[Observation]]] = {}
    for one in seen:
        if one.analyzer in _SPEAKS and _USED_UP.search(one.text):
            for kind in _classes(scene, one.about):
                met.setdefault(id(kind), (kind, []))[1].append(one)
    for kind, victims in met.values():
        made = _made(scene, kind)
        left = [obj for obj in made if _for_nobody(scene, obj)]
        if len(left) >= FEWEST and len(left) >= SHARE * len(made):
            yield _observation(kind, made, left, victims)


def _classes(scene: Scene, obj: KubeObject) -> list[KubeObject]:
    """The classes it names that retain what they make."""
    named = [e.to for e in scene.needs.of(obj) if e.to.kind.endswith("Class")]
    return [kind for kind in named if _policy(kind)]


def _policy(kind: KubeObject) -> str:
    """The field with which a class says that it keeps; empty where it deletes."""
    return next((field for field in _POLICIES if kind.body.get(field) == "Retain"), "")


def _made(scene: Scene, kind: KubeObject) -> list[KubeObject]:
    """What lies in the cluster's own scope and names the class: volumes, contents of snapshots."""
    return [
        obj
        for obj in scene.snapshot.objects
        if obj.namespace is None
        and any(
            isinstance(field, str) and _is_of(kind, field) and value == kind.name
            for field, value in obj.spec.items()
        )
        and _reference(obj)
    ]


def _is_of(kind: KubeObject, field: str) -> bool:
    return field.lower() == f"{kind.kind}name".lower()


def _reference(obj: KubeObject) -> Mapping[str, object]:
    """The object it was made for."""
    return next(
        (
            found
            for field, value in obj.spec.items()
            if isinstance(field, str)
            and field.endswith("Ref")
            and text((found := mapping(value)).get("name"))
        ),
        {},
    )


def _for_nobody(scene: Scene, obj: KubeObject) -> bool:
    named = _reference(obj)
    kind = text(named.get("kind")) or "PersistentVolumeClaim"
    return scene.graph.find(kind, text(named.get("namespace")) or None, text(named.get("name"))) is None


def _observation(
    kind: KubeObject, made: Sequence[KubeObject], left: Sequence[KubeObject], victims: Sequence[Observation]
) -> Observation:
    victims = sorted(victims, key=lambda v: (v.about.namespace is None, len(v.text), v.text))
    field, edit = _policy(kind), last_edit(kind)
    changes = [str(c) for c in applied_changes(kind, edit)] if edit is not None else []
    set_by = f", set at {clock(edit.at)} by {edit.by}" if edit is not None else ""
    set_by += f" ({listing(changes, 3)})" if changes else ""
    what = made[0].kind
    words = (
        f"{name_of(kind)} has {field} `Retain`{set_by}: {len(left)} of {len(made)} {what} objects of it were made for what exists no more"
        f", and a limit is met. {victims[0].text}"
    )
    return Observation(
        about=kind,
        reason="KeepsWhatIsDeleted",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.85,
        facts=(
            evidence.field(kind, field, "Retain", f"{name_of(kind)} keeps what is deleted", edit.at if edit is not None else None),
            *(evidence.field(obj, "spec", {"for": dict(_reference(obj))}, f"{name_of(obj)} was kept") for obj in left[:3]),
            *victims[0].facts[:1],
        ),
        basis=(
            "the words of what failed say that a limit is met",
            "most of what the class made is there for nobody",
        ),
        onset=edit.at if edit is not None else None,
        remediation=remedies.edit(
            kind,
            f"Take away the {what} objects that nobody needs, with what they stand for; let {name_of(kind)} delete if it was not meant to keep.",
            risk="What is deleted is gone: make sure that nobody restores from it.",
        ),
        explains=tuple(Explains(v.about, 0.9, f"{name_of(kind)} keeps what uses the limit up") for v in victims),
    )  # fmt: skip
