"""Nodes that are not ready or under pressure, and pods evicted from them.

Sees node conditions (those of node-problem-detector too), the kubelet's silence, eviction messages with the resource.
A pod evicted for its own limit (ephemeral storage, an emptyDir's size) is its own doing, not its node's.
The kubelet takes a pressure condition back minutes after the evictions: a node that pods were evicted from within the
hour was under pressure (latent, it counts by what it explains). Who fills a node is told by `node_filled`.
An eviction of more than half an hour ago is over where the node has reported no pressure since and its owner is whole, or
its run complete. A cordoned node that is ready is healthy. Cannot see the machine under the node, nor what a condition of an unknown
type means.

Rests on: https://kubernetes.io/docs/reference/node/node-status/#condition,
https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/,
https://github.com/kubernetes/node-problem-detector (condition names).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.containers import is_ready
from services.context_api.domain.kube import Condition, conditions, listing, number, replicas, text
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.wording import clock, name_of, pods_by_top

NAME = "node_trouble"
RECENT = timedelta(hours=1)
"""An eviction older than this, with the pod replaced since, is history."""

HEALED = timedelta(minutes=30)
"""How long node and owner must have been well for an eviction to be over before that. A guess."""

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
_PROBLEM = re.compile(r"^(?:Frequent\w+|Corrupt\w+|\w+(?:Problem|Deadlock|Unhealthy)|ReadonlyFilesystem)$")
"""How node-problem-detector and its kin name what is wrong while True. Others (`EtcdIsVoter`) are good news."""

_OWN_LIMIT = re.compile(
    r"exceeds the limit|exceeds the total limit of containers|exceeded its local ephemeral storage limit"
)
_LOW_ON = re.compile(r"low on resource: ([\w-]+)")


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per troubled node, and one per workload whose pods were evicted."""
    gone = evicted(scene)
    for node in scene.graph.of_kind("Node"):
        if node.metadata.get("deletionTimestamp"):
            continue
        for state in conditions(node):
            if state.type == "Ready" and state.status in ("False", "Unknown"):
                yield _observation(scene, node, state, "NodeNotReady")
            elif state.status == "True" and (state.type in _PRESSURES or _PROBLEM.match(state.type)):
                yield _observation(scene, node, state, f"Node{state.type.removeprefix('Node')}")
        yield from _was_under_pressure(scene, node, gone)
    yield from _evictions(scene)


def evicted(scene: Scene) -> list[KubeObject]:
    """Pods the kubelet evicted within the hour, but for those whose node and whose owner have long been well again."""
    return [
        p
        for p in scene.snapshot.of_kind("Pod")
        if p.status.get("reason") == "Evicted"
        and (moment := _when(p)) is not None
        and scene.now - moment <= RECENT
        and not (
            scene.now - moment > HEALED and low_on(text(p.status.get("message"))) and _well_since(scene, p)
        )
    ]


def _well_since(scene: Scene, pod: KubeObject) -> bool:
    """Whether its node reports no pressure for a good while, and what it was a part of is whole or has done its work."""
    node = scene.graph.get("Node", None, text(pod.spec.get("nodeName")))
    states = [c for c in conditions(node) if c.type in _PRESSURES] if node is not None else []
    if not states or any(
        c.status == "True" or c.since is None or scene.now - c.since < HEALED for c in states
    ):
        return False
    # Above a run stands its schedule, which has never done its work.
    run, owner = scene.graph.owner(pod), scene.graph.workload(pod)
    if run is not None and run.kind == "Job":
        return any(c.type == "Complete" and c.status == "True" for c in conditions(run))
    if owner.kind == "DaemonSet":
        return (
            0 < number(owner.status.get("desiredNumberScheduled")) <= number(owner.status.get("numberReady"))
        )
    others = [p for p in scene.graph.pods_of(owner) if p is not pod]
    return owner is not pod and 0 < replicas(owner) <= sum(map(is_ready, others))


def low_on(message: str) -> str:
    """`memory` or `ephemeral-storage`: what the node was short of; other disk signals count as the latter."""
    found = _LOW_ON.search(message)
    if found is None:
        return ""
    return "ephemeral-storage" if found[1] in ("nodefs", "imagefs", "inodes", "containerfs") else found[1]


def _was_under_pressure(scene: Scene, node: KubeObject, gone: Sequence[KubeObject]) -> Iterator[Observation]:
    """Pods were evicted from it, and its condition is well again."""
    resources: dict[str, list[KubeObject]] = {}
    for pod in gone:
        resource = low_on(text(pod.status.get("message")))
        if resource and pod.spec.get("nodeName") == node.name:
            resources.setdefault(resource, []).append(pod)
    for resource, pods in resources.items():
        kind = (
            "MemoryPressure"
            if resource == "memory"
            else "PIDPressure"
            if resource == "pids"
            else "DiskPressure"
        )
        if any(c.type == kind and c.status == "True" for c in conditions(node)):
            continue
        first = min(pods, key=lambda p: (_when(p) or scene.now, p.name))
        message = quote(text(first.status.get("message")))
        yield Observation(
            about=node,
            reason="NodeWasUnderPressure",
            text=f"{name_of(node)} was low on resource: {resource} at {clock(_when(first))} and evicted {len(pods)} pods "
            f"({listing([p.name for p in pods], 2)}): `{message}`",
            severity=FindingSeverity.warning,
            analyzer=NAME,
            depth=Depth.mechanism,
            certainty=0.75,
            facts=(
                evidence.field(
                    first, "status", {"reason": "Evicted", "message": message},
                    f"pod {first.name} was evicted from node {node.name}: {message}", _when(first),
                ),
            ),
            basis=("the kubelet's word in the evicted pods' status", "its condition has been taken back since"),
            onset=_when(first),
            remediation=remedies.look(node, f"Look what used {resource} on node {node.name}."),
            latent=True,
        )  # fmt: skip


def _observation(scene: Scene, node: KubeObject, state: Condition, reason: str) -> Observation:
    tops = {id(t): t for t in map(scene.graph.top, scene.graph.pods_on(node.name))}
    silent = state.status == "Unknown"
    words = (
        f"{name_of(node)} is not ready"
        if reason == "NodeNotReady"
        else f"{name_of(node)} reports {state.type}"
    )
    words += f" since {clock(state.since)}" + (": its kubelet has stopped reporting" if silent else "")
    words += f" ({state.reason}: {quote(state.message)})" if state.message else ""
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
    for top, pods in pods_by_top(scene, evicted(scene)):
        message = quote(text(pods[0].status.get("message")))
        low = _LOW_ON.search(message)
        own = low is None and _OWN_LIMIT.search(message) is not None
        node = None if own else scene.graph.get("Node", None, text(pods[0].spec.get("nodeName")))
        yield Observation(
            about=top,
            reason="EvictedOverLimit" if own else "Evicted",
            text=f"{len(pods)} pods of {name_of(top)} were evicted from {text(pods[0].spec.get('nodeName')) or 'their node'}"
            f"{f', which was low on {low[1]}' if low else ''}{' for a limit of their own' if own else ''}: `{message}`",
            severity=FindingSeverity.warning,
            analyzer=NAME,
            depth=Depth.mechanism if own else Depth.process,
            certainty=0.88 if own else 0.75,
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
                f"Let {name_of(top)} write less to its containers and emptyDir volumes, or raise that limit."
                if own
                else f"Give {name_of(top)} requests that match what it uses, or relieve the node.",
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
