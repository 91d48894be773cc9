"""A node whose processors are used up, and which of its workloads takes more of them than it asked for.

Sees recorded use of a node's processors (node exporter's idle time, or what recording rules make of it) that is almost
all, and recorded use of the pods on it. The workload that uses most beyond its request is why its neighbours there
wait, when it alone accounts for at least half of all such use and for a good part of the node: the scheduler shares by
requests, and who sets no limit takes what is idle at that moment. Tells which neighbours wait by their response times.
Use within a request is paid for, whatever its size; a node that is as busy always, or each day at this hour, is none,
nor is one on which every measured answer is as fast as before: who does batch work takes what is idle.
Cannot see what runs outside of pods, nor usage nobody recorded.

Rests on: https://github.com/prometheus/node_exporter (node_cpu_seconds_total, node_load1, node_pressure_cpu_waiting_seconds_total),
https://github.com/prometheus/node_exporter/tree/master/docs/node-mixin (instance:node_cpu_utilisation:rate5m),
https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md (container_cpu_usage_seconds_total),
https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#how-pods-with-resource-limits-are-run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.effect import unfelt_on
from services.context_api.domain.kube import at, entries, pod_spec, quantity, text
from services.context_api.domain.latency import pod_of, times
from services.context_api.domain.metrics import Series, moment_of
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.ordinary import is_ordinary
from services.context_api.domain.scene import Scene
from services.context_api.domain.series_of import node_of
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import stepped
from services.context_api.domain.wording import clock, name_of

NAME = "node_busy"
BUSY = 0.95
"""Share of a node's processors in use from which its pods wait for them."""

MOST = 0.5
"""Share of all use beyond requests that one workload must have to be the cause."""

PART = 0.25
"""Share of the node's processors below which nobody takes them."""

RISEN = 1.3
"""Times as busy as before from which a rise is told."""

ALL_SLOW, SHARED, ELSEWHERE = 0.92, 0.7, 0.3
"""How surely it explains slow requests: only pods of this node are slow; half of its pods are here; fewer."""

_IDLE = re.compile(r"^\s*1\s*-.*node_cpu_seconds_total\{[^}]*mode=\"idle\"", re.DOTALL)
_USED = re.compile(r"instance:node_cpu_(?:utilisation|utilization):\w+|instance:node_cpu:ratio\b")
_USAGE = "container_cpu_usage_seconds_total"
_RULES = re.compile(r"node_namespace_pod_container:container_cpu_usage_seconds_total:\w+")


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per node whose processors are used up."""
    for node, series in _busy(scene):
        step = stepped(series.points, RISEN)
        before = f", {step.before:.0%} before {clock(moment_of(step.since))}" if step is not None else ""
        yield Observation(
            about=node,
            reason="NodeCpuBusy",
            text=f"Node {node.name}: {series.last:.1%} of its CPU is in use{before} (recorded metric `{series.query[:160]}`)",
            severity=FindingSeverity.warning,
            analyzer=NAME,
            depth=Depth.process,
            certainty=0.6,
            facts=(evidence.metric(series, node),),
            basis=("a recorded metric of the node's processors",),
            onset=moment_of(step.since) if step is not None else None,
            remediation=remedies.look(node, f"Look at which pods use the CPU of node {node.name}."),
            explains=tuple(_waiting(scene, node, ())),
            latent=True,
        )


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """At most one workload per busy node."""
    busy = {o.about.name: o for o in seen if o.reason == "NodeCpuBusy"}
    series = {node.name: s for node, s in _busy(scene)} if busy else {}
    for name, why in sorted(busy.items()):
        uses = sorted(_uses(scene, name), key=lambda u: (-u.beyond, u.top.namespace or "", u.top.name))
        whole = quantity(at(why.about.status, "allocatable", "cpu")) or 0.0
        total = sum(u.beyond for u in uses)
        if uses and total > 0 and uses[0].beyond >= MOST * total and uses[0].used >= PART * whole > 0:
            yield _observation(scene, why, series[name], uses, whole)


def _busy(scene: Scene) -> Iterator[tuple[KubeObject, Series]]:
    """Nodes with the series that says so, the first of each."""
    told: set[str] = set()
    for series in scene.metrics.all:
        said = f"{series.name} {series.query}"
        if not (_IDLE.search(series.query) or _USED.search(said)) or not BUSY <= series.last <= 1.01:
            continue
        node = node_of(scene.graph, series)
        if node is None or node.name in told:
            continue
        told.add(node.name)
        ordinary = is_ordinary(series.points, (scene.onset or scene.now).timestamp())
        if not ordinary and not unfelt_on(scene, node):
            yield node, series


@dataclass(slots=True)
class _Use:
    """What one workload uses of the node's processors, and asked for, in cores."""

    top: KubeObject
    used: float = 0.0
    asked: float = 0.0
    series: list[Series] = field(default_factory=list)

    @property
    def beyond(self) -> float:
        return max(self.used - self.asked, 0.0)


def _uses(scene: Scene, node: str) -> list[_Use]:
    found: dict[int, _Use] = {}
    for pod in scene.graph.pods_on(node):
        requests = {
            text(c.get("name")): quantity(at(c, "resources", "requests", "cpu")) or 0.0
            for c in entries(pod.spec.get("containers"))
        }
        for series in scene.metrics.of_pod(pod.namespace, pod.name):
            name = series.labels.get("container", "")
            if name in requests and _is_usage(series):
                top = scene.graph.top(pod)
                one = found.setdefault(id(top), _Use(top))
                one.used += series.last
                one.asked += requests.pop(name)
                one.series.append(series)
    return list(found.values())


def _is_usage(series: Series) -> bool:
    """Cores in use: a rate of the counter, not a share of anything."""
    said = f"{series.name} {series.query}"
    if _RULES.search(said):
        return "/" not in series.query
    return _USAGE in said and "rate(" in series.query and "/" not in series.query.partition(" and ")[0]


def _waiting(scene: Scene, node: KubeObject, not_these: Sequence[KubeObject]) -> Iterator[Explains]:
    """Whose slow requests a busy node accounts for, by where the slow pods run."""
    reasons = frozenset({"RequestsSlow", "ErrorBudgetBurning", "LivenessProbeFailed", "ReadinessProbeFailed"})
    for one in times(scene.graph, scene.metrics):
        if not one.slow:
            continue
        tops = scene.graph.behind(one.about) if one.about.kind == "Service" else [one.about]
        pods = [p for top in tops if top not in not_these for p in scene.graph.pods_of(top)]
        here = [p for p in pods if p.spec.get("nodeName") == node.name]
        if not here:
            continue
        slow = [p for s in one.slow if (p := pod_of(scene.graph, s.series)) is not None]
        if slow and all(p.spec.get("nodeName") == node.name for p in slow):
            yield Explains(
                one.about, ALL_SLOW, f"only its pods on node {node.name} are slow", reasons=reasons
            )
        else:
            strength = SHARED if not slow and 2 * len(here) >= len(pods) else ELSEWHERE
            yield Explains(
                one.about,
                strength,
                f"{len(here)} of its {len(pods)} pods run on node {node.name}",
                reasons=reasons,
            )


def _observation(
    scene: Scene, why: Observation, busy: Series, uses: Sequence[_Use], whole: float
) -> Observation:
    most, node = uses[0], why.about
    workload = next(iter(scene.graph.workloads_of(most.top)), most.top)
    limits = [
        text(at(c, "resources", "limits", "cpu")) for c in entries(pod_spec(workload).get("containers"))
    ]
    words = f"{name_of(most.top)} takes {most.used:.3g} of the {whole:.3g} CPU cores of node {node.name} and asked for {most.asked:.3g}"
    words += "" if all(limits) and limits else "; it has no cpu limit"
    words += f"; node {node.name} is {busy.last:.1%} busy"
    step = stepped(busy.points, RISEN)
    words += f" ({step.before:.0%} before {clock(moment_of(step.since))})" if step is not None else ""
    waiting = tuple(_waiting(scene, node, [most.top]))
    told = [f"{name_of(w.about)}: {w.why}" for w in waiting if w.strength == ALL_SLOW]
    words += f"; {told[0]}" if told else ""
    return Observation(
        about=most.top,
        reason="TakesNodeCpu",
        text=f"{words} (recorded metric `{most.series[0].query[:160]}`)",
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.8,
        facts=(*(evidence.metric(s, most.top) for s in most.series[:2]), evidence.metric(busy, node)),
        basis=("what it uses of the node's CPU beside what it asked for", "the node's CPU is used up"),
        onset=why.onset,
        remediation=remedies.edit(
            workload,
            f"Give {name_of(most.top)} a cpu request that says what it uses, and a limit, or a node of its own.",
        ),
        explains=(
            Explains(node, 0.9, f"it takes the CPU of node {node.name}", reasons=frozenset({"NodeCpuBusy"})),
            *waiting,
        ),
        latent=True,
    )
