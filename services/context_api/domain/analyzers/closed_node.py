"""Nodes somebody tainted or cordoned, after which pods found no place.

Sees taints and cordons that the scheduler names, and in managedFields who set them and when. A node that was
always tainted is no news: then the workload must tolerate it (`unschedulable`). Cannot know why it was closed.

Rests on: kubernetes.io/docs, "Taints and Tolerations", "Safely Drain a Node".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per node that was closed before the pods got stuck."""
    stuck = [o for o in seen if o.analyzer == "unschedulable" and o.reason in _NAMED]
    if not stuck:
        return
    for node in scene.graph.of_kind("Node"):
        edit = last_edit(node)
        if edit is None:
            continue
        closed = node.spec.get("unschedulable") is True and any("unschedulable" in p for p in edit.paths)
        taints = (
            [t for t in entries(node.spec.get("taints")) if _set_by_hand(t)]
            if any("taints" in p for p in edit.paths)
            else []
        )
        told = [
            o
            for o in stuck
            if (closed and "unschedulable" in o.text) or any(text(t.get("key")) in o.text for t in taints)
        ]
        told = [o for o in told if o.onset is None or edit.at <= o.onset]
        if told:
            yield _observation(node, edit, closed, taints, told)


def _set_by_hand(taint: Body) -> bool:
    return bool(text(taint.get("key"))) and not text(taint.get("key")).startswith("node.kubernetes.io/")


def _observation(
    node: KubeObject, edit: Edit, closed: bool, taints: list[Body], stuck: list[Observation]
) -> Observation:
    shown = [
        f"{text(t.get('key'))}{'=' + text(t.get('value')) if t.get('value') else ''}:{text(t.get('effect'))}"
        for t in taints
    ]
    what = "was cordoned" if closed and not taints else f"got the taint `{', '.join(shown)}`"
    return Observation(
        about=node,
        reason="NodeTainted" if taints else "NodeCordoned",
        text=f"{name_of(node)} {what} at {clock(edit.at)} (by {edit.by}); since then it takes no pods of "
        + ", ".join(name_of(o.about) for o in stuck[:3]),
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.88,
        facts=(
            evidence.change(
                node, f"{name_of(node)} {what}", {"taints": shown, "cordoned": closed, "by": edit.by}, edit.at
            ),
        ),
        basis=("the node's managedFields say who closed it and when", "the scheduler names it as the reason"),
        onset=edit.at,
        remediation=Remediation(
            text=f"Open node {node.name} again, when whoever closed it is done.",
            command=remedies.kubectl(
                node, "taint", "nodes", node.name, *(f"{text(t.get('key'))}-" for t in taints)
            )
            if taints
            else remedies.kubectl(node, "uncordon", node.name),
            risk="Pods will be placed there again.",
            undo=remedies.kubectl(node, "taint", "nodes", node.name, *shown)
            if taints
            else remedies.kubectl(node, "cordon", node.name),
        ),
        explains=tuple(
            Explains(
                o.about, 0.85, f"the scheduler passes over node {node.name}", reasons=frozenset({o.reason})
            )
            for o in stuck
        ),
    )
