"""A node's disk that cannot keep up, and which workload keeps it busy.

Sees recorded queues and busy time of a node's disks (node exporter) that are beyond what a disk does in time, and
what the containers on that node write or read (cAdvisor). The workload that moves most is the cause when it moves at
least half of all that is recorded and more than before; everybody else on that disk waits for it, databases that sync
their log first of all. Tells when its pods were started, for a run at an unusual hour is somebody's doing.
No fault is what comes again (a check of an array, a weekly copy) and is felt in no recorded response time there.
Cannot tell disks of one node apart where cAdvisor names no device, nor see what runs outside of pods.

Rests on: https://github.com/prometheus/node_exporter/tree/master/docs/node-mixin (NodeDiskIOSaturation: a queue above 10),
https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md (container_fs_writes_bytes_total, container_fs_reads_bytes_total),
https://runbooks.prometheus-operator.dev/runbooks/node/nodediskiosaturation/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.effect import unfelt_on
from services.context_api.domain.latency import pod_of
from services.context_api.domain.metrics import Series, moment_of
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.series_of import node_of
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import stepped
from services.context_api.domain.wording import clock, name_of

NAME = "node_disk_busy"
QUEUE = 10.0
"""Requests that wait for a disk on average, as the node mixin's alert judges."""

BUSY = 0.95
"""Share of the time in which the disk has something to do."""

MOST = 0.5
"""Share of all recorded writing and reading on the node that one workload must have to be the cause."""

LEAST = 5e6
"""Bytes a second below which nobody keeps a disk busy."""

DAY_S, AGAIN = 86_400.0, 0.9
"""How long ago, in seconds, and how nearly as much as now a disk must have been as busy to be so again."""

RISEN = 1.5
_QUEUE = re.compile(
    r"rate\(\s*node_disk_io_time_weighted_seconds_total\b|instance_device:node_disk_io_time_weighted_seconds:rate"
)
_BUSY = re.compile(
    r"rate\(\s*node_disk_io_time_seconds_total\b|instance_device:node_disk_io_time_seconds:rate"
)
_MOVED = {
    "writes": re.compile(r"rate\(\s*container_fs_writes_bytes_total\b"),
    "reads": re.compile(r"rate\(\s*container_fs_reads_bytes_total\b"),
}  # fmt: skip


@dataclass(slots=True)
class _Use:
    """What one workload moves on the node's disks, in bytes a second."""

    top: KubeObject
    pods: dict[str, KubeObject] = field(default_factory=dict)
    moved: dict[str, float] = field(default_factory=dict)
    before: float = 0.0
    series: list[Series] = field(default_factory=list)

    @property
    def total(self) -> float:
        return sum(self.moved.values())


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per node with a disk that does not keep up."""
    for node, series, said in _busy(scene):
        if _comes_again_unfelt(scene, node, series):
            continue
        step = stepped(series.points, RISEN)
        since = moment_of(step.since) if step is not None else None
        words = f"Node {node.name}: disk {series.labels.get('device', '')} does not keep up, {said}"
        words += f" since {clock(since)}, {step.before:.2g} before" if step is not None else ""
        yield Observation(
            about=node,
            reason="NodeDiskBusy",
            text=f"{words} (recorded metric `{series.query[:160]}`)",
            severity=FindingSeverity.warning,
            analyzer=NAME,
            depth=Depth.process,
            certainty=0.6,
            facts=(evidence.metric(series, node),),
            basis=("a recorded metric of the node's disk",),
            onset=since,
            remediation=remedies.look(node, f"Look at which pods write on node {node.name}."),
            latent=True,
        )


def _comes_again_unfelt(scene: Scene, node: KubeObject, series: Series) -> bool:
    """Whether it was as busy in the record at least a day ago, and whoever's answers are measured there is as fast as ever."""
    now, _ = series.points[-1]
    again = any(now - at >= DAY_S and value >= AGAIN * series.last for at, value in series.points)
    return again and unfelt_on(scene, node)


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """At most one workload per node whose disk does not keep up."""
    for why in seen:
        if why.reason != "NodeDiskBusy":
            continue
        uses = sorted(_uses(scene, why.about), key=lambda u: (-u.total, u.top.namespace or "", u.top.name))
        total = sum(u.total for u in uses)
        if uses and uses[0].total >= max(MOST * total, LEAST) and uses[0].total >= RISEN * uses[0].before:
            yield _observation(why, uses[0], total)


def _busy(scene: Scene) -> Iterator[tuple[KubeObject, Series, str]]:
    """Nodes, the series that says so, and how; the first of each node, queues before busy time."""
    told: set[str] = set()
    for pattern, limit in ((_QUEUE, QUEUE), (_BUSY, BUSY)):
        for series in scene.metrics.all:
            if not pattern.search(f"{series.name} {series.query}") or series.last < limit:
                continue
            node = node_of(scene.graph, series)
            if node is not None and node.name not in told:
                told.add(node.name)
                how = (
                    f"{series.last:.3g} requests wait for it"
                    if pattern is _QUEUE
                    else f"it is busy {series.last:.0%} of the time"
                )
                yield node, series, how


def _uses(scene: Scene, node: KubeObject) -> list[_Use]:
    """Who moves how much there; of several queries for the same pod and direction the first counts."""
    found: dict[int, _Use] = {}
    queries: dict[tuple[str, str], str] = {}
    for series in scene.metrics.all:
        way = next((way for way, pattern in _MOVED.items() if pattern.search(series.query)), "")
        pod = pod_of(scene.graph, series) if way else None
        if pod is None or pod.spec.get("nodeName") != node.name:
            continue
        if queries.setdefault((pod.name, way), series.query) != series.query:
            continue
        top = scene.graph.top(pod)
        one = found.setdefault(id(top), _Use(top))
        step = stepped(series.points, RISEN)
        one.pods[pod.name] = pod
        one.moved[way] = one.moved.get(way, 0.0) + series.last
        one.before += step.before if step is not None else 0.0 if _is_new(series, pod) else series.last
        one.series.append(series)
    return list(found.values())


def _is_new(series: Series, pod: KubeObject) -> bool:
    """Whether the pod began within the record: it moved nothing before."""
    first = moment_of(series.points[0][0])
    return first is not None and pod.created_at is not None and (first - pod.created_at).total_seconds() < 600


def _observation(why: Observation, use: _Use, total: float) -> Observation:
    ways = " and ".join(
        f"{way} {amount / 1e6:.3g} MB/s" for way, amount in sorted(use.moved.items(), reverse=True)
    )
    pods = sorted(use.pods.values(), key=lambda p: (p.created_at is None, p.created_at, p.name))
    began: datetime | None = pods[0].created_at
    words = (
        f"{name_of(use.top)} (pod {pods[0].name}, started at {clock(began)}) {ways} on the disk of node {why.about.name}, {use.total / total:.0%} of "
        f"what all pods there move. {why.text}"
    )
    return Observation(
        about=use.top,
        reason="TakesNodeDisk",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.82,
        facts=(*(evidence.metric(s, use.top) for s in use.series[:2]), *why.facts),
        basis=("what it moves beside all others on the node", "the node's disk does not keep up"),
        onset=began if use.before == 0 else why.onset,
        remediation=remedies.look(use.top, f"Let {name_of(use.top)} write more slowly, at another hour, or on a disk of its own."),
        explains=(Explains(why.about, 0.92, f"it keeps the disk of node {why.about.name} busy", reasons=frozenset({"NodeDiskBusy"})),),
        latent=True,
    )  # fmt: skip
