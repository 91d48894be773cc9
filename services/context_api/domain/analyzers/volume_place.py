"""Volumes that belong to a place which the pods that need them cannot reach: a node or zone that is gone, or closed.

Sees, for pods no node takes, the volumes bound to their claims, which labels of a node those require (a local disk's
host name, a zone), which recorded nodes have them, and what was told of a node of that name when it left. The volume is
the cause where no node has its labels; where one has them and is closed, the node is. What the scheduler says of nodes
in general is then only the consequence.
Cannot see a disk that is broken on a node that is there, nor where a zone's nodes would come from.

Rests on: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#node-affinity,
https://kubernetes.io/docs/concepts/storage/volumes/#local,
https://kubernetes.io/docs/setup/best-practices/multiple-zones/#storage-access-for-zones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.events import Event
from services.context_api.domain.kube import at, entries, listing, strings, text
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.placement import may_be_attached, may_go_to, untolerated
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.uses import CLAIM, used_by
from services.context_api.domain.wording import clock, name_of

NAME = "volume_place"
_LEFT = frozenset({"RemovingNode", "DeletingNode", "ScaleDown", "ScaleDownEmpty", "DisruptionTerminating"})
"""What controllers and autoscalers tell of a node that goes."""


@dataclass(frozen=True, slots=True)
class _Tied:
    """One bound volume of a pod that no node takes."""

    top: KubeObject
    pod: KubeObject
    claim: KubeObject
    volume: KubeObject


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per volume, or closed node, that keeps pods from every node."""
    nodes = scene.graph.of_kind("Node")
    told: set[int] = set()
    for tied in _tied(scene, seen) if nodes else ():
        there = [n for n in nodes if may_be_attached(tied.volume, n)]
        shut = [n for n in there if _shut(tied.pod, n)]
        culprit = tied.volume if not there else shut[0] if len(shut) == len(there) == 1 else None
        if culprit is None or id(culprit) in told:
            continue
        told.add(id(culprit))
        yield _gone(scene, tied) if culprit is tied.volume else _closed(tied, culprit)


def _tied(scene: Scene, seen: Sequence[Observation]) -> Iterator[_Tied]:
    for one in seen:
        if one.analyzer != "unschedulable":
            continue
        for pod in scene.graph.pods_of(one.about):
            if text(pod.spec.get("nodeName")):
                continue
            for _, claim in used_by(scene.graph, pod, CLAIM):
                bound = text(claim.spec.get("volumeName"))
                volume = scene.graph.get("PersistentVolume", None, bound) if bound else None
                if volume is not None and _required(volume):
                    yield _Tied(one.about, pod, claim, volume)


def _required(volume: KubeObject) -> list[tuple[str, str, list[str]]]:
    """(label, operator, values) that its node affinity asks for."""
    return [
        (text(e.get("key")), text(e.get("operator")), strings(e.get("values")))
        for term in entries(at(volume.spec, "nodeAffinity", "required", "nodeSelectorTerms"))
        for e in [*entries(term.get("matchExpressions")), *entries(term.get("matchFields"))]
    ]


def _shut(pod: KubeObject, node: KubeObject) -> bool:
    shut = node.spec.get("unschedulable") is True or bool(untolerated(pod.spec, node))
    return shut and may_go_to(pod.spec, node)


def _gone(scene: Scene, tied: _Tied) -> Observation:
    volume = tied.volume
    wanted = _required(volume)
    shown = listing([f"{key} {operator} {', '.join(values)}".strip() for key, operator, values in wanted])
    names = [value for _, _, values in wanted for value in values]
    left = [
        (name, event)
        for name in names
        for event in scene.graph.events.about_name("Node", None, name)
        if event.reason in _LEFT
    ]
    # Whoever removed it says more than the controller that noticed.
    left.sort(key=lambda one: one[1].reason != "RemovingNode")
    kind = "a local disk" if volume.spec.get("local") else "a volume"
    words = (
        f"{name_of(volume)}, bound to claim {tied.claim.namespace}/{tied.claim.name}, is {kind} whose node affinity requires `{shown}`, and none of the "
        f"{len(scene.graph.of_kind('Node'))} nodes has that, so {name_of(tied.top)} ({tied.pod.name}) fits nowhere"
    )
    words += "".join(_told(name, event) for name, event in left[-1:])
    return _observation(tied, volume, "VolumeTiedToMissingNode", words, left)


def _told(name: str, event: Event) -> str:
    return f"; node {name} left at {clock(event.last)} ({event.component or 'a controller'}: `{quote(event.message)}`)"


def _closed(tied: _Tied, node: KubeObject) -> Observation:
    keys = [text(t.get("key")) for t in untolerated(tied.pod.spec, node)]
    how = "cordoned" if node.spec.get("unschedulable") is True else f"tainted with {listing(keys)}"
    words = (
        f"Node {node.name} is {how}, and it alone has what {name_of(tied.volume)} of claim {tied.claim.namespace}/{tied.claim.name} requires of a node, "
        f"so {name_of(tied.top)} ({tied.pod.name}) fits nowhere"
    )
    return _observation(tied, node, "VolumeTiedToClosedNode", words, [])


def _observation(
    tied: _Tied, about: KubeObject, reason: str, words: str, left: Sequence[tuple[str, Event]]
) -> Observation:
    gone = about is tied.volume
    return Observation(
        about=about,
        reason=reason,
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.92,
        facts=(
            evidence.field(
                tied.volume, "spec.nodeAffinity", tied.volume.spec.get("nodeAffinity"), f"{name_of(tied.volume)} belongs to a place"
            ),
            *(evidence.event(tied.volume, event) for _, event in left[-1:]),
        ),
        basis=(
            "the volume's node affinity beside the labels of the nodes there are",
            *(("an event tells that the node left",) if left else ()),
        ),
        onset=next((e.last for _, e in left[-1:]), None),
        remediation=remedies.look(
            about,
            "Bring a node with that label back if its disk still is; else restore the data to a new volume."
            if gone
            else f"Open node {about.name} again, or move the data elsewhere.",
        ),
        explains=(Explains(tied.top, 0.95, "its volume can be used nowhere else"),),
    )  # fmt: skip
