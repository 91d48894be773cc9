"""How full volumes are, by the kubelet's metrics.

Decides which recorded series measure a claim's volume, and what share of it is used. Bytes, and inodes where a file system
has a fixed number of them: one that makes inodes as files come (XFS, Btrfs, CephFS) runs out of bytes alone.

Rests on: https://kubernetes.io/docs/reference/instrumentation/metrics/ (kubelet_volume_stats_*),
https://github.com/kubernetes-monitoring/kubernetes-mixin/blob/master/alerts/storage_alerts.libsonnet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from services.context_api.domain.kube import at, quantity
from services.context_api.domain.metrics import Series
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject

FULL = 0.95
MADE_LARGER = 2
"""Numbers of inodes of a volume that was made larger once within the record."""

_WHOLE = {
    "bytes": re.compile(r"kubelet_volume_stats_capacity_bytes"),
    "inodes": re.compile(r"kubelet_volume_stats_inodes(?!_)"),
}


def usages(
    scene: Scene, only: KubeObject | None = None
) -> Iterator[tuple[KubeObject, Series, list[tuple[float, float]]]]:
    """(claim, series, (time, share used) …) of all recorded series that say how full a volume is, or was; of one claim alone
    where that is given."""
    of_claims = [
        (series, claim)
        for series in scene.metrics.all
        if (claim := _claim_of(scene, series)) is not None and (only is None or claim is only)
    ]
    sizes = _sizes(of_claims)
    for series, claim in of_claims:
        shares = _shares(series, claim, sizes)
        if shares:
            yield claim, series, shares


def usage(scene: Scene, claim: KubeObject) -> Iterator[tuple[Series, list[tuple[float, float]]]]:
    """The recorded series of one claim's usage, as shares of its size over time."""
    return ((series, shares) for _, series, shares in usages(scene, claim) if len(shares) > 1)


def measured(scene: Scene) -> Iterator[tuple[KubeObject, Series, list[tuple[float, float]]]]:
    """The same, of volumes that are still measured."""
    return (found for found in usages(scene) if not found[1].has_ended)


def _claim_of(scene: Scene, series: Series) -> KubeObject | None:
    name = series.labels.get("persistentvolumeclaim", "")
    namespace = series.labels.get("exported_namespace") or series.labels.get("namespace")
    return scene.graph.get("PersistentVolumeClaim", namespace, name) if name else None


def _shares(
    series: Series, claim: KubeObject, sizes: Mapping[tuple[str, int], float]
) -> list[tuple[float, float]]:
    """(time, share used) by what the query asks for; nothing when it asks for something else."""
    said = f"{series.name} {series.query}"
    if "kubelet_volume_stats" not in said:
        return []
    free = ("available" in said or "inodes_free" in said) and "used" not in said
    if "/" in series.query:
        ratio = all(0 <= v <= 1 for _, v in series.points)
        return [(t, 1 - v if free else v) for t, v in series.points] if ratio else []
    if "inodes" in said:
        if not re.search(r"inodes_(?:used|free)", said):
            return []
        whole = sizes.get(("inodes", id(claim)))
    elif "capacity" in said:
        return []
    else:
        whole = (
            sizes.get(("bytes", id(claim)))
            or quantity(at(claim.status, "capacity", "storage"))
            or quantity(at(claim.spec, "resources", "requests", "storage"))
        )
    return [(t, 1 - v / whole if free else v / whole) for t, v in series.points] if whole else []


def _sizes(of_claims: Sequence[tuple[Series, KubeObject]]) -> dict[tuple[str, int], float]:
    """How much each claim's volume holds, where the kubelet's own figure was recorded."""
    found: dict[tuple[str, int], float] = {}
    for series, claim in of_claims:
        said = series.name or series.query
        kind = next((k for k, pattern in _WHOLE.items() if pattern.search(said)), "")
        if kind and "/" not in series.query and not (kind == "inodes" and _as_needed(series)):
            found[kind, id(claim)] = series.last
    return found


def _as_needed(inodes: Series) -> bool:
    """Whether the file system makes inodes as files come: then their number moves, and none of them being free is no lack.

    One with a fixed number of them gets more, once, when its volume is made larger.
    """
    values = [value for _, value in inodes.points]
    return len(set(values)) > MADE_LARGER or any(after < before for before, after in pairwise(values))
