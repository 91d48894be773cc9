"""A node on which alone pods fail, while pods of the same kind elsewhere are well.

Sees, of the alert's workloads and of those in trouble, pods that complain of connections or get no sandbox, and pods of
the same template that do not. Where all that fail are on one node and none there is well, what they share is the node:
neither the release nor a setting nor the Service they call, which the others have as well. Surer with several
workloads, with pods on several other nodes that are well, and where a message names the node; surest where something
of the node is measured to be at its limit. A node whose limit alone is reached is a latent fault.
Cannot see the node's kernel log, nor what runs there outside of pods.

Rests on: https://github.com/prometheus/node_exporter (node_nf_conntrack_entries, node_filefd_allocated),
https://docs.kernel.org/networking/nf_conntrack-sysctl.html, https://runbooks.prometheus-operator.dev/ (NodeHighNumberConntrackEntriesUsed,
NodeFileDescriptorLimit); https://github.com/containernetworking/cni/blob/main/SPEC.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.analyzers import pod_sandbox
from services.context_api.domain.containers import is_ready
from services.context_api.domain.evidence import Fact
from services.context_api.domain.focus import concerned
from services.context_api.domain.kube import listing
from services.context_api.domain.logs import quote
from services.context_api.domain.metric_limits import Reached, reached
from services.context_api.domain.metrics import moment_of
from services.context_api.domain.observation import AGAINST, Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import stepped
from services.context_api.domain.uneven import node_of, uneven
from services.context_api.domain.wording import clock, name_of

NAME = "one_node"
ONE, MORE, NAMED, MEASURED = 0.5, 0.1, 0.1, 0.9
"""One workload with one pod elsewhere to compare; each kind of further comparison; the message names the node; measured."""

EXPLAINS = 0.85
RISEN = 2.0
TOGETHER = timedelta(minutes=20)
"""How far apart a rise and the limit it leads to may be: tables fill for a while."""


@dataclass(frozen=True, slots=True)
class _Lone:
    """One workload whose pods fail on one node alone."""

    top: KubeObject
    node: str
    bad: Sequence[KubeObject]
    good: Sequence[KubeObject]
    message: str
    fact: Fact
    since: datetime | None


def observe(scene: Scene) -> Iterator[Observation]:
    """One latent observation per node of which something is measured to be at its limit."""
    for node, full in _full(scene).items():
        about = scene.graph.get("Node", None, node)
        if about is not None:
            yield Observation(
                about=about,
                reason="NodeAtLimit",
                text=f"Node {node}: {full.told}",
                severity=FindingSeverity.critical,
                analyzer=NAME,
                depth=Depth.process,
                certainty=0.8,
                facts=(evidence.metric(full.series, about),),
                basis=("a recorded metric of the node, beside the one of its limit",),
                onset=full.since,
                remediation=remedies.look(about, f"Look at what on node {node} uses it, or raise the limit."),
                latent=True,
            )


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per node that several pods fail on and nobody else does."""
    by_node: dict[str, list[_Lone]] = {}
    for lone in (*_without_sandbox(scene, seen), *_complaining(scene, seen)):
        by_node.setdefault(lone.node, []).append(lone)
    full = _full(scene) if by_node else {}
    for name, lones in sorted(by_node.items()):
        node = scene.graph.get("Node", None, name)
        if node is not None:
            yield _observation(scene, node, lones, full.get(name))


def _full(scene: Scene) -> dict[str, Reached]:
    found: dict[str, Reached] = {}
    for one in reached(scene.graph, scene.metrics):
        if one.about.kind == "Node":
            found.setdefault(one.about.name, one)
    return found


def _without_sandbox(scene: Scene, seen: Sequence[Observation]) -> Iterator[_Lone]:
    for one in seen:
        if one.analyzer != pod_sandbox.NAME:
            continue
        failing = [(p, e) for p in scene.graph.pods_of(one.about) if (e := pod_sandbox.failure(scene, p))]
        good = [p for p in scene.graph.pods_of(one.about) if is_ready(p)]
        nodes = {node_of(p) for p, _ in failing}
        if len(nodes) == 1 and good and not nodes & {node_of(p) for p in good}:
            pod, event = failing[-1]
            yield _Lone(
                one.about, nodes.pop(), [p for p, _ in failing], good, redact(event.message),
                evidence.event(pod, event), one.onset,
            )  # fmt: skip


def _complaining(scene: Scene, seen: Sequence[Observation]) -> Iterator[_Lone]:
    for top in concerned(scene, seen):
        sides = uneven(scene, top)
        if sides is None or not sides.node:
            continue
        one = sides.bad[0]
        began = next((o.onset for o in seen if o.about is top and o.analyzer == "log_errors"), None)
        yield _Lone(
            top, sides.node, [b.pod for b in sides.bad], sides.good, one.line,
            evidence.log_line(one.pod, one.container, one.line, one.count), began,
        )  # fmt: skip


def _rose_then(scene: Scene, node: KubeObject, full: Reached) -> list[KubeObject]:
    """Workloads with a pod on the node of which something recorded rose when the limit was neared."""
    found: dict[int, KubeObject] = {}
    for pod in scene.graph.pods:
        if node_of(pod) != node.name or full.since is None:
            continue
        for series in scene.metrics.of_pod(pod.namespace, pod.name):
            step = stepped(series.points, RISEN)
            since = moment_of(step.since) if step is not None else None
            if since is not None and abs(since - full.since) <= TOGETHER:
                top = scene.graph.top(pod)
                found.setdefault(id(top), top)
    return list(found.values())


def _observation(scene: Scene, node: KubeObject, lones: Sequence[_Lone], full: Reached | None) -> Observation:
    others = sorted({node_of(p) for lone in lones for p in lone.good})
    named = any(node.name in lone.message for lone in lones)
    certainty = ONE + MORE * (len(lones) > 1) + MORE * (len(others) > 1) + NAMED * named
    lone = lones[0]
    words = (
        f"Only on node {node.name} do pods of {listing([name_of(one.top) for one in lones], 3)} fail: `{quote(lone.message)}`; "
        f"pods of the same kind on {listing(others, 3)} are well"
    )
    if full is not None:
        words += f"; {full.told}"
        rose = _rose_then(scene, node, full)
        words += (
            f"; at that time {listing([name_of(t) for t in rose], 3)} there began to use more" if rose else ""
        )
    onsets = [one.since for one in lones if one.since is not None]
    return Observation(
        about=node,
        reason="FailsOnlyHere",
        text=words,
        severity=FindingSeverity.critical if full is not None else FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=MEASURED if full is not None else min(certainty, 0.8),
        facts=(*(one.fact for one in lones[:3]), *((evidence.metric(full.series, node),) if full is not None else ())),
        basis=(
            f"{sum(len(one.bad) for one in lones)} pods on it fail, {sum(len(one.good) for one in lones)} of the same kind on other nodes do not",
            *((f"measured to be at its limit since {clock(full.since)}" if full.since else "measured to be at its limit",) if full is not None else ()),
            *(() if full is not None or named else (f"{AGAINST}nothing of the node itself tells of it",)),
        ),
        onset=full.since if full is not None and full.since is not None else min(onsets, default=None),
        remediation=remedies.look(node, f"Look at the network of node {node.name}; until it works, keep pods off it (`kubectl cordon {node.name}`)."),
        explains=tuple(Explains(one.top, EXPLAINS, f"only its pods on node {node.name} fail") for one in lones),
        latent=True,
    )  # fmt: skip
