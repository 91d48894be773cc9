"""Who fills a node that is, or was just, short of memory or disk: one workload that uses far more than it asked for.

Sees what the kubelet wrote into evicted pods (what each container used, and its request) and recorded usage of the pods
on the node. The workload with the largest use beyond its request is the cause of the pressure and of its neighbours'
evictions, when it alone accounts for at least half of all such use and for a good part of the node.
Use within a request is paid for: the node has room for it, whatever its size.
Cannot see what runs outside of pods, nor usage nobody recorded.

Rests on: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#pod-selection-for-kubelet-eviction
(usage beyond requests decides who goes first).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.analyzers.node_trouble import evicted, low_on
from services.context_api.domain.evidence import Fact
from services.context_api.domain.kube import at, entries, pod_spec, quantity, text
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import name_of, size

NAME = "node_filled"
MOST = 0.5
"""Share of all use beyond requests that one workload must have to be the cause."""

PART = 0.1
"""Share of the node's allocatable amount below which nobody fills it."""

_USING = re.compile(
    r"Container ([a-z0-9.-]+) was using (\d[\w.]*?), (?:request is|which exceeds its request of) (\d[\w.]*?)(?=[,.\s]|$)"
)
_METRICS = {"memory": ("container_memory_working_set_bytes", "container_memory_rss"),
            "ephemeral-storage": ("container_fs_usage_bytes", "kubelet_container_log_filesystem_used_bytes")}  # fmt: skip
_PRESSURE = {
    "NodeMemoryPressure": "memory",
    "NodeDiskPressure": "ephemeral-storage",
    "NodeDiskFull": "ephemeral-storage",
}


@dataclass(slots=True)
class _Use:
    """What one workload uses of a node, and asked for."""

    top: KubeObject
    used: float = 0.0
    asked: float = 0.0
    facts: list[Fact] = field(default_factory=list)

    @property
    def beyond(self) -> float:
        return max(self.used - self.asked, 0.0)


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """At most one observation per node and resource."""
    short = {(o.about.name, r): o for o in seen if o.about.kind == "Node" and (r := _resource(o))}
    for (name, resource), why in sorted(short.items()):
        uses = sorted(
            _uses(scene, name, resource), key=lambda u: (-u.beyond, u.top.namespace or "", u.top.name)
        )
        total = sum(u.beyond for u in uses)
        whole = quantity(at(why.about.status, "allocatable", resource)) or 0.0
        if uses and total > 0 and uses[0].beyond >= MOST * total and uses[0].beyond >= PART * whole > 0:
            yield _observation(scene, why.about, resource, uses[0], [u for u in uses[1:] if u.used], seen)


def _resource(seen: Observation) -> str:
    if seen.reason in _PRESSURE:
        return _PRESSURE[seen.reason]
    return low_on(seen.text) if seen.reason == "NodeWasUnderPressure" else ""


def _uses(scene: Scene, node: str, resource: str) -> list[_Use]:
    """Use per workload: of evicted pods by the kubelet's message, of living ones by recorded metrics."""
    found: dict[int, _Use] = {}

    def of(pod: KubeObject) -> _Use:
        top = scene.graph.top(pod)
        return found.setdefault(id(top), _Use(top))

    for pod in evicted(scene):
        message = text(pod.status.get("message"))
        if pod.spec.get("nodeName") != node or low_on(message) != resource:
            continue
        for _, used, asked in _USING.findall(message[:4000]):
            one = of(pod)
            one.used += quantity(used) or 0.0
            one.asked += quantity(asked) or 0.0
            told = quote(message)
            one.facts.append(
                evidence.field(pod, "status.message", told, f"pod {pod.name} was evicted: {told}")
            )
    for pod in scene.graph.pods_on(node):
        _measure(scene, pod, resource, of)
    return list(found.values())


def _measure(scene: Scene, pod: KubeObject, resource: str, of: Callable[[KubeObject], _Use]) -> None:
    requests = {text(c.get("name")): quantity(at(c, "resources", "requests", resource)) or 0.0 for c in entries(pod.spec.get("containers"))}  # fmt: skip
    for series in scene.metrics.of_pod(pod.namespace, pod.name):
        name = series.labels.get("container", "")
        if name in requests and (series.name or series.query).partition("{")[0] in _METRICS[resource]:
            one = of(pod)
            one.used += series.last
            one.asked += requests.pop(name)
            one.facts.append(evidence.metric(series, pod))


def _observation(
    scene: Scene,
    node: KubeObject,
    resource: str,
    most: _Use,
    others: Sequence[_Use],
    seen: Sequence[Observation],
) -> Observation:
    victims = [o for o in seen if o.reason == "Evicted" and o.about is not most.top and node.name in o.text]
    workload = next(iter(scene.graph.workloads_of(most.top)), most.top)
    limits = [
        text(at(c, "resources", "limits", resource)) for c in entries(pod_spec(workload).get("containers"))
    ]
    words = (
        f"{name_of(most.top)} uses {size(most.used)} of {resource} on node {node.name} and asked for {size(most.asked)}: "
        f"most of what is used there beyond requests"
    )
    words += "" if all(limits) and limits else f"; it has no {resource} limit"
    if others:
        words += (
            f"; the next is {name_of(others[0].top)} with {size(others[0].used)} of {size(others[0].asked)}"
        )
    return Observation(
        about=most.top,
        reason="FillsNodeMemory" if resource == "memory" else "FillsNodeDisk",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.85 if others or victims else 0.75,
        facts=tuple(most.facts[:3]),
        basis=(f"what it uses of {resource} beside what it asked for", "the node is or was just short of it"),
        remediation=remedies.edit(
            workload, f"Find out why {name_of(most.top)} uses so much {resource}; give it a request that says so, and a limit."
        ),
        explains=(
            Explains(node, 0.88, f"it fills node {node.name}"),
            *(Explains(o.about, 0.88, f"it filled node {node.name}", deepest=Depth.process) for o in victims),
        ),
    )  # fmt: skip
