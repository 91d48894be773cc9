"""What grows on a volume that fills, and for whom it is kept.

Sees, beside a volume that has become fuller (`volume_full`), recorded sizes in bytes that programs with that volume
report of their parts (a write-ahead log, a replication slot, a topic, an index), and which of them rose by as much as the
volume did, or which is kept for a reader and is a good part of what lies there. Where that part is kept for a reader (a slot, a subscription, a consumer group), the workload whose settings
name it and that runs no pod is why nothing can be removed; the volume is then the victim of somebody else's stop.
Cannot see parts that no exporter measures, nor whether a reader is ever to come back.

Rests on: https://www.postgresql.org/docs/current/warm-standby.html#STREAMING-REPLICATION-SLOTS (a slot keeps WAL until read),
https://github.com/prometheus-community/postgres_exporter (pg_replication_slot*, pg_wal_size_bytes, pg_database_size_bytes),
https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-wal-disk-space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.analyzers.scaled_to_zero import scaled_since
from services.context_api.domain.analyzers.volume_full import judged
from services.context_api.domain.containers import is_ready
from services.context_api.domain.kube import at, quantity, replicas, text
from services.context_api.domain.metrics import Series, moment_of
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.queues import settings
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import COMPARED, Points
from services.context_api.domain.uses import CLAIM, uses
from services.context_api.domain.volumes import measured
from services.context_api.domain.wording import clock, name_of, size

NAME = "volume_growth"
FULLER = 0.05
"""Share of the volume by which it must have become fuller: less is its daily breath."""

FULL_ENOUGH = 0.5
ACCOUNTS = (0.6, 1.4)
"""Share of the volume's growth that one part must have grown by. Above one: parts overlap in time and rounding."""

FULL, HOLDS = 0.8, 0.3
"""From this share of the volume in use on, a part that is kept for a reader and has this share of that is told without a rise."""

_OTHERS = re.compile(r"kubelet_volume|container_|node_|memory|network|rate\(|deriv\(|increase\(|/")
_BYTES = re.compile(r"bytes|_size\b|lsn_diff")
_READER = re.compile(r"slot|consumer|group|subscri|reader|follower", re.IGNORECASE)
_PART = re.compile(r"slot|consumer|group|subscri|reader|follower|topic|index|table|queue|stream|bucket|datname|tenant", re.IGNORECASE)  # fmt: skip
_KINDS = re.compile(r"type|kind|state|plugin")
_ACTIVE = re.compile(r"active|connected|running", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of what lies on the volume that rose as the volume did."""

    series: Series
    key: str
    """The label that names it; empty where none does."""
    name: str
    amount: float
    """Bytes by which it rose, or that it holds where its rise was not recorded."""
    rose: bool

    @property
    def told(self) -> str:
        return f"has grown by {size(self.amount)}" if self.rose else f"holds {size(self.amount)}"

    def __str__(self) -> str:
        metric = self.series.name or self.series.query[:80]
        return f"`{metric}`" + (f" of {self.key} {self.name}" if self.name else "")


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per fuller volume: about the reader that is missing, else about the volume."""
    told: set[int] = set()
    for claim, _, shares in measured(scene):
        whole = quantity(at(claim.status, "capacity", "storage")) or 0.0
        rise = _rise(shares)
        if id(claim) in told or shares[-1][1] < FULL_ENOUGH or not whole:
            continue
        found = _parts(scene, claim, rise * whole if rise >= FULLER else 0.0, shares[-1][1], whole)
        parts = sorted(found, key=lambda p: (not p.rose, not p.name, str(p)))
        if not parts:
            continue
        told.add(id(claim))
        missing = [(p, top) for p in parts if _READER.search(p.key) for top in _idle(scene, claim, p.name)]
        if missing:
            yield _reader(scene, claim, *missing[0], shares)
        elif parts[0].rose and judged(scene, claim, shares):
            yield _growing(claim, parts, rise * whole, shares)


def _rise(points: Points) -> float:
    """By how much the last value is above the level of the first third; 0 for too few samples."""
    if len(points) < COMPARED:
        return 0.0
    return points[-1][1] - median(v for _, v in points[: len(points) // 3])


def _parts(scene: Scene, claim: KubeObject, grown: float, share: float, whole: float) -> Iterator[_Part]:
    pods = {p.name for p in scene.graph.pods_in(claim.namespace) if uses(p, CLAIM, claim.name)}
    for series in scene.metrics.all:
        said, labels = series.name or series.query, series.labels
        if (
            not _BYTES.search(said)
            or _OTHERS.search(series.query)
            or labels.get("namespace") != claim.namespace
        ):
            continue
        if labels.get("pod") and labels["pod"] not in pods:
            continue
        grew = _rise(series.points)
        key = next((k for k in sorted(labels) if _PART.search(k) and not _KINDS.search(k)), "")
        if grown and ACCOUNTS[0] * grown <= grew <= ACCOUNTS[1] * grown:
            yield _Part(series, key, labels.get(key, ""), grew, rose=True)
        elif _READER.search(key) and share >= FULL and HOLDS * share * whole <= series.last <= share * whole:
            yield _Part(series, key, labels[key], series.last, rose=False)


def _idle(scene: Scene, claim: KubeObject, name: str) -> list[KubeObject]:
    """Uppermost owners of the workloads that name this reader in their settings and run no ready pod."""
    found: dict[int, KubeObject] = {}
    for workload in scene.graph.workloads:
        mounts = workload.namespace == claim.namespace and uses(workload, CLAIM, claim.name)
        if mounts or not any(value == name for _, value in settings(scene.graph, workload)):
            continue
        top = scene.graph.top(workload)
        if not any(is_ready(pod) for pod in scene.graph.pods_of(top)):
            found[id(top)] = top
    return list(found.values())


def _quiet(scene: Scene, part: _Part) -> Series | None:
    """A series that says the reader is not there: `…_active` of the same name, 0 now."""
    for series in scene.metrics.all:
        if (
            series.labels.get(part.key) == part.name
            and _ACTIVE.search(series.name or series.query)
            and series.last == 0
        ):
            return series
    return None


def _reader(scene: Scene, claim: KubeObject, part: _Part, top: KubeObject, shares: Points) -> Observation:
    quiet = _quiet(scene, part)
    workload = next(iter(scene.graph.workloads_of(top)), top)
    none = replicas(workload) == 0
    since = scaled_since(workload) if none else None
    how = "is scaled to 0 replicas" if none else "has no ready pod"
    how += f" since {clock(since)}" if since is not None else ""
    words = (
        f"{name_of(top)}, whose settings name {part.key} {part.name}, {how}; what is kept for it {part.told} ({part}) and fills "
        f"{name_of(claim)}, which is {shares[-1][1]:.0%} full: nothing is removed that {part.name} has not read"
    )
    if quiet is not None:
        gone = next((t for t, v in reversed(quiet.points) if v != 0), None)
        words += f"; {part.key} {part.name} is not active" + (
            f" since {clock(moment_of(gone))}" if gone else ""
        )
    return Observation(
        about=top,
        reason="KeptForAbsentReader",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.88 if quiet is not None else 0.78,
        facts=(
            evidence.metric(part.series, claim),
            *((evidence.metric(quiet, claim),) if quiet is not None else ()),
            evidence.field(workload, "spec.replicas", workload.spec.get("replicas"), f"{name_of(workload)} {how}"),
        ),
        basis=(
            "what is kept for this reader rose by as much as the volume" if part.rose else "what is kept for this reader is a good part of what lies there",
            f"the settings of {name_of(top)} name it",
            *(("a recorded metric says that the reader is not active",) if quiet is not None else ()),
        ),
        onset=since,
        remediation=remedies.scale(workload, 1)
        if none
        else remedies.look(top, f"Let {name_of(top)} read again, or have {part.name} dropped where it is kept."),
        explains=(Explains(claim, 0.92, f"what is kept for {part.name} fills it", reasons=frozenset({"VolumeFull", "VolumeFilling"})),),
    )  # fmt: skip


def _growing(claim: KubeObject, parts: Sequence[_Part], grown: float, shares: Points) -> Observation:
    part = parts[0]
    more = f", and so did {parts[1]}" if len(parts) > 1 else ""
    words = (
        f"{name_of(claim)} is {shares[-1][1]:.0%} full and holds {size(grown)} more than when the record began: {part} rose by {size(part.amount)}{more}"
    )  # fmt: skip
    return Observation(
        about=claim,
        reason="PartGrows",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.6,
        facts=tuple(evidence.metric(p.series, claim) for p in parts[:2]),
        basis=("a recorded size that rose by as much as the volume",),
        remediation=remedies.look(claim, f"Look at what keeps {text(part.name) or 'it'} from being removed."),
    )
