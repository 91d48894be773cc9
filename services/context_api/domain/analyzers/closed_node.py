"""Nodes somebody tainted, cordoned or relabelled, after which pods found no place.

Sees taints, cordons and labels that the scheduler's reason turns on, and in managedFields who set them and when.
A node that was always so is no news: then the workload must fit it (`unschedulable`).
Cannot know why it was done, nor see a label that was taken off (nothing remembers it).

Rests on: kubernetes.io/docs, "Taints and Tolerations", "Safely Drain a Node", "Assigning Pods to Nodes".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from libs.contracts.causes import FindingSeverity, Remediation
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import Edit, last_edit
from services.context_api.domain.kube import entries, text
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import Body, KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "closed_node"
_NAMED = frozenset({"UntoleratedTaint", "NodesCordoned", "NodeSelectorMismatch", "InsufficientResources"})


@dataclass(frozen=True, slots=True)
class _Closing:
    """One thing that was done to a node, and how it is undone."""

    reason: str
    what: str
    command: str
    undo: str | None
    stuck: tuple[Observation, ...]


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per node that was closed before pods got stuck."""
    stuck = [o for o in seen if o.analyzer == "unschedulable" and o.reason in _NAMED]
    for node in scene.graph.of_kind("Node") if stuck else ():
        edit = last_edit(node)
        if edit is None:
            continue
        before = [o for o in stuck if o.onset is None or edit.at <= o.onset]
        closing = (
            _tainted(node, edit, before) or _cordoned(node, edit, before) or _relabelled(node, edit, before)
        )
        if closing is not None:
            yield _observation(node, edit, closing)


def _tainted(node: KubeObject, edit: Edit, stuck: Sequence[Observation]) -> _Closing | None:
    if not any("taints" in path for path in edit.paths):
        return None
    taints = [t for t in entries(node.spec.get("taints")) if _set_by_hand(t)]
    told = tuple(o for o in stuck if any(text(t.get("key")) in o.text for t in taints))
    if not told:
        return None
    shown = [
        f"{text(t.get('key'))}{'=' + text(t.get('value')) if t.get('value') else ''}:{text(t.get('effect'))}"
        for t in taints
    ]
    keys = [f"{text(t.get('key'))}-" for t in taints]
    return _Closing(
        "NodeTainted",
        f"got the taint `{', '.join(shown)}`",
        remedies.kubectl(node, "taint", "nodes", node.name, *keys),
        remedies.kubectl(node, "taint", "nodes", node.name, *shown),
        told,
    )


def _set_by_hand(taint: Body) -> bool:
    return bool(text(taint.get("key"))) and not text(taint.get("key")).startswith("node.kubernetes.io/")


def _cordoned(node: KubeObject, edit: Edit, stuck: Sequence[Observation]) -> _Closing | None:
    told = tuple(o for o in stuck if "unschedulable" in o.text)
    if (
        node.spec.get("unschedulable") is not True
        or not any("unschedulable" in p for p in edit.paths)
        or not told
    ):
        return None
    uncordon, cordon = (remedies.kubectl(node, word, node.name) for word in ("uncordon", "cordon"))
    return _Closing("NodeCordoned", "was cordoned", uncordon, cordon, told)


def _relabelled(node: KubeObject, edit: Edit, stuck: Sequence[Observation]) -> _Closing | None:
    """A label set to another value than the stuck pods select."""
    for key in [p.removeprefix("metadata.labels.") for p in edit.paths if p.startswith("metadata.labels.")]:
        value = text(node.labels.get(key))
        told = tuple(o for o in stuck if f"`{key}=" in o.text and f"`{key}={value}`" not in o.text)
        if told:
            command = remedies.kubectl(
                node, "label", "node", node.name, f"{key}=<what the pods select>", "--overwrite"
            )
            undo = remedies.kubectl(node, "label", "node", node.name, f"{key}={value}", "--overwrite")
            return _Closing("NodeRelabelled", f"got the label `{key}={value}`", command, undo, told)
    return None


def _observation(node: KubeObject, edit: Edit, closing: _Closing) -> Observation:
    stuck = closing.stuck
    return Observation(
        about=node,
        reason=closing.reason,
        text=f"{name_of(node)} {closing.what} at {clock(edit.at)} (by {edit.by}); since then it takes no pods of "
        + ", ".join(name_of(o.about) for o in stuck[:3]),
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.88,
        facts=(
            evidence.change(
                node, f"{name_of(node)} {closing.what}", {"what": closing.what, "by": edit.by}, edit.at
            ),
        ),
        basis=("the node's managedFields say who did it and when", "the scheduler names it as the reason"),
        onset=edit.at,
        remediation=Remediation(
            text=f"Open node {node.name} again, when whoever closed it is done.",
            command=closing.command,
            risk="Pods will be placed there again.",
            undo=closing.undo,
        ),
        explains=tuple(
            Explains(
                o.about, 0.85, f"the scheduler passes over node {node.name}", reasons=frozenset({o.reason})
            )
            for o in stuck
        ),
    )
