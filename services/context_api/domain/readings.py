"""Recorded series about one resource of a namespace, cut to the last minutes before the snapshot.

Decides which series are about it (by namespace, and by any label that names the pod, the workload or the service), and
what of each is told. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from services.context_api.domain.graph import Graph
from services.context_api.domain.metrics import MetricIndex, Series
from services.context_api.domain.redact import value_of
from services.context_api.domain.words import kind_meant

MOST_SERIES = 100
_NAMESPACE = ("exported_namespace", "namespace", "destination_service_namespace")


def readings(graph: Graph, namespace: str, resource: str, span: timedelta) -> dict[str, Any]:
    """`metrics` of older callers: first, last, least and most of each series in that time; empty where none is known.

    Args:
        resource: a name, or a kind in any of kubectl's spellings for all of that kind.
    """
    found = [
        s for s in MetricIndex(graph.snapshot).all if _place(s) == namespace and _is_about(graph, s, resource)
    ]
    told = [shown for series in found[:MOST_SERIES] if (shown := _told(graph, series, span)) is not None]
    return {
        "series": told,
        "total": len(found),
        "cut": f"{len(found) - MOST_SERIES} more series" if len(found) > MOST_SERIES else None,
    }


def _place(series: Series) -> str:
    return next((series.labels[key] for key in _NAMESPACE if series.labels.get(key)), "")


def _is_about(graph: Graph, series: Series, resource: str) -> bool:
    kind = kind_meant(resource, graph.snapshot.kinds)
    names = set(_names(graph, series))
    if kind is not None:
        return any(graph.get(kind, _place(series), name) is not None for name in names)
    return resource in names


def _names(graph: Graph, series: Series) -> Iterator[str]:
    """Names the labels give, and those of a named pod's owners."""
    yield from (value for key, value in series.labels.items() if key not in _NAMESPACE)
    pod = graph.get("Pod", _place(series), series.labels.get("exported_pod") or series.labels.get("pod", ""))
    if pod is not None:
        yield graph.top(pod).name
        yield graph.workload(pod).name


def _told(graph: Graph, series: Series, span: timedelta) -> dict[str, Any] | None:
    since = (graph.now - span).timestamp()
    points = [(moment, value) for moment, value in series.points if since <= moment <= graph.now.timestamp()]
    if not points:
        return None
    values = [value for _, value in points]
    return {
        "query": series.query,
        "labels": {key: value_of(key, value) for key, value in series.labels.items()},
        "first": values[0],
        "last": values[-1],
        "least": min(values),
        "most": max(values),
        "samples": len(values),
    }
