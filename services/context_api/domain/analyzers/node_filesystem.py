"""Node file systems that are full, or will be: the kubelet evicts pods before nothing is left.

Sees node-exporter's and the kubelet's file system metrics (free and whole bytes or inodes, or their ratio) of the
mounts a node runs on, and the time they reach the kubelet's eviction threshold by the line fitted to them.
Whoever is evicted follows the node (`node_trouble`); who fills it is told by `node_filled`. Latent while it is only foretold,
or the kubelet reports no pressure: then nobody has been put out for it, and if it was as full for days, and is not full to
the last, it is no finding.
Cannot see a file system nobody scrapes, an instance that names no recorded node, nor a kubelet's own thresholds.

Rests on: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#hard-eviction-thresholds
(nodefs.available<10%, nodefs.inodesFree<5%), https://github.com/prometheus/node_exporter (filesystem collector),
https://runbooks.prometheus-operator.dev/runbooks/node/nodefilesystemspacefillingup/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import condition, entries, text
from services.context_api.domain.metrics import Series, moment_of
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.ordinary import is_ordinary
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import forecast
from services.context_api.domain.wording import clock, name_of, span

NAME = "node_filesystem"
THRESHOLD = {"bytes": 0.9, "inodes": 0.95}
"""Share used from which a kubelet with default settings evicts."""

SOON = 24 * 3600.0
HALF = 0.5
TO_THE_LAST = 0.99
"""Share used from which programs on the node cannot write, however long it has been so."""

_FREE = {"bytes": re.compile(r"node_filesystem_(?:avail|free)_bytes"), "inodes": re.compile(r"node_filesystem_files_free")}  # fmt: skip
_WHOLE = {
    "bytes": re.compile(r"node_filesystem_size_bytes"),
    "inodes": re.compile(r"node_filesystem_files(?!_)"),
}
_MOUNTS = re.compile(r"^/(?:$|var$|var/lib(?:/(?:kubelet|containerd|docker|containers|rancher|k0s)\b.*)?$|run/containerd|mnt/.*)")  # fmt: skip


def observe(scene: Scene) -> Iterator[Observation]:
    """At most one observation per node and kind of room."""
    told: set[tuple[int, str]] = set()
    now = (scene.onset or scene.now).timestamp()
    for series in scene.metrics.all:
        for kind, pattern in _FREE.items():
            if not pattern.search(f"{series.name} {series.query}") or not _matters(series):
                continue
            node = _node(scene, series)
            shares = _used(scene, series, kind)
            if node is not None and shares and (id(node), kind) not in told:
                found = _judge(scene, node, series, kind, shares)
                if found is not None and not (_has_room(node) and _is_ordinary(shares, now)):
                    told.add((id(node), kind))
                    yield found


def _is_ordinary(shares: list[tuple[float, float]], now: float) -> bool:
    """Whether it was as full for days, and can still be written."""
    return shares[-1][1] < TO_THE_LAST and is_ordinary(shares, now)


def _matters(series: Series) -> bool:
    """Whether the kubelet or the runtime may live on that mount; a query that names none is about the root."""
    return bool(_MOUNTS.match(series.labels.get("mountpoint", "/")))


def _node(scene: Scene, series: Series) -> KubeObject | None:
    """The node by its name, or by the address that was scraped."""
    for label in ("node", "nodename", "kubernetes_node", "instance", "host"):
        name = series.labels.get(label, "").rsplit(":", 1)[0]
        found = scene.graph.get("Node", None, name) if name else None
        if found is not None:
            return found
        for node in scene.graph.of_kind("Node") if name else ():
            if any(text(a.get("address")) == name for a in entries(node.status.get("addresses"))):
                return node
    return None


def _used(scene: Scene, series: Series, kind: str) -> list[tuple[float, float]]:
    """(time, share used): of a ratio, or beside the size recorded with the same labels."""
    if "/" in series.query.replace('"/', '"').replace("|/", "|"):
        ratio = all(0 <= v <= 1 for _, v in series.points)
        return [(t, 1 - v) for t, v in series.points] if ratio else []
    for other in scene.metrics.all:
        said = other.name or other.query
        if _WHOLE[kind].search(said) and _place(other) == _place(series) and other.last > 0:
            return [(t, 1 - v / other.last) for t, v in series.points]
    return []


def _place(series: Series) -> tuple[str, ...]:
    return tuple(series.labels.get(k, "") for k in ("node", "instance", "mountpoint", "device"))


def _judge(
    scene: Scene, node: KubeObject, series: Series, kind: str, shares: list[tuple[float, float]]
) -> Observation | None:
    limit, used = THRESHOLD[kind], shares[-1][1]
    mount = series.labels.get("mountpoint", "/")
    what = f"{name_of(node)}: file system {mount} has {used:.0%} of its {kind} used"
    if used >= limit:
        words, reason, certainty = f"{what}; the kubelet evicts pods from {limit:.0%}", "NodeDiskFull", 0.85
    else:
        coming = forecast(shares, limit) if used >= HALF else None
        if coming is None or coming.left > SOON:
            return None
        words = (
            f"{what} and rises by {coming.slope * 3600:.1%} an hour: it reaches {limit:.0%}, from which the kubelet evicts pods, "
            f"in {span(coming.left)}, at {clock(moment_of(coming.at))}"
        )
        reason, certainty = "NodeDiskFilling", 0.7
    tops = {id(t): t for t in map(scene.graph.top, scene.graph.pods_on(node.name))}
    return Observation(
        about=node,
        reason=reason,
        text=words,
        severity=FindingSeverity.critical if reason == "NodeDiskFull" else FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=(evidence.metric(series, node),),
        basis=("the node's file system metrics",),
        remediation=remedies.look(
            node, f"Find what fills {mount} of {name_of(node)}: images, logs, emptyDir volumes; then free it or make it larger."
        ),
        explains=tuple(
            Explains(t, 0.6, f"it was evicted from node {node.name}", reasons=frozenset({"Evicted"}))
            for t in tops.values()
        ),
        latent=reason == "NodeDiskFilling" or _has_room(node),
    )  # fmt: skip


def _has_room(node: KubeObject) -> bool:
    """Whether the kubelet itself, which knows its thresholds, reports no pressure of the disk."""
    state = condition(node, "DiskPressure")
    return state is not None and state.status == "False"
