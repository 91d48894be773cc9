"""Recorded signs of trouble with what lies outside of what was recorded: a switch, a host, somebody else's service.

Decides which series tell of such trouble that began within the record and goes on: errors that are counted more than ever
before, a probe that no longer succeeds. Who measures so is of this cluster, what is measured is not: nothing that was recorded
can say why, and that is no sign that all is well. A prober may also name what was recorded (an address that an Ingress serves)
and fail on the way there.

Rests on: https://prometheus.io/docs/practices/naming/, https://github.com/prometheus/snmp_exporter (if_mib),
https://github.com/prometheus/blackbox_exporter (probe_success), https://prometheus.io/docs/concepts/jobs_instances/ (up).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.context_api.domain.latency import subject
from services.context_api.domain.metrics import Series
from services.context_api.domain.scene import Scene
from services.context_api.domain.series_of import node_of
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import BEYOND, FEWEST, stepped

MOSTLY = 0.5
"""Part of the tries below which an answer stays away: an average over several minutes is rarely 0."""

RISEN = 2.0
"""Times as many as before. A guess; counters of errors stand still where all is well."""

_ERRORS = re.compile(
    r"err(?:or)?s?(?![a-z])|fail|discard|drop(?:s|ped)?(?![a-z])|lost|loss|reject|refus|retransmit|corrupt",
    re.IGNORECASE,
)
_REACHED = re.compile(r"(?:^|_)up\b|probe_success\b")


def foreign(scene: Scene) -> Iterator[Series]:
    """Series of trouble that goes on with something that no recorded object stands for."""
    for series in scene.metrics.all:
        if (_counts_more(series) or _is_lost(series)) and not _is_of_cluster(scene, series):
            yield series


def _is_of_cluster(scene: Scene, series: Series) -> bool:
    return (
        "namespace" in series.labels
        or subject(scene.graph, series) is not None
        or node_of(scene.graph, series) is not None
    )


def _counts_more(series: Series) -> bool:
    """Errors that are more than ever before within the record."""
    if not series.labels or not _ERRORS.search(f"{series.name} {series.query}"):
        return False
    step = stepped(series.points, RISEN)
    return step is not None and all(v <= BEYOND * step.after for t, v in series.points if t < step.since)


def unreached(scene: Scene, about: KubeObject) -> Iterator[Series]:
    """Series of a prober that no longer reaches this object, of which nothing else that was recorded is amiss."""
    for series in scene.metrics.all:
        if _is_lost(series) and subject(scene.graph, series) in (about, scene.graph.top(about)):
            yield series


def _is_lost(series: Series) -> bool:
    """What always answered and mostly does not any more."""
    values = [v for _, v in series.points]
    if not _REACHED.search(series.name or series.query) or len(values) <= FEWEST:
        return False
    return values[0] == 1 and max(values) == 1 and all(0 <= v < MOSTLY for v in values[-FEWEST:])
