"""Pods no node takes, with the scheduler's reason taken apart.

Sees the scheduler's message, what the pod asks for against what the nodes have left, its node selector
and affinity against the nodes' labels, taints it does not tolerate, claims that are not bound.
Blames a claim or a node where the message points there; a node whose taint or cordon is newer than the pod
is blamed rather than the workload. No fault are pods of a priority below zero that lack nothing but room, and those to
which an autoscaler promised a node no longer ago than one takes to come (`meant`).
Cannot see what an autoscaler will do about it that has said nothing.

Rests on: kubernetes.io/docs, "Kubernetes Scheduler", "Taints and Tolerations", "Assigning Pods to Nodes".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.capacity import requests_of
from services.context_api.domain.kube import (
    at,
    condition,
    entries,
    flat,
    listing,
    mapping,
    text,
)
from services.context_api.domain.logs import quote
from services.context_api.domain.meant import awaits_node, yields
from services.context_api.domain.observation import Blame, Depth, Observation
from services.context_api.domain.placement import may_go_to, untolerated
from services.context_api.domain.references import references
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, how_many, pods_by_top, size

NAME = "unschedulable"
_PART = re.compile(
    r"(?<!\d)(\d{1,6}) ((?:node\(s\)|Insufficient|Too many|No preemption|Preemption)[^,{]*(?:\{[^}]*\})?[^,]*?)(?=,|\.\s|\.$|$)"
)
_TAINT = re.compile(r"taints? \{([^:}\s]+)\s?:\s?([^}]*)\}")
_SYSTEM_TAINT = "node.kubernetes.io/"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The scheduler's message, taken apart."""

    message: str
    parts: tuple[tuple[int, str], ...]
    """(nodes, reason) as the message counts them."""

    def has(self, words: str) -> bool:
        return words in self.message


def read(message: str) -> Verdict:
    """Take apart `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {…}.`"""
    main = message.split(" preemption:")[0]
    _, _, reasons = main.partition("available:")
    return Verdict(
        message, tuple((int(n), r.strip()) for n, r in _PART.findall(reasons[:4000].strip().rstrip(".")))
    )


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per workload whose pods cannot be placed, and one per node to blame."""
    stuck = {id(p): said for p in scene.graph.pods if (said := _said(scene, p)) and not _goes_last(p, said)}
    for top, pods in pods_by_top(scene, [p for p in scene.graph.pods if id(p) in stuck]):
        yield from _judge(scene, top, pods, read(stuck[id(pods[0])]))


def _goes_last(pod: KubeObject, said: str) -> bool:
    """Whether it lacks nothing but room, and was told to let others have that first."""
    parts = read(said).parts
    return yields(pod) and bool(parts) and all(reason.startswith("Insufficient") for _, reason in parts)


def _said(scene: Scene, pod: KubeObject) -> str:
    """Why the scheduler does not place this pod; empty when it has, or has not said."""
    if text(pod.spec.get("nodeName")) or pod.status.get("phase") not in (None, "Pending"):
        return ""
    if awaits_node(scene, pod):
        return ""
    placed = condition(pod, "PodScheduled")
    if placed is not None and placed.status == "False":
        if placed.reason == "SchedulingGated":
            gates = [text(g.get("name")) for g in entries(pod.spec.get("schedulingGates"))]
            return f"scheduling is held back by gates: {listing(gates)}"
        return placed.message or placed.reason
    events = [e for e in scene.graph.events_about(pod) if e.reason == "FailedScheduling"]
    return events[-1].message if events else ""


def _judge(scene: Scene, top: KubeObject, pods: list[KubeObject], said: Verdict) -> Iterator[Observation]:
    pod = pods[0]
    workload = scene.graph.workload(pod)
    details = [
        d
        for d in (
            _resources(scene, pod, said),
            _placement(scene, pod, said),
            _taints(scene, pod, said),
            _changed(scene, workload),
        )
        if d
    ]
    words = f"No node takes {how_many(scene, top, pods)}: `{quote(said.message)}`" + "".join(
        f"; {d}" for d in details
    )
    onset = _since(pods)
    claims = _claims(scene, pod, said)
    nodes = _nodes(scene, pod, said)
    yield Observation(
        about=top,
        reason=_reason(said),
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.88,
        facts=tuple(_facts(scene, pods)),
        basis=("the scheduler's own reason", *details[:2]),
        onset=onset,
        remediation=remedies.edit(
            workload, f"Let the pods of {workload.kind} {workload.name} fit a node: {_advice(said)}"
        ),
        blames=(
            *(Blame(c, 0.95, "the scheduler waits for this claim") for c in claims),
            *(Blame(n, 0.85, "the scheduler passes over this node") for n in nodes),
        ),
    )


def _reason(said: Verdict) -> str:
    """A stable word for the first thing that stands in the way."""
    for words, reason in (
        ("Insufficient", "InsufficientResources"),
        ("persistentvolumeclaim", "VolumeNotReady"),
        ("PersistentVolumeClaims", "VolumeNotReady"),
        ("volume node affinity", "VolumeNotReady"),
        ("untolerated taint", "UntoleratedTaint"),
        ("had taint", "UntoleratedTaint"),
        ("affinity/selector", "NodeSelectorMismatch"),
        ("node selector", "NodeSelectorMismatch"),
        ("anti-affinity", "PodAntiAffinity"),
        ("pod affinity", "PodAffinity"),
        ("topology spread", "TopologySpread"),
        ("max volume count", "TooManyVolumes"),
        ("cannot allocate all claims", "DeviceNotAvailable"),
        ("resourceclaim", "DeviceNotAvailable"),
        ("unschedulable", "NodesCordoned"),
        ("free ports", "HostPortTaken"),
        ("Too many pods", "TooManyPods"),
        ("gates", "SchedulingGated"),
    ):
        if said.has(words):
            return reason
    return "Unschedulable"


def _advice(said: Verdict) -> str:
    if said.has("Insufficient"):
        return "lower its requests, or add a node."
    if said.has("taint"):
        return "tolerate the taint, or take it off the node."
    if said.has("affinity") or said.has("selector"):
        return "correct its node selector or affinity, or label a node."
    return "see the scheduler's reason."


def _since(pods: list[KubeObject]) -> datetime | None:
    moments = [m for p in pods if (c := condition(p, "PodScheduled")) and (m := c.since or p.created_at)]
    return min(moments, default=None) or min((p.created_at for p in pods if p.created_at), default=None)


def _facts(scene: Scene, pods: list[KubeObject]) -> Iterator[evidence.Fact]:
    placed = condition(pods[0], "PodScheduled")
    if placed is not None:
        yield evidence.field(
            pods[0],
            "status.conditions[PodScheduled]",
            {"status": placed.status, "reason": placed.reason, "message": placed.message},
            f"pod {pods[0].name}: {quote(placed.message)}",
            placed.since,
        )
    for event in [e for e in scene.graph.events_about(pods[0]) if e.reason == "FailedScheduling"][-1:]:
        yield evidence.event(pods[0], event)


def _resources(scene: Scene, pod: KubeObject, said: Verdict) -> str:
    """`asks 8 cpu; the roomiest node, n1, has 1.2 of 4 left`, per resource that does not suffice."""
    short = list(
        dict.fromkeys(
            reason.split()[1]
            for _, reason in said.parts
            if reason.startswith("Insufficient ") and len(reason.split()) > 1
        )
    )
    if not short:
        return ""
    asked = requests_of(pod.spec)
    told = []
    for name in short[:3]:
        want = asked.get(name)
        if want is None:
            continue
        words = f"each pod asks for {_amount(name, want)} {name}"
        room = scene.capacity.roomiest(name)
        if room is not None:
            node, free, whole = room
            words += f", the roomiest node {node} has {_amount(name, max(free, 0.0))} of {_amount(name, whole)} left"
        told.append(words)
    return "; ".join(told)


def _amount(name: str, value: float) -> str:
    return size(value) if "memory" in name or "storage" in name else f"{value:.4g}"


def _placement(scene: Scene, pod: KubeObject, said: Verdict) -> str:
    """Which part of the node selector or affinity no node fulfils."""
    if not (said.has("affinity") or said.has("selector")):
        return ""
    nodes = scene.graph.of_kind("Node")
    wanted = flat(pod.spec.get("nodeSelector"))
    for key, value in sorted(wanted.items()):
        have = sorted({text(n.labels.get(key)) for n in nodes if key in n.labels})
        if nodes and value not in have:
            others = f"nodes have {key} = {listing(have, 4)}" if have else "no node carries that label key"
            return f"its nodeSelector wants `{key}={value}`, {others}"
    if wanted:
        return f"its nodeSelector is `{','.join(f'{k}={v}' for k, v in sorted(wanted.items()))}`"
    required = mapping(
        at(pod.spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    )
    terms = [
        f"{text(e.get('key'))} {text(e.get('operator'))} {e.get('values') or ''}".strip()
        for term in entries(required.get("nodeSelectorTerms"))
        for e in entries(term.get("matchExpressions"))
    ]
    return f"its node affinity requires {listing(terms)}" if terms else ""


def _taints(scene: Scene, pod: KubeObject, said: Verdict) -> str:
    """The taints in the way and the nodes that bear them: those of the message, else those of the nodes it may use."""
    named = {m[1]: m[2].strip() for _, reason in said.parts if (m := _TAINT.search(reason))}
    nodes = scene.graph.of_kind("Node")
    if not named and said.has("taint"):
        named = {
            text(t.get("key")): text(t.get("value"))
            for n in nodes
            if may_go_to(pod.spec, n)
            for t in untolerated(pod.spec, n)
        }
    told = []
    for key, value in list(named.items())[:3]:
        bearing = [
            n.name for n in nodes if any(text(t.get("key")) == key for t in entries(n.spec.get("taints")))
        ]
        where = listing(bearing, 4) if bearing else "the nodes"
        told.append(f"taint `{key}{'=' + value if value else ''}` on {where} is not tolerated")
    return "; ".join(told)


def _changed(scene: Scene, workload: KubeObject) -> str:
    """What the newest rollout changed about placement."""
    rollout = scene.rollouts.of(workload)
    if rollout is None:
        return ""
    words = (
        "resources",
        "nodeSelector",
        "affinity",
        "tolerations",
        "topologySpread",
        "priorityClass",
        "volumes",
    )
    changes = [c for c in rollout.changed(*words) if c.before or c.after]
    return (
        f"changed by the rollout at {clock(rollout.at)}: " + "; ".join(str(c) for c in changes[:3])
        if changes
        else ""
    )


def _claims(scene: Scene, pod: KubeObject, said: Verdict) -> list[KubeObject]:
    if not (said.has("ersistentvolumeclaim") or said.has("PersistentVolumeClaim") or said.has("volume")):
        return []
    names = [r.name for r in references(pod.spec) if r.kind == "PersistentVolumeClaim"]
    found = [scene.graph.get("PersistentVolumeClaim", pod.namespace, n) for n in names]
    return [c for c in found if c is not None and c.status.get("phase") != "Bound"]


def _nodes(scene: Scene, pod: KubeObject, said: Verdict) -> list[KubeObject]:
    """Nodes it might use that the scheduler passes over for a state of theirs (not ready, pressure, cordon)."""
    if not (said.has("taint") or said.has("unschedulable") or said.has("not ready")):
        return []
    return [
        n
        for n in scene.graph.of_kind("Node")
        if may_go_to(pod.spec, n)
        and (
            n.spec.get("unschedulable") is True
            or any(text(t.get("key")).startswith(_SYSTEM_TAINT) for t in untolerated(pod.spec, n))
        )
    ][:10]
