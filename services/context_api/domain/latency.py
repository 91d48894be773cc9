"""Recorded response times that rose and stayed high: whose, from what to what, since when, and on which pods.

Decides which queries measure response times and when one is slow; why it is, is the analyzers' business. Known are
quantiles and averages of histograms and summaries whose names say what is timed and in which unit.

Rests on: https://prometheus.io/docs/practices/histograms/ (histogram_quantile, `_sum` over `_count`, quantile label),
https://prometheus.io/docs/practices/naming/#base-units and
https://opentelemetry.io/docs/specs/semconv/http/http-metrics/ (http.server.request.duration).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.context_api.domain.graph import Graph
from services.context_api.domain.metrics import MetricIndex, Series, moment_of
from services.context_api.domain.ordinary import comes_again
from services.context_api.domain.resolve import resolve_in
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import COMPARED, Step, stepped
from services.context_api.domain.windows import of_now

SLOWER = 2.0
"""Times as long as before from which a rise is worth saying. A guess; people notice about that."""

LEAST = 0.1
"""Seconds below which nobody waits: a rise from one millisecond to three is none."""

_TIMED = re.compile(
    r"duration|latency|response_time|request_time|elapsed|_seconds_(?:bucket|sum)\b", re.IGNORECASE
)
_QUANTILE = re.compile(r"histogram_quantile\(\s*(0?\.\d+|1)")
_AVERAGE = re.compile(r"_sum\b.*/.*_count\b", re.DOTALL)
_MILLISECONDS = re.compile(r"_(?:milliseconds|millis|ms)(?:_|\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Slow:
    """One series of response times that rose."""

    series: Series
    step: Step
    unit: float
    """Seconds in one of its own units."""

    @property
    def before(self) -> float:
        return self.step.before * self.unit

    @property
    def after(self) -> float:
        return self.step.after * self.unit

    @property
    def since(self) -> datetime | None:
        return moment_of(self.step.since)


@dataclass(slots=True)
class Times:
    """What was recorded of one object's response times."""

    about: KubeObject
    slow: list[Slow] = field(default_factory=list)
    well: list[Series] = field(default_factory=list)

    @property
    def worst(self) -> Slow:
        return max(self.slow, key=lambda s: (s.after, str(s.series)))


def is_timed(series: Series) -> bool:
    """Whether it measures how long something takes to be answered."""
    said = f"{series.name} {series.query}"
    if not _TIMED.search(said):
        return False
    return bool(
        _QUANTILE.search(said) or _AVERAGE.search(said) or "quantile" in series.labels
    )  # a bare `_sum` only grows


def measure_of(series: Series) -> str:
    """`99th percentile`, `average`."""
    found = _QUANTILE.search(series.query)
    share = found[1] if found else series.labels.get("quantile", "")
    try:
        percent = float(share) * 100
    except ValueError:
        return "average"
    return "median" if percent == 50 else f"{percent:.4g}th percentile"


def unit_of(series: Series) -> float:
    """Seconds in one of its units."""
    return 0.001 if _MILLISECONDS.search(f"{series.name} {series.query}") else 1.0


def slow(series: Series) -> Slow | None:
    """The series as one that rose; None when it did not, or does at this time of each day or week."""
    unit, points = unit_of(series), series.points
    step = stepped(points, SLOWER) if not series.has_ended else None
    if step is None or step.after * unit < LEAST or comes_again(points, points[-1][0], step.after):
        return None
    return Slow(series, step, unit)


def times(graph: Graph, metrics: MetricIndex) -> Sequence[Times]:
    """Per object that the labels of recorded response times name, in the order of the series."""
    found: dict[int, Times] = {}
    for series in of_now(metrics.all):
        if len(series.points) < COMPARED or not is_timed(series):
            continue
        about = subject(graph, series)
        if about is None:
            continue
        here = found.setdefault(id(about), Times(about))
        risen = slow(series)
        if risen is not None:
            here.slow.append(risen)
        else:
            here.well.append(series)
    return list(found.values())


def slower(graph: Graph, metrics: MetricIndex) -> dict[int, bool]:
    """Whether answers of a workload (its own, and of Services before it) take longer than before; by the identity of those
    whose answers are still measured."""
    found: dict[int, bool] = {}
    for series in metrics.all:
        if series.has_ended or len(series.points) < COMPARED or not is_timed(series):
            continue
        about = subject(graph, series)
        if about is None:
            continue
        risen = slow(series) is not None
        for top in graph.behind(about) if about.kind == "Service" else [about]:
            found[id(top)] = found.get(id(top), False) or risen
    return found


def subject(graph: Graph, series: Series) -> KubeObject | None:
    """The workload or Service the labels of a series name."""
    found = resolve_in(graph, series.labels, graph.snapshot.cluster)
    if found.target is None:
        return None
    if not found.exists:
        # A Service that was not recorded is still told by its endpoints, where they are of one workload.
        served = (
            graph.served(found.target.namespace, found.target.name) if found.target.kind == "Service" else []
        )
        return served[0] if len(served) == 1 else None
    obj = graph.find(found.target.kind, found.target.namespace, found.target.name)
    return graph.top(obj) if obj is not None and obj.kind not in ("Node", "Namespace") else None


def pod_of(graph: Graph, series: Series) -> KubeObject | None:
    """The pod whose requests a series measures, where it is of one pod alone."""
    labels = series.labels
    return graph.get(
        "Pod",
        labels.get("exported_namespace") or labels.get("namespace"),
        labels.get("exported_pod") or labels.get("pod", ""),
    )


def seconds(value: float) -> str:
    """`240 ms`, `3.9 s`."""
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
