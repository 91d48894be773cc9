"""Which logs are asked for from a log store: those that no kubelet serves any more, and for which time.

Pure. A store keeps all instances of a container in one stream, so an instance is a stretch of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.context_api.domain.containers import Container, containers_of
from services.context_api.domain.events import about, read_event
from services.context_api.domain.kube import at, mapping, text
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.wanted_logs import WantedLog

LOOK_BACK = timedelta(hours=1)
"""How far back a store is asked where nothing says when the container ran. As far as alerts usually look back."""

MARGIN = timedelta(seconds=2)
"""Around an instance's life: agents stamp lines a moment later, and the kubelet writes whole seconds."""

MOST_GONE = 8
"""Pods that are gone and asked about; each is a call."""


@dataclass(frozen=True, slots=True)
class KeptLog:
    """One log of a store. `container` empty: of all containers, as nobody knows their names any more."""

    namespace: str
    pod: str
    container: str
    previous: bool
    since: datetime
    until: datetime

    def __str__(self) -> str:
        which = "previous log" if self.previous else "log"
        return f"{which} of {self.namespace}/{self.pod}{f'/{self.container}' if self.container else ''}"


def kept_logs(missed: Sequence[WantedLog], pods: Iterable[KubeObject], now: datetime) -> list[KeptLog]:
    """The stretches of time for wanted logs that could not be had where they were written."""
    names = {(log.namespace, log.pod) for log in missed}
    known = {
        (pod.namespace, pod.name, container.name): container
        for pod in pods
        if (pod.namespace, pod.name) in names
        for container in containers_of(pod)
    }
    found = []
    for log in missed:
        since, until = _stretch(known.get((log.namespace, log.pod, log.container)), log.previous, now)
        found.append(KeptLog(log.namespace, log.pod, log.container, log.previous, since, until))
    return found


def _stretch(container: Container | None, previous: bool, now: datetime) -> tuple[datetime, datetime]:
    if container is None:
        return now - LOOK_BACK, now
    before = mapping(at(container.status, "lastState", "terminated"))
    if previous:
        ended = parse_time(before.get("finishedAt"))
        began = parse_time(before.get("startedAt"))
        until = min(ended + MARGIN, now) if ended else now
        return _far_enough(began, until), until
    ended = parse_time(container.terminated.get("finishedAt"))
    began = container.started_at or parse_time(container.terminated.get("startedAt"))
    until = min(ended + MARGIN, now) if ended else now
    return _far_enough(began, until), until


def _far_enough(began: datetime | None, until: datetime) -> datetime:
    """Not before the instance began, nor further back than is of interest."""
    earliest = until - LOOK_BACK
    return earliest if began is None or began >= until else max(earliest, began - MARGIN)


def gone_pods(
    events: Iterable[KubeObject], pods: Set[tuple[str, str]], now: datetime, *, most: int = MOST_GONE
) -> list[KeptLog]:
    """Pods that events of the last hour speak of and that are no more; those with warnings first, then the newest.

    Args:
        pods: (namespace, name) of those that are.
    """
    last: dict[tuple[str, str], tuple[bool, datetime]] = {}
    for raw in events:
        reference = about(raw)
        name = (text(reference.get("namespace")), text(reference.get("name")))
        if reference.get("kind") != "Pod" or name in pods or not all(name):
            continue
        moment = read_event(raw).last
        if moment is None or not timedelta() <= now - moment <= LOOK_BACK:
            continue
        warned, newest = last.get(name, (False, moment))
        last[name] = (warned or raw.body.get("type") == "Warning", max(newest, moment))
    ranked = sorted(last.items(), key=lambda one: (not one[1][0], -one[1][1].timestamp(), one[0]))
    return [
        KeptLog(namespace, pod, "", False, moment - LOOK_BACK, min(now, moment + LOOK_BACK))
        for (namespace, pod), (_, moment) in ranked[:most]
    ]
