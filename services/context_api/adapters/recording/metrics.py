"""Read one recorded Prometheus answer: `{query, kind: instant|range, asked_at, data}`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.context_api.adapters.recording.errors import NotUsable
from services.context_api.domain.snapshot import MetricAnswer, parse_time

KINDS = ("instant", "range")


def metric_of(document: object, *, origin: str) -> MetricAnswer:
    """Raises NotUsable when a part is missing or of another shape."""
    if not isinstance(document, Mapping):
        raise NotUsable("is no recorded metric: want {query, kind, asked_at, data}")
    query, kind = document.get("query"), document.get("kind")
    if not isinstance(query, str) or not query:
        raise NotUsable("is no recorded metric: `query` is missing")
    if kind not in KINDS:
        raise NotUsable("is no recorded metric: `kind` is neither instant nor range")
    return MetricAnswer(
        query=query,
        kind=kind,
        asked_at=_moment(document.get("asked_at")),
        data=_data(document),
        origin=origin,
    )


def _data(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Prometheus' `data`; its whole answer `{status, data}` is taken as well."""
    data = document.get("data")
    if isinstance(data, Mapping) and "resultType" not in data:
        data = data.get("data")
    if not isinstance(data, Mapping) or not isinstance(data.get("result"), list):
        raise NotUsable("is no recorded metric: `data` is not what Prometheus answers")
    return data


def _moment(value: object) -> datetime | None:
    """RFC 3339, or seconds since 1970 as Prometheus' `time` parameter takes them too."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e11:
        return datetime.fromtimestamp(value, UTC)
    return parse_time(value)
