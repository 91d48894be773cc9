"""Reads recorded Prometheus answers into series, and finds those about an object.

Decides which labels tie a series to a pod, claim or node, and which have ended: their last value says nothing of now.
What a value means is the analyzers' business.
Source: prometheus.io/docs, "HTTP API", expression query result formats, and "Querying basics", staleness.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from services.context_api.domain.kube import entries, flat, text
from services.context_api.domain.logs import cut
from services.context_api.domain.redact import value_of
from services.context_api.domain.snapshot import MetricAnswer, Snapshot

MOST_POINTS = 20_000
MOST_LABELS, LONGEST_LABEL = 12, 80
_OF_THE_SCRAPE = frozenset({"__name__", "job", "endpoint", "metrics_path", "prometheus", "uid"})
"""Labels that say how a value came here, and not what it is of: two series of one answer differ by the others."""

STALE = 300.0
"""Seconds after its last sample from which on a series has ended, as Prometheus judges."""

NODE_LABELS = ("node", "nodename", "kubernetes_node", "instance")
"""What names a node in series that are of no namespace."""


@dataclass(frozen=True, slots=True)
class Series:
    """One time series of one answer."""

    query: str
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    """(seconds since 1970, value), oldest first; never empty."""
    until: float = 0.0
    """When the newest sample of the whole answer was taken, in seconds since 1970."""

    @property
    def has_ended(self) -> bool:
        """Whether others of the same answer go on without it: what it measured is no more, or is measured no longer."""
        (first, _), (last, _) = self.points[0], self.points[-1]
        apart = (last - first) / (len(self.points) - 1) if len(self.points) > 1 else 0.0
        return self.until - last > max(STALE, 3 * apart)

    @property
    def name(self) -> str:
        """The metric's name, when the query kept it."""
        return self.labels.get("__name__", "")

    @property
    def last(self) -> float:
        return self.points[-1][1]

    @property
    def at(self) -> datetime | None:
        return moment_of(self.points[-1][0])

    def __str__(self) -> str:
        first, last = self.points[0][1], self.last
        shown = f"{last:.6g}" if len(self.points) == 1 else f"{first:.6g} → {last:.6g}"
        which = ", ".join(
            f"{k}={cut(value_of(k, v), LONGEST_LABEL)}"
            for k, v in sorted(self.labels.items())[:MOST_LABELS]
            if k not in _OF_THE_SCRAPE
        )
        return f"{self.query}: {shown}" + (f" ({which})" if which else "")


def moment_of(seconds: float) -> datetime | None:
    """A time in seconds since 1970; None for one no calendar holds."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def read(answer: MetricAnswer) -> Iterator[Series]:
    """The series of an answer; samples that are no finite numbers are left out."""
    found: list[tuple[dict[str, str], tuple[tuple[float, float], ...]]] = []
    for result in entries(answer.data.get("result")):
        raw = result.get("values") if isinstance(result.get("values"), list) else [result.get("value")]
        points = [point for sample in (raw or [])[:MOST_POINTS] if (point := _point(sample)) is not None]
        if points:
            found.append((flat(result.get("metric")), tuple(sorted(points))))
    until = max((samples[-1][0] for _, samples in found), default=0.0)
    for labels, samples in found:
        yield Series(answer.query, labels, samples, until)


def _point(sample: object) -> tuple[float, float] | None:
    if not isinstance(sample, list) or len(sample) != 2:
        return None
    try:
        moment, value = float(sample[0]), float(text(sample[1]))
    except (TypeError, ValueError):
        return None
    return (moment, value) if math.isfinite(value) and math.isfinite(moment) else None


class MetricIndex:
    """Series by the pod they are about."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.all = sorted(
            (s for answer in snapshot.metrics for s in read(answer)),
            key=lambda s: (s.query, sorted(s.labels.items()), s.points),
        )

    @cached_property
    def _by_pod(self) -> dict[tuple[str, str], list[Series]]:
        index: dict[tuple[str, str], list[Series]] = {}
        for series in self.all:
            pod = series.labels.get("exported_pod") or series.labels.get("pod", "")
            namespace = series.labels.get("exported_namespace") or series.labels.get("namespace", "")
            index.setdefault((namespace, pod), []).append(series)
        return index

    def of_pod(self, namespace: str | None, pod: str) -> list[Series]:
        return self._by_pod.get((namespace or "", pod), [])
