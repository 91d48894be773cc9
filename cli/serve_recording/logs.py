"""Which lines of a recorded log are asked for, and what is said when there is none. Pure.

A log is answered as it was recorded. Whether its lines begin with a time was decided when it was recorded: a time is
used where it stands, and neither added nor taken away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cli.serve_recording.paths import Query
from cli.serve_recording.statuses import Refused, bad_request, invalid, not_recorded
from services.context_api.domain.kube import entries, mapping, text
from services.context_api.domain.snapshot import Body, ContainerLog, NotRead, parse_time

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,20}(?:Z|[+-][0-9]{2}:[0-9]{2})(?=[ \t]|$)")
LARGEST_SECONDS = 10**9
"""Thirty years; what is more means everything."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of which log."""

    container: str = ""
    previous: bool = False
    tail: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    most_bytes: int | None = None

    def of(self, container: str) -> Wanted:
        """The same, of that container."""
        return replace(self, container=container)


def wanted_of(query: Query, pod: str, now: datetime) -> Wanted:
    """Read the parameters. `sinceSeconds` counts back from the recording's own now.

    Raises:
        Refused: a value that cannot be meant, in the API server's words.
    """
    kind, least = "PodLogOptions", "must be greater than or equal to 0"
    tail, most, seconds = query.number("tailLines"), query.number("limitBytes"), query.number("sinceSeconds")
    if tail is not None and tail < 0:
        raise invalid(kind, pod, "tailLines", f"Invalid value: {tail}: {least}")
    if most is not None and most < 1:
        raise invalid(kind, pod, "limitBytes", f"Invalid value: {most}: must be greater than 0")
    if seconds is not None and seconds < 1:
        raise invalid(kind, pod, "sinceSeconds", f"Invalid value: {seconds}: must be greater than 0")
    since = query.text("sinceTime")
    if since and seconds is not None:
        raise invalid(
            kind,
            pod,
            "sinceSeconds",
            "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
        )
    moment = parse_time(since) if since else None
    if since and moment is None:
        raise bad_request(f'parsing time "{since[:40]}" as "2006-01-02T15:04:05Z07:00": cannot parse')
    if seconds is not None and seconds < LARGEST_SECONDS:
        moment = now - timedelta(seconds=seconds)
    if query.text("stream") not in ("", "All"):
        raise bad_request(
            "a recorded log does not tell which line came from which stream; leave `stream` out"
        )
    return Wanted(
        query.text("container"), query.flag("previous"), tail, moment, query.flag("timestamps"), most
    )


def container_of(pod: Body, asked: str) -> str:
    """The container that is meant.

    Raises:
        Refused: the pod has no such container, or several and none was named.
    """
    spec, name = mapping(pod.get("spec")), text(mapping(pod.get("metadata")).get("name"))
    main, init, ephemeral = (
        _names(spec.get(key)) for key in ("containers", "initContainers", "ephemeralContainers")
    )
    if asked:
        if asked not in (*main, *init, *ephemeral):
            raise bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(main) == 1:
        return main[0]
    if not main:
        raise bad_request(f"a container name must be specified for pod {name}")
    also = f" or one of the init containers: [{' '.join(init)}]" if init else ""
    more = f" or one of the ephemeral containers: [{' '.join(ephemeral)}]" if ephemeral else ""
    raise bad_request(
        f"a container name must be specified for pod {name}, choose one of: [{' '.join(main)}]{also}{more}"
    )


def log_of(
    logs: Sequence[ContainerLog], gaps: Iterable[NotRead], namespace: str, pod: str, wanted: Wanted
) -> ContainerLog:
    """The recorded log of a pod's container. Raises Refused, which says what was recorded instead."""
    for log in logs:
        if (log.container, log.previous) == (wanted.container, wanted.previous):
            return log
    # As `kubernaut record` names what it could not read.
    which = f"{'previous log' if wanted.previous else 'log'} of {namespace}/{pod}/{wanted.container}"
    why = next((f" ({gap.why})" for gap in gaps if gap.what == which), "")
    there = ", ".join(f"{log.container}{' (previous)' if log.previous else ''}" for log in logs) or "none"
    raise not_recorded(f"the {which} was not recorded{why}; of this pod there is: {there}")


def lines_of(log: ContainerLog, wanted: Wanted) -> bytes:
    """The text that is answered.

    Raises:
        Refused: times are asked for, and the log was recorded without.
    """
    if not (wanted.timestamps or wanted.since or wanted.tail is not None):
        return _cut(log.text, wanted.most_bytes)
    lines = _lines(log.text)
    if wanted.timestamps or wanted.since is not None:
        times = [parse_time(found[0]) if (found := _TIME.match(line)) else None for line in lines]
        if lines and not any(times):
            raise _without_times(log)
        if wanted.since is not None:
            lines = _since(lines, times, wanted.since)
    if wanted.tail is not None:
        lines = lines[len(lines) - wanted.tail :] if wanted.tail < len(lines) else lines
    return _cut("".join(lines), wanted.most_bytes)


def _since(lines: Sequence[str], times: Sequence[datetime | None], since: datetime) -> list[str]:
    """A line without a time belongs to the one before; those before any time are older than the first."""
    kept: list[str] = []
    newer = False
    for line, moment in zip(lines, times, strict=True):
        newer = moment >= since if moment is not None else newer
        if newer:
            kept.append(line)
    return kept


def _lines(content: str) -> list[str]:
    """At line feeds alone, as a kubelet counts them; Python would break at form feeds and U+2028 too."""
    parts = content.split("\n")
    ended = [f"{part}\n" for part in parts[:-1]]
    return [*ended, parts[-1]] if parts[-1] else ended


def _without_times(log: ContainerLog) -> Refused:
    return bad_request(
        f"the log of container {log.container} was recorded without times, so that neither --since nor --timestamps "
        "can be answered; leave them out"
    )


def _cut(content: str, most: int | None) -> bytes:
    raw = content.encode("utf-8", "replace")
    return raw if most is None else raw[:most]


def _names(value: object) -> list[str]:
    return [text(one.get("name")) for one in entries(value)]
