"""Who takes a shared server's room: the part of it whose recorded use grew, and the client whose settings name that part.

Decides which series tell of one server's parts (databases, users, keyspaces, queues: the labels by which an exporter
tells them apart), which part accounts for the growth, and which workload is its client: the one that names the server
together with that part (`redis://store:6379/2`, `postgres://reports@db/main`). Pure; what a full server means is the
analyzers' business.

Rests on: https://github.com/oliver006/redis_exporter (redis_db_keys by db),
https://github.com/prometheus-community/postgres_exporter (pg_stat_activity_count by datname, usename),
https://github.com/prometheus/mysqld_exporter (mysql_info_schema_processlist_threads by user),
https://www.rabbitmq.com/docs/prometheus (by vhost, queue), https://www.rfc-editor.org/rfc/rfc3986#section-3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from services.context_api.domain.graph import Graph
from services.context_api.domain.metrics import MetricIndex, Series, moment_of
from services.context_api.domain.names import hosts_in
from services.context_api.domain.queues import settings
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import COMPARED

MOST_OF_IT = 0.6
"""Share of all parts' growth from which one part is who takes the room."""

TWICE = 2.0
"""Times its former level: what merely breathes takes nobody's room."""

_PART = re.compile(
    r"^(?:db|database|datname|user|usename|username|client|client_name|application_name|app_name|keyspace|schema|vhost|queue|topic|tenant|bucket|index|collection)$"
)
_USE = re.compile(r"key|conn|backend|activity|thread|process|session|bytes|size|memory|message|entries|count|used", re.IGNORECASE)  # fmt: skip
_RATES = re.compile(r"rate\(|increase\(|_total\b|expir|_max|_limit|/")
_NAMED_BY = re.compile(r"user|db|database|name|group|client|queue|vhost|topic|keyspace|schema|tenant|bucket|index|collection", re.IGNORECASE)  # fmt: skip
_URL_WORDS = re.compile(r"[/@?&=:;,\s]+")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a server that grew and accounts for what all parts grew by."""

    label: str
    name: str
    series: Series
    before: float
    after: float
    share: float
    """Of the growth of all."""
    since: datetime | None
    """When it left its former level."""

    def __str__(self) -> str:
        metric = self.series.name or self.series.query[:80]
        return f"`{metric}` of {self.label} {self.name} went from {self.before:.6g} to {self.after:.6g}"


def grown(graph: Graph, metrics: MetricIndex, server: KubeObject) -> Part | None:
    """The part of a server that took most of what has been taken; None where nobody measured, or several did."""
    parts = [p for several in _measured(graph, metrics, server) if (p := _most(*several)) is not None]
    return max(parts, key=lambda p: (p.share, p.after / max(p.before, 1.0), p.name), default=None)


def _measured(
    graph: Graph, metrics: MetricIndex, server: KubeObject
) -> Iterator[tuple[str, dict[str, list[Series]]]]:
    """Label -> part -> its series, for each query that tells the server's parts apart."""
    found: dict[tuple[str, str], dict[str, list[Series]]] = {}
    pods = {(p.namespace, p.name) for p in graph.pods_of(server)}
    for series in metrics.all:
        said, labels = series.name or series.query, series.labels
        place = (labels.get("namespace"), labels.get("pod"))
        of_server = place in pods if place[1] else labels.get("namespace") == server.namespace
        if not of_server or not _USE.search(said) or _RATES.search(series.query):
            continue
        for label in sorted(k for k in labels if _PART.match(k)):
            found.setdefault((series.query, label), {}).setdefault(labels[label], []).append(series)
    for (_, label), parts in found.items():
        if len(parts) > 1:
            yield label, parts


def _most(label: str, parts: dict[str, list[Series]]) -> Part | None:
    rises: list[tuple[float, str, tuple[tuple[float, float], ...], Series]] = []
    for name, several in parts.items():
        total: dict[float, float] = {}
        for series in several:
            for moment, value in series.points:
                total[moment] = total.get(moment, 0.0) + value
        points = tuple(sorted(total.items()))
        if len(points) < COMPARED:
            return None
        rises.append((points[-1][1] - _level(points), name, points, several[0]))
    all_of_it = sum(max(rise, 0.0) for rise, *_ in rises)
    rise, name, points, series = max(rises, key=lambda r: (r[0], r[1]))
    before = _level(points)
    if rise <= 0 or rise < MOST_OF_IT * all_of_it or points[-1][1] < TWICE * max(before, 1.0):
        return None
    return Part(label, name, series, before, points[-1][1], rise / all_of_it, _left(points, before))


def _level(points: Sequence[tuple[float, float]]) -> float:
    return median(v for _, v in points[: max(len(points) // 4, 1)])


def _left(points: Sequence[tuple[float, float]], level: float) -> datetime | None:
    """When it went from its level for good: a tenth of the way up counts as the way."""
    edge = level + 0.1 * (points[-1][1] - level)
    low = max((i for i, (_, v) in enumerate(points) if v < edge), default=-1)
    return moment_of(points[low][0]) if 0 <= low < len(points) - 1 else None


def clients_of(graph: Graph, server: KubeObject, part: Part) -> list[KubeObject]:
    """Uppermost owners of the workloads that name the server together with that part."""
    found: dict[int, KubeObject] = {}
    for workload in graph.workloads:
        top = graph.top(workload)
        if top is not server and _is_client(graph, workload, server, part):
            found[id(top)] = top
    return list(found.values())


def _is_client(graph: Graph, workload: KubeObject, server: KubeObject, part: Part) -> bool:
    near = beside = False
    for key, value in settings(graph, workload):
        names_server = any(
            (service := graph.names.find(host.name, workload.namespace)) is not None
            and (service is server or server in (graph.behind(service) if service.kind == "Service" else [graph.top(service)]))
            for host in hosts_in(value, key=key)
        )  # fmt: skip
        if names_server and _holds(value, part):
            return True
        near = near or names_server
        beside = beside or (bool(_NAMED_BY.search(key)) and value in _spellings(part))
    return near and beside


def _holds(url: str, part: Part) -> bool:
    """Whether an address names the part beside the host: a path, a user, a parameter."""
    rest = url.partition("://")[2] or url
    words = [w for w in _URL_WORDS.split(rest) if w]
    authority = rest.partition("/")[0].rpartition("@")[2]
    apart = set(words) - set(_URL_WORDS.split(authority))
    return bool(apart & _spellings(part))


def _spellings(part: Part) -> set[str]:
    """`db2` is the database that a client calls `2`."""
    digits = re.fullmatch(r"[a-z]{1,4}(\d+)", part.name)
    return {part.name} | ({digits[1]} if digits else set())
