"""Nodes that are not ready or under pressure, and pods evicted from them.

Sees node conditions, the kubelet's silence, eviction messages with the resource and who used too much.
A cordoned node that is ready is healthy. Cannot see the machine under the node.

Rests on: kubernetes.io/docs, "Node Status", "Node-pressure Eviction".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import Condition, conditions, listing, text
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.wording import clock, name_of, pods_by_top

NAME = "node_trouble"
RECENT = timedelta(hours=1)
"""An eviction older than this, with the pod replaced since, is history."""

_PRESSURES = frozenset(
    {
        "MemoryPressure",
        "DiskPressure",
        "PIDPressure",
        "NetworkUnavailable",
        "KernelDeadlock",
        "ReadonlyFilesystem",
    }
)
_LOW_ON = re.compile(r"low on resource: ([\w-]+)")


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per troubled node, and one per workload whose pods were evicted."""
    for node in scene.graph.of_kind("Node"):
        if node.metadata.get("deletionTimestamp"):
            continue
        for state in conditions(node):
            if state.type == "Ready" and state.status in ("False", "Unknown"):
                yield _observation(scene, node, state, "NodeNotReady")
            elif state.type in _PRESSURES and state.status == "True":
                yield _observation(scene, node, state, f"Node{state.type.removeprefix('Node')}")
    yield from _evictions(scene)


def _observation(scene: Scene, node: KubeObject, state: Condition, reason: str) -> Observation:
    tops = {
        id(t): t
        for p in scene.graph.pods
        if p.spec.get("nodeName") == node.name and (t := scene.graph.top(p))
    }
    silent = state.status == "Unknown"
    words = (
        f"{name_of(node)} is not ready"
        if reason == "NodeNotReady"
        else f"{name_of(node)} reports {state.type}"
    )
    words += f" since {clock(state.since)}" + (": its kubelet has stopped reporting" if silent else "")
    words += f" ({state.reason}: {cut(redact(state.message), 200)})" if state.message else ""
    if tops:
        words += f"; pods of {listing([name_of(t) for t in tops.values()])} run there"
    return Observation(
        about=node,
        reason=reason,
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.9,
        facts=(
            evidence.field(
                node,
                f"status.conditions[{state.type}]",
                {"status": state.status, "reason": state.reason, "message": state.message},
                f"{name_of(node)}: {state.type}={state.status}",
                state.since,
            ),
        ),
        basis=("the node's own conditions",),
        onset=state.since,
        remediation=remedies.look(
            node, f"Look at the machine behind node {node.name} (kubelet, disk, memory)."
        ),
        explains=tuple(
            Explains(
                t,
                0.75 if reason == "NodeNotReady" else 0.5,
                f"its pods run on node {node.name}",
                deepest=Depth.process,
            )
            for t in tops.values()
        ),
    )


def _evictions(scene: Scene) -> Iterator[Observation]:
    evicted = [
        p
        for p in scene.snapshot.of_kind("Pod")
        if text(p.status.get("reason")) == "Evicted"
        and (moment := _when(p)) is not None
        and scene.now - moment <= RECENT
    ]
    for top, pods in pods_by_top(scene, evicted):
        message = cut(redact(text(pods[0].status.get("message"))), 300)
        low = _LOW_ON.search(message)
        node = scene.graph.get("Node", None, text(pods[0].spec.get("nodeName")))
        yield Observation(
            about=top,
            reason="Evicted",
            text=f"{len(pods)} pods of {name_of(top)} were evicted from {text(pods[0].spec.get('nodeName')) or 'their node'}"
            f"{f', which was low on {low[1]}' if low else ''}: `{message}`",
            severity=FindingSeverity.warning,
            analyzer=NAME,
            depth=Depth.process,
            certainty=0.75,
            facts=(
                evidence.field(
                    pods[0],
                    "status",
                    {"reason": "Evicted", "message": message},
                    f"pod {pods[0].name} was evicted: {message}",
                    _when(pods[0]),
                ),
            ),
            basis=("the pods' own status",),
            onset=min((m for p in pods if (m := _when(p))), default=None),
            remediation=remedies.edit(
                scene.graph.workload(pods[0]),
                f"Give {name_of(top)} requests that match what it uses, or relieve the node.",
            ),
            blames=(Blame(node, 0.9, f"its pods were evicted from node {node.name}"),)
            if node is not None
            else (),
        )


def _when(pod: KubeObject) -> datetime | None:
    """When a pod was evicted: its disruption condition, else its newest condition, else its start."""
    states = conditions(pod)
    target = next((c.since for c in states if c.type == "DisruptionTarget" and c.since), None)
    return (
        target
        or max((c.since for c in states if c.since), default=None)
        or parse_time(pod.status.get("startTime"))
    )
