"""Metrics that come in pairs, a use and its limit, and which of them are at it.

Decides by the names that exporters give such pairs (`node_nf_conntrack_entries` and `node_nf_conntrack_entries_limit`,
`node_filefd_allocated` and `node_filefd_maximum`): the limit's name is the use's with one word more, or with another
in the place of the word for "in use". What is read off an instrument (a frequency, a temperature) is no use: a
processor at its highest frequency is well. What it means to be at a limit is the analyzers' business.

Rests on: https://prometheus.io/docs/practices/naming/,
https://github.com/prometheus/node_exporter (conntrack, filefd collectors).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from services.context_api.domain.graph import Graph
from services.context_api.domain.metrics import MetricIndex, Series, moment_of
from services.context_api.domain.series_of import node_of
from services.context_api.domain.snapshot import KubeObject

FULL = 0.97
"""Part of a limit from which nothing more goes in. A guess; kernels refuse at the limit itself, and samples are apart."""

_MOST = frozenset({"limit", "max", "maximum", "capacity"})
_IN_USE = frozenset({"active", "allocated", "open", "used", "current", "in", "use", "entries", "count"})
_READINGS = frozenset({"hertz", "celsius", "volts", "amps", "watts", "rpm", "frequency", "temp", "speed"})
_OF_OTHERS = frozenset({"persistentvolumeclaim", "exported_pod", "exported_namespace"})
"""Labels of what lies on a node and is not the node."""


@dataclass(frozen=True, slots=True)
class Reached:
    """One use that is at its limit."""

    about: KubeObject
    series: Series
    limit: float
    since: datetime | None

    @property
    def told(self) -> str:
        when = f" since {self.since:%Y-%m-%d %H:%M:%S} UTC" if self.since is not None else ""
        first = self.series.points[0][1]
        before = f" ({first:.6g} at the record's begin)" if first < FULL * self.limit else ""
        return f"{_said(self.series)} is {self.series.last:.6g} of at most {self.limit:.6g}{when}{before}"


def reached(graph: Graph, metrics: MetricIndex) -> Iterator[Reached]:
    """Uses at their limit whose labels name a node, each with when it got there."""
    limits: dict[tuple[frozenset[str], frozenset[tuple[str, str]]], float] = {}
    uses: list[tuple[frozenset[str], Series]] = []
    for series in metrics.all:
        name = series.name or series.query.partition("{")[0]
        if not re.fullmatch(r"[a-zA-Z_:][\w:]*", name):
            continue
        words = name.split("_")
        if _READINGS & set(words) or _OF_OTHERS & set(series.labels):
            continue
        if _MOST & set(words):
            limits[_core(words), _labels(series.labels)] = series.last
        else:
            uses.append((_core(words), series))
    for core, series in uses:
        limit = limits.get((core, _labels(series.labels)), 0.0)
        node = node_of(graph, series) if limit > 0 and series.last >= FULL * limit else None
        if node is not None:
            yield Reached(node, series, limit, _since(series, FULL * limit))


def _core(words: list[str]) -> frozenset[str]:
    """What a use and its limit have in common in their names."""
    return frozenset(words) - _MOST - _IN_USE


def _labels(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset((key, value) for key, value in labels.items() if key != "__name__")


def _since(series: Series, full: float) -> datetime | None:
    """When the last stretch at the limit began; None when the record begins with it."""
    began: float | None = None
    for moment, value in reversed(series.points):
        if value < full:
            return moment_of(began) if began is not None else None
        began = moment
    return None


def _said(series: Series) -> str:
    words = re.sub(r"^node_|_total$", "", series.name or series.query.partition("{")[0])
    if "conntrack" in words:
        return f"the table of tracked connections (conntrack, metric `{series.name or series.query}`)"
    return f"metric `{words}`"
