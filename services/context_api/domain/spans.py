"""How often the lines a fact quotes stand in their log, and from when to when.

Reads the log again by the shapes of the quoted lines, so that the fact's id stays that of its words alone. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from libs.contracts.bundle import LogCluster
from libs.contracts.evidence import EvidenceItem
from services.context_api.domain.kube import strings
from services.context_api.domain.logs import LINES, cut, message_of, readable, shape_of, time_of, weigh
from services.context_api.domain.redact import redact
from services.context_api.domain.snapshot import ContainerLog, Snapshot

MOST = 3
"""Shapes shown of one log."""

LONGEST = 300
"""Characters of one line."""


@dataclass(slots=True)
class _Span:
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def add(self, moment: datetime | None) -> None:
        self.count += 1
        if moment is not None:
            self.first = moment if self.first is None else min(self.first, moment)
            self.last = moment if self.last is None else max(self.last, moment)


def of(snapshot: Snapshot, item: EvidenceItem) -> list[LogCluster]:
    """The lines of a log fact with count, first and last time; empty where its log is not in the snapshot."""
    log = _log(snapshot, item)
    quoted = strings(item.body.get("lines"))[:MOST]
    if log is None:
        return []
    spans = {_shape(line): _Span() for line in quoted}
    for raw in log.text[-LINES * 500 :].splitlines()[-LINES:]:
        line = readable(raw)
        span = spans.get(_shape(redact(message_of(line)))) if weigh(line) else None
        if span is not None:
            span.add(time_of(raw))
    return [
        LogCluster(text=cut(line, LONGEST), count=max(span.count, 1), first=span.first, last=span.last)
        for line in quoted
        for span in [spans[_shape(line)]]
    ]


def _shape(line: str) -> str:
    return shape_of(line)[:LONGEST]


def _log(snapshot: Snapshot, item: EvidenceItem) -> ContainerLog | None:
    if item.target is None:
        return None
    container, previous = item.body.get("container"), bool(item.body.get("previous"))
    return next(
        (
            log
            for log in snapshot.logs_of(item.target.namespace, item.target.name)
            if log.container == container and log.previous == previous
        ),
        None,
    )
