"""The workloads an alert is about, and those their logs lead to.

Decides how far complaints are followed; what is wrong with anybody is the analyzers' business.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.context_api.domain.observation import Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject

FARTHEST = 6
"""Hops from the alert: route, Service, workload, the Service it complains about, and its workload are four; a chain of
calls has one more link where a database or an outside host is at its end."""

_LEADS = frozenset({"owner", "selects", "backend", "heard", "scales", "door", "carried"})


def alerted(scene: Scene) -> list[KubeObject]:
    """Workloads (top owners with pods) of the alert's object and of what their logs complain about, nearest first.

    An alert about a namespace is one about the workloads in it.
    """
    if scene.target is None:
        return []
    return _onwards(scene, _start(scene, scene.target))


def _onwards(scene: Scene, level: list[KubeObject]) -> list[KubeObject]:
    """Workloads that these objects are or lead to, nearest first."""
    found: dict[int, KubeObject] = {}
    seen = {id(o) for o in level}
    for _ in range(FARTHEST + 1):
        for obj in level:
            if scene.graph.pods_of(obj) and scene.graph.top(obj) is obj:
                found[id(obj)] = obj
        onward = [e.to for obj in level for e in scene.needs.of(obj) if e.relation in _LEADS]
        level = list({id(o): o for o in onward if id(o) not in seen}.values())
        seen.update(id(o) for o in level)
    return list(found.values())


def _start(scene: Scene, target: KubeObject) -> list[KubeObject]:
    """Where the way begins: the object itself; of a namespace, the workloads in it, for it has no log of its own."""
    if target.kind != "Namespace":
        return [target]
    tops = [scene.graph.top(w) for w in scene.graph.workloads_in(target.name)]
    return [target, *{id(t): t for t in tops}.values()]


def concerned(scene: Scene, seen: Sequence[Observation]) -> list[KubeObject]:
    """Workloads that are in trouble, and those that are listened to."""
    failing = [o for o in seen if not o.latent or o.analyzer == "log_errors"]
    tops = {id(o.about): o.about for o in failing if scene.graph.pods_of(o.about)}
    tops.update({id(t): t for t in listened(scene, seen)})
    return list(tops.values())


def listened(scene: Scene, seen: Sequence[Observation]) -> list[KubeObject]:
    """Those the alert leads to; where nobody says what the question is about, those whose logs are full of errors, and
    whom these lead to."""
    if scene.target is not None:
        return alerted(scene)
    return _onwards(scene, [o.about for o in seen if o.analyzer == "log_errors"])


def outspoken(scene: Scene, seen: Sequence[Observation]) -> list[KubeObject]:
    """The same; where nobody says what the alert is about, every workload whose log was recorded.

    For those who need more than a complaint: of the many that programs write, most are of no consequence.
    """
    tops = {id(t): t for t in concerned(scene, seen)}
    if scene.target is None:
        tops.update({id(t): t for t in map(scene.graph.top, scene.graph.workloads) if scene.deps.logged(t)})
    return list(tops.values())


def carried(scene: Scene, carrier: KubeObject) -> list[KubeObject]:
    """Of the workloads an alert leads to, those whose calls go astray, if this is who carries them."""
    if all(carrier is not one for one in scene.deps.carriers):
        return []
    return [top for top in alerted(scene) if top is not carrier and scene.deps.astray(top)]
