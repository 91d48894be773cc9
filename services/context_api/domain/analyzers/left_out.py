"""Objects that a selector finds no more since somebody edited it: monitors nobody scrapes, routes nobody serves.

Sees custom resources that gather objects of another kind by labels (`serviceMonitorSelector`, `routeSelector`), whose
selector was edited, and which objects it found before and does not find now. Nothing reports that: the one that gathers
is content, and so is what was dropped. What the dropped objects point at (a Service whose pods were scraped) is where it
is noticed, mostly as missing data.
Cannot see what a selector was where neither an older version nor a `kubectl apply` before the edit was recorded, nor
labels taken from the objects themselves.

Rests on: kubernetes.io/docs, "Labels and Selectors"; https://prometheus-operator.dev/docs/platform/troubleshooting/
(a ServiceMonitor is dropped silently when its labels do not match); docs.openshift.com, "Ingress sharding".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import Edit, first_seen_change, last_applied, last_edit
from services.context_api.domain.kube import flat, is_custom, listing, mapping, selects, show_labels
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import Body, KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "left_out"
MOST = 200


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per edited selector that drops something."""
    kinds = {k.lower(): k for k in scene.snapshot.kinds}
    for whole in scene.snapshot.objects:
        fields = (
            [k for k in whole.spec if isinstance(k, str) and k.endswith("Selector")]
            if is_custom(whole)
            else []
        )
        edit = last_edit(whole) if fields else None
        if edit is None:
            continue
        before = _before(scene, whole, edit)
        for field in fields:
            kind = kinds.get(field.removesuffix("Selector").lower())
            old, new = before.get(field), whole.spec.get(field)
            if (
                kind is None
                or old == new
                or field not in before
                or not any(p.startswith(f"spec.{field}") for p in edit.paths)
            ):
                continue
            dropped = [
                o
                for o in list(scene.snapshot.of_kind(kind))[:MOST]
                if o.created_at is not None
                and o.created_at <= edit.at
                and _finds(old, o)
                and not _finds(new, o)
            ]
            if dropped:
                yield _observation(scene, whole, field, edit, (old, new), dropped)  # fmt: skip


def _before(scene: Scene, whole: KubeObject, edit: Edit) -> Body:
    """The spec before the edit: of the newest recorded version older than it, else of the last `kubectl apply`."""
    older = [o for o in scene.graph.earlier(whole) if (m := first_seen_change(o)) is not None and m < edit.at]
    return max(older, key=_age).spec if older else mapping(last_applied(whole).get("spec"))


def _age(obj: KubeObject) -> datetime:
    return first_seen_change(obj) or datetime.min.replace(tzinfo=UTC)


def _finds(selector: object, obj: KubeObject) -> bool:
    """Whether a label selector finds it: an empty one finds everything, none at all finds nothing."""
    if not isinstance(selector, dict):
        return False
    return not selector or selects(selector, flat(obj.labels))


def _points_at(scene: Scene, obj: KubeObject) -> list[KubeObject]:
    """Services of its namespace that it selects or sends traffic to, and what stands behind them."""
    chosen: Body = mapping(obj.spec.get("selector"))
    services = [
        s for s in scene.graph.services_in(obj.namespace) if chosen and selects(chosen, flat(s.labels))
    ]
    services += [e.to for e in scene.needs.of(obj) if e.to.kind == "Service"]
    found = [o for s in services for o in (s, *scene.graph.behind(s))]
    return list({id(o): o for o in found}.values())


def _words(selector: object) -> str:
    if not isinstance(selector, dict) or not selector:
        return "everything" if isinstance(selector, dict) else "nothing"
    return show_labels(flat(selector.get("matchLabels"))) or "expressions"


def _observation(
    scene: Scene, whole: KubeObject, field: str, edit: Edit, selectors: tuple[object, object], dropped: Sequence[KubeObject]
) -> Observation:  # fmt: skip
    old, new = (_words(s) for s in selectors)
    names = listing([name_of(o) for o in dropped])
    explains = [Explains(o, 0.9, f"{name_of(whole)} finds it no more") for o in dropped]
    explains += [
        Explains(p, 0.85, f"{name_of(whole)} finds {name_of(o)} no more, which points at it")
        for o in dropped
        for p in _points_at(scene, o)
    ]
    return Observation(
        about=whole,
        reason="SelectorLeavesOut",
        text=f"{name_of(whole)} leaves out {names} since {clock(edit.at)}, when {edit.by} edited spec.{field}: it selects `{new}`, where it selected `{old}` before",
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.85,
        facts=(
            evidence.field(
                whole, f"spec.{field}", {"before": old, "now": new}, f"{name_of(whole)}: spec.{field}", edit.at
            ),
            *(evidence.field(o, "metadata.labels", dict(flat(o.labels)), f"labels of {name_of(o)}") for o in dropped[:2]),
        ),
        basis=(
            "the selector before and now, against the labels there are",
            "nothing about what it points at need be wrong: what is missing is its data or its traffic",
        ),
        onset=edit.at,
        remediation=remedies.edit(
            whole, f"Let spec.{field} of {name_of(whole)} find them again, or give them the labels it asks for."
        ),
        explains=tuple({id(e.about): e for e in reversed(explains)}.values()),
    )  # fmt: skip
