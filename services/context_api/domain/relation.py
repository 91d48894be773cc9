"""How an object relates to the alerting one, and the path between them.

Decides only nearness: the best product of edge strengths from the alert outwards. An unrelated fault
never outranks a related one (`ranking.py`).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from services.context_api.domain.observation import Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject

FAINTEST = 0.15
MOST_VISITED = 4000
MOST_STEPS = 20


@dataclass(frozen=True, slots=True)
class Step:
    """How an object was reached from the alert."""

    obj: KubeObject
    nearness: float
    came_from: KubeObject | None
    how: str
    relation: str = ""
    """As `edges.TABLE` calls it; empty where somebody's blame or account led there."""


class Relations:
    """Objects reached from the alerting one; empty when there is none."""

    def __init__(self, steps: dict[int, Step]) -> None:
        self._steps = steps

    def nearness(self, obj: KubeObject) -> float:
        """1 for the alerting object, 0 for one that no edge leads to."""
        step = self._steps.get(id(obj))
        return step.nearness if step else 0.0

    def lies_in_start(self, obj: KubeObject) -> bool:
        """Whether the alert is about the namespace in which the object lies."""
        start = next(iter(self._steps.values()), None)
        return start is not None and start.obj.kind == "Namespace" and start.obj.name == obj.namespace

    def objects(self) -> list[KubeObject]:
        """Everything reached, nearest first; the alerting object is the first."""
        return [step.obj for step in self._steps.values()]

    def ways(self, obj: KubeObject) -> frozenset[str]:
        """The relations on the path from the alerting object."""
        here, found, steps = self._steps.get(id(obj)), set[str](), 0
        while here is not None and here.came_from is not None and steps < MOST_STEPS:
            found.add(here.relation)
            here, steps = self._steps.get(id(here.came_from)), steps + 1
        return frozenset(found)

    def path(self, obj: KubeObject) -> list[KubeObject]:
        """From `obj` to the alerting object."""
        path: list[KubeObject] = []
        here: KubeObject | None = obj
        while here is not None and id(here) in self._steps and len(path) < MOST_STEPS:
            path.append(here)
            here = self._steps[id(here)].came_from
        return path


def relate(scene: Scene, start: KubeObject | None, observations: Sequence[Observation]) -> Relations:
    """Follow needs, blame and accounts outwards from the alerting object, strongest way first."""
    named = claims(observations)
    steps: dict[int, Step] = {}
    order = 0
    queue: list[tuple[float, int, Step]] = (
        [(-1.0, 0, Step(start, 1.0, None, ""))] if start is not None else []
    )
    while queue and len(steps) < MOST_VISITED:
        _, _, step = heapq.heappop(queue)
        if id(step.obj) in steps:
            continue
        steps[id(step.obj)] = step
        for to, strength, how, relation in _outwards(scene, step, named):
            nearness = step.nearness * strength
            if id(to) not in steps and nearness >= FAINTEST:
                order += 1
                heapq.heappush(queue, (-nearness, order, Step(to, nearness, step.obj, how, relation)))
    return Relations(steps)


Claims = dict[int, list[tuple[KubeObject, float, str]]]
"""Object's identity -> what is blamed for it, how surely, and why."""


def claims(observations: Sequence[Observation]) -> Claims:
    """Blame and accounts, from the side of the object that suffers."""
    named: Claims = {}
    for seen in observations:
        for blame in seen.blames:
            named.setdefault(id(seen.about), []).append((blame.on, blame.strength, blame.why))
        for claim in seen.explains:
            named.setdefault(id(claim.about), []).append((seen.about, claim.strength, claim.why))
    return named


def _outwards(scene: Scene, step: Step, named: Claims) -> list[tuple[KubeObject, float, str, str]]:
    # What else runs on a node or lies in a namespace matters only when the alert is about that node or namespace.
    edges = scene.needs.whole(step.obj) if step.came_from is None else scene.needs.of(step.obj)
    claimed = ((*claim, "") for claim in named.get(id(step.obj), []))
    return [*claimed, *((e.to, e.strength, e.how, e.relation) for e in edges)]
