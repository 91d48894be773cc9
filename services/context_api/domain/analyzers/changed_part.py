"""Parts of a platform object that were made or edited just before it said that it is not well.

Sees what an unwell custom resource gathers by a label selector (`machineConfigSelector`: every MachineConfig with those
labels) and what it names, and of these what came or was edited within minutes before its condition turned; where the
part differs from all its siblings, and whether the condition's words speak of that. The controller writes its
complaint on the whole, seldom on the part.
Cannot see what was taken away, nor a part that was wrong long before anybody read it.

Rests on: kubernetes.io, API conventions (conditions, lastTransitionTime) and "Labels and Selectors";
docs.redhat.com, "Machine configuration" (a pool renders what its selector finds).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import SETTLING, applied_changes, last_edit
from services.context_api.domain.kube import is_custom, leaves, listing, mapping, selects
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.redact import value_of
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of, span

NAME = "changed_part"
BEFORE = timedelta(minutes=10)
"""A controller reads a new part within seconds to minutes. A guess, generous."""

SLACK = timedelta(seconds=90)
_WORD = re.compile(r"[a-z0-9][a-z0-9.-]{3,}")
_COMMON = frozenset({"spec", "name", "config", "version", "data", "value", "type", "error", "failed", "status", "configuration"})  # fmt: skip
MOST_SIBLINGS = 200


@dataclass(frozen=True, slots=True)
class _Part:
    obj: KubeObject
    how: str
    siblings: Sequence[KubeObject]


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """At most one observation per object that says it is not well: its likeliest part."""
    ill = {id(o.about) for o in seen if not o.latent}
    for one in seen:
        if one.analyzer != "unhealthy_condition" or one.latent or one.onset is None:
            continue
        found = [
            (_speaks(part, one.text), moment, part)
            for part in _parts(scene, one.about)
            if id(part.obj) not in ill and (moment := _changed(part.obj, one.about, one.onset)) is not None
        ]
        if found:
            speaks, moment, part = max(found, key=lambda f: (f[0] != "", f[1], f[2].obj.name))
            yield _observation(one, part, moment, speaks)


def _parts(scene: Scene, whole: KubeObject) -> Iterator[_Part]:
    kinds = {k.lower(): k for k in scene.snapshot.kinds}
    for key, selector in whole.spec.items() if is_custom(whole) else ():
        stem = key.removesuffix("Selector").lower() if isinstance(key, str) else ""
        if not key.endswith("Selector") or stem not in kinds or not mapping(selector):
            continue
        same = [
            o for o in scene.snapshot.of_kind(kinds[stem]) if o.namespace in (None, whole.namespace) and selects(selector, o.labels)
        ][:MOST_SIBLINGS]  # fmt: skip
        for obj in same:
            yield _Part(obj, f"spec.{key} finds it", [o for o in same if o is not obj])
    for link in scene.platforms.needs(whole):
        yield _Part(link.to, f"{link.where} names it", ())


def _changed(part: KubeObject, whole: KubeObject, onset: datetime) -> datetime | None:
    """When the part came or was edited, if that was just before; what came along with the whole is no change."""
    edit = last_edit(part)
    if edit is not None and not any(p.startswith(("spec", "data", "stringData")) for p in edit.paths):
        return None  # labels and annotations are no settings
    moment = edit.at if edit is not None else part.created_at
    if moment is None or not onset - BEFORE <= moment <= onset + SLACK:
        return None
    together = whole.created_at is not None and moment - whole.created_at <= SETTLING
    return None if together and edit is None else moment


def odd_fields(obj: KubeObject, siblings: Sequence[KubeObject]) -> list[tuple[str, str, str]]:
    """(field, its value, the siblings' value) where it alone differs and all the others agree."""
    others: dict[str, list[str]] = {}
    for sibling in siblings:
        for path, value in leaves(sibling.spec, "spec"):
            others.setdefault(path, []).append(value)
    return [
        (path, value, said[0])
        for path, value in leaves(obj.spec, "spec")
        if len(said := others.get(path, [])) >= 2 and set(said) == {said[0]} and said[0] != value
    ]


def _speaks(part: _Part, said: str) -> str:
    """The word with which the whole's message speaks of the part; empty when it does not."""
    words = set(_WORD.findall(said.lower()))
    edit = last_edit(part.obj)
    changed = applied_changes(part.obj, edit) if edit is not None else []
    told = [(p, v) for p, v, _ in odd_fields(part.obj, part.siblings)] or [(c.path, c.after) for c in changed]
    candidates = [part.obj.name, *(w for p, v in told for w in (v, *p.split(".")))]
    return next((c for c in candidates if c.lower() in words - _COMMON), "")


def _observation(ill: Observation, part: _Part, moment: datetime, speaks: str) -> Observation:
    obj, whole = part.obj, ill.about
    edit = last_edit(obj)
    did = f"was edited at {clock(moment)} by {edit.by}" if edit is not None else f"was made at {clock(moment)}"  # fmt: skip
    seconds = (ill.onset - moment).total_seconds() if ill.onset is not None else 0.0
    when = f"{span(seconds)} before" if seconds > 0 else "at the time that"
    words = f"{name_of(obj)} {did}, {when} {name_of(whole)} went bad ({part.how})"
    odd = [
        f"its {p} is `{cut(value_of(p, v), 80)}`, where all {len(part.siblings)} others have `{cut(value_of(p, o), 80)}`"
        for p, v, o in odd_fields(obj, part.siblings)
    ]
    changed = [str(c) for c in applied_changes(obj, edit)] if edit is not None else []
    facts = listing([*odd, *changed], 3)
    words += (f"; {facts}" if facts else "") + f". {ill.text}"
    strength = 0.9 if speaks else 0.75
    return Observation(
        about=obj,
        reason="PartChangedBeforeOnset",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.change,
        certainty=strength,
        facts=(
            evidence.change(
                obj,
                f"{name_of(obj)} {did}",
                {"by": edit.by if edit is not None else "", "differs": [*odd, *changed][:10]},
                moment,
            ),
            *ill.facts[:2],
        ),
        basis=(
            f"changed {when} the first bad condition",
            *([f"the condition's words speak of `{cut(speaks, 80)}`"] if speaks else []),
        ),
        onset=moment,
        remediation=remedies.edit(obj, f"Correct {name_of(obj)}, or take back what was changed in it."),
        explains=(Explains(whole, strength, f"{part.how}, and it changed {when} that"),),
        latent=True,
    )
