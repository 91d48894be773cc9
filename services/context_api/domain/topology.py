"""The graph around one object: what it needs, what it is made of, and what is wrong with each.

Decides how far to go and what is cut. Edges are those along which triage follows a fault (`edges.py`), and downwards
from an owner to its pods. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from libs.contracts.context import Topology, TopologyEdge, TopologyNode
from libs.contracts.target import Target
from services.context_api.domain import evidence
from services.context_api.domain.edges import Edge
from services.context_api.domain.relation import Claims, claims
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.triage import Judged

FARTHEST = 6
MOST_NODES = 300
MOST_PODS = 20
"""Pods shown of one owner."""

GAPS = 20
REASONS = 8
"""Findings told of one node."""


def topology(judged: Judged, target: Target, *, depth: int) -> Topology:
    """Nodes within `depth` steps of the target, nearest first, and the edges between them."""
    scene, about = judged.scene, judged.about
    blamed = claims(judged.tree.observations)
    placed: dict[int, tuple[KubeObject, int]] = {}
    edges: list[tuple[KubeObject, Edge | Blamed]] = []
    left = 0
    level = [about] if about is not None else []
    for distance in range(depth + 1):
        onward: dict[int, KubeObject] = {}
        for obj in level:
            if len(placed) >= MOST_NODES:
                left += 1
                continue
            placed[id(obj)] = (obj, distance)
            ways: list[Edge | Blamed] = [*_edges(scene, obj, first=distance == 0), *_blamed(obj, blamed)]
            for edge in ways:
                edges.append((obj, edge))
                onward.setdefault(id(edge.to), edge.to)
        level = [obj for key, obj in onward.items() if key not in placed]
    beyond = len(level) + left
    return Topology(
        target=target,
        nodes=list(_nodes(judged, placed)),
        edges=[
            TopologyEdge(
                source=str(obj),
                target=str(edge.to),
                relation=edge.relation,
                how=edge.how,
                strength=edge.strength,
            )
            for obj, edge in edges
            if id(edge.to) in placed
        ],
        cut=f"{beyond} more objects are farther than {depth} steps, or over the limit of {MOST_NODES}; ask about one of them"
        if beyond
        else None,
        not_looked_at=list(judged.not_looked_at[:GAPS]),
        snapshot_at=scene.now,
    )


@dataclass(frozen=True, slots=True)
class Blamed:
    """An edge that a finding draws: `to` is held to be why."""

    to: KubeObject
    how: str
    strength: float
    relation: str = "blames"


def _blamed(obj: KubeObject, blamed: Claims) -> Iterator[Blamed]:
    best: dict[int, Blamed] = {}
    for to, strength, why in blamed.get(id(obj), []):
        if to is not obj and (id(to) not in best or best[id(to)].strength < strength):
            best[id(to)] = Blamed(to, why, strength)
    yield from best.values()


def _edges(scene: Scene, obj: KubeObject, *, first: bool) -> Iterator[Edge]:
    # What else runs on a node or lies in a namespace matters only when the question is about that node or namespace.
    needed = scene.needs.whole(obj) if first else scene.needs.of(obj)
    yield from needed
    known = {id(edge.to) for edge in needed}
    for pod in scene.graph.pods_of(obj)[:MOST_PODS]:
        if pod is not obj and id(pod) not in known:
            yield Edge(pod, "owned", f"{obj.kind} {obj.name} owns it")


def _nodes(judged: Judged, placed: dict[int, tuple[KubeObject, int]]) -> Iterator[TopologyNode]:
    reasons: dict[int, list[str]] = {}
    for seen in judged.tree.observations:
        if not seen.latent:
            reasons.setdefault(id(seen.about), []).append(seen.reason)
    for key, (obj, distance) in placed.items():
        target = evidence.target_of(obj, judged.scene.snapshot.cluster)
        if target is not None:
            found = list(dict.fromkeys(reasons.get(key, [])))[:REASONS]
            yield TopologyNode(id=str(obj), target=target, distance=distance, findings=found)
