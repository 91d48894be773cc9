"""Which observation explains which: blame resolved over the graph and time into a tree of causes.

Decides links between observations and how strong they are; how causes are ordered is `ranking.py`.

A link is made where an observation blames an object that has observations of its own (directly or
through healthy-looking things between them), where an observation says what it accounts for, and
where two observations about one object differ in depth (killed for memory explains not available).
Blame of what serves as before, by the pods that it had before its rollout, leads nowhere (`unfelt.py`).
A cause that began clearly after its effect counts half. Circles (two services that wait for each
other) are cut at their weakest link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

from libs.contracts.causes import FindingSeverity
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.unfelt import Unfelt

WEAKEST = 0.35
"""Weaker links are coincidence: a setting that names a Service while the log speaks of something else."""

SAME_OBJECT = 0.9
LATE = 0.5
"""A cause that began after its effect counts half: clocks and event times are coarse, so not nothing."""

TOLERANCE = timedelta(minutes=2)
_CARRIES = frozenset({"selects", "backend", "owner", "owned", "class", "volume", "heard", "scales"})
"""Relations through which blame passes healthy-looking objects."""

FARTHEST = 3


@dataclass(frozen=True, slots=True)
class Link:
    """`cause` explains `effect` (indexes into the observations)."""

    cause: int
    effect: int
    strength: float
    why: str


@dataclass
class Causality:
    """The links that were kept."""

    observations: Sequence[Observation]
    links: list[Link]
    explained_by: dict[int, Link] = field(default_factory=dict)
    """Strongest link into each explained observation."""
    effects: dict[int, list[Link]] = field(default_factory=dict)

    @cached_property
    def place(self) -> Mapping[tuple[str, str, str, str, str], int]:
        """Observation's key -> its index."""
        return {seen.key: index for index, seen in enumerate(self.observations)}

    def all_effects(self, cause: int) -> list[int]:
        """Everything an observation accounts for, near things first."""
        seen: dict[int, None] = {}
        todo = [cause]
        while todo:
            here = todo.pop(0)
            for link in self.effects.get(here, []):
                if link.effect not in seen and link.effect != cause:
                    seen[link.effect] = None
                    todo.append(link.effect)
        return list(seen)


def connect(scene: Scene, observations: Sequence[Observation]) -> Causality:
    """Link the observations; their order does not matter, it is by `Observation.key` already."""
    by_object: dict[int, list[int]] = {}
    for index, seen in enumerate(observations):
        # Information (text that tells its reader what to conclude) explains nothing and needs no explanation.
        if seen.severity is not FindingSeverity.info:
            by_object.setdefault(id(seen.about), []).append(index)
    best: dict[tuple[int, int], Link] = {}
    for link in _proposed(scene, observations, by_object):
        timed = _in_time(link, observations)
        held = best.get((link.cause, link.effect))
        if timed.strength >= WEAKEST and (held is None or held.strength < timed.strength):
            best[link.cause, link.effect] = timed
    return _without_circles(
        observations, sorted(best.values(), key=lambda k: (-k.strength, k.cause, k.effect))
    )


def _proposed(
    scene: Scene, observations: Sequence[Observation], by_object: dict[int, list[int]]
) -> list[Link]:
    links: list[Link] = []
    unfelt = Unfelt(scene)
    for members in by_object.values():
        links += _on_one_object(observations, members)
    for index, seen in enumerate(observations):
        for blame in seen.blames:
            for obj, factor, through in _reach(scene, blame.on, by_object, observations):
                if obj is not seen.about and unfelt.why(obj) and not unfelt.unused(obj):
                    continue  # it is named, and what is wrong with it has not reached anybody
                for other in by_object.get(id(obj), []):
                    if other != index and observations[other].depth is not Depth.change:
                        links.append(Link(other, index, blame.strength * factor, blame.why + through))
        for claim in seen.explains:
            for other in by_object.get(id(claim.about), []):
                effect = observations[other]
                if other == index or effect.depth > claim.deepest or effect.depth is Depth.change:
                    continue
                if claim.reasons is None or effect.reason in claim.reasons:
                    links.append(Link(index, other, claim.strength, claim.why))
    return links


def _on_one_object(observations: Sequence[Observation], members: list[int]) -> list[Link]:
    return [
        Link(deeper, shallower, SAME_OBJECT, f"{observations[deeper].reason} accounts for it")
        for deeper in members
        for shallower in members
        if observations[shallower].depth < observations[deeper].depth < Depth.change
    ]


def _reach(
    scene: Scene, start: KubeObject, by_object: dict[int, list[int]], observations: Sequence[Observation]
) -> list[tuple[KubeObject, float, str]]:
    """The blamed object and what stands behind it, as far as things look healthy."""
    found: list[tuple[KubeObject, float, str]] = []
    seen = {id(start)}
    todo = [(start, 1.0, "", 0)]
    while todo:
        obj, factor, through, steps = todo.pop(0)
        found.append((obj, factor, through))
        broken = any(not observations[i].latent for i in by_object.get(id(obj), []))
        # A Service's lack of endpoints is only the shadow of its pods: look behind it all the same.
        if steps == FARTHEST or (broken and obj.kind != "Service"):
            continue
        for edge in scene.needs.of(obj):
            if edge.relation in _CARRIES and id(edge.to) not in seen:
                seen.add(id(edge.to))
                todo.append((edge.to, factor * edge.strength, f"; {edge.how}", steps + 1))
    return found


def _in_time(link: Link, observations: Sequence[Observation]) -> Link:
    cause, effect = observations[link.cause], observations[link.effect]
    if cause.onset and effect.onset and cause.onset > effect.onset + TOLERANCE:
        return Link(link.cause, link.effect, link.strength * LATE, f"{link.why} (though it began later)")
    return link


def _without_circles(observations: Sequence[Observation], links: list[Link]) -> Causality:
    kept = Causality(observations, [])
    for link in links:
        if link.effect == link.cause or link.cause in kept.all_effects(link.effect):
            continue
        kept.links.append(link)
        kept.effects.setdefault(link.cause, []).append(link)
        kept.explained_by.setdefault(link.effect, link)
    return kept
