"""Which containers' logs are worth reading on a live cluster, in which order, and why.

Pure. Each log costs a call to a kubelet, so they are chosen: first what ends or is not ready, then what has
restarted, was warned about or is new, at last (when there is room) what looks well. Of many replicas with the
same trouble the first of each workload come first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.context_api.domain.containers import Container, containers_of, ends_again_and_again
from services.context_api.domain.kube import number, owner_reference, text
from services.context_api.domain.snapshot import KubeObject

NEW = timedelta(hours=1)
"""A pod this young may be the change that did it. As far as alerts usually look back."""


class LogReason(StrEnum):
    """In the order of importance."""

    ends = "it ends again and again"
    failed = "it has ended with an error"
    not_ready = "it runs and is not ready"
    restarted = "it has restarted"
    warned = "there are warnings about its pod"
    new = "its pod is new"
    well = "nothing is wrong with it, and there was room"


_ORDER = {reason: rank for rank, reason in enumerate(LogReason)}


@dataclass(frozen=True, slots=True)
class WantedLog:
    namespace: str
    pod: str
    container: str
    previous: bool
    node: str
    reason: LogReason

    def __str__(self) -> str:
        which = "previous log" if self.previous else "log"
        return f"{which} of {self.namespace}/{self.pod}/{self.container}"


@dataclass(frozen=True, slots=True)
class WantedLogs:
    chosen: Sequence[WantedLog]
    left_out: Sequence[tuple[LogReason, int]]
    """How many more there were, by reason; those of healthy containers are no loss and not counted."""


def wanted_logs(
    pods: Iterable[KubeObject], warned: Set[tuple[str, str]], now: datetime, *, most: int, healthy: int
) -> WantedLogs:
    """The logs to read, the most telling first.

    Args:
        warned: (namespace, name) of pods that a Warning event is about.
        most: logs in all, of which at most `healthy` are of containers nothing is wrong with.
    """
    found = [log for pod in pods for log in _of_pod(pod, warned, now)]
    nth: Counter[tuple[str, str, LogReason, bool]] = Counter()
    ranked: list[tuple[int, int, str, str, str, bool, WantedLog]] = []
    for owner, log in sorted(found, key=lambda pair: (pair[1].namespace, pair[1].pod, pair[1].container)):
        key = (owner, log.container, log.reason, log.previous)
        nth[key] += 1
        ranked.append(
            (_ORDER[log.reason], nth[key], log.namespace, log.pod, log.container, log.previous, log)
        )
    ordered = [entry[-1] for entry in sorted(ranked, key=lambda entry: entry[:-1])]
    telling = [log for log in ordered if log.reason is not LogReason.well]
    well = [log for log in ordered if log.reason is LogReason.well]
    chosen = telling[:most]
    chosen += well[: max(0, min(healthy, most - len(chosen)))]
    missed = Counter(log.reason for log in telling[most:])
    return WantedLogs(chosen, [(reason, missed[reason]) for reason in LogReason if missed[reason]])


def stands_out(pod: KubeObject) -> bool:
    """Whether a container of the pod gives a reason of its own to read its log; true or false for ever, until the
    pod changes."""
    return any(
        container.restarts > 0 or _exit_code(container) != 0 or _is_not_ready(container)
        for container in containers_of(pod)
    )


def _of_pod(pod: KubeObject, warned: Set[tuple[str, str]], now: datetime) -> Iterator[tuple[str, WantedLog]]:
    node, namespace = text(pod.spec.get("nodeName")), pod.namespace
    if not node or namespace is None:
        return  # nobody runs it, so nobody wrote
    owner = text((owner_reference(pod) or {}).get("uid")) or pod.uid
    for container in containers_of(pod):
        if container.role == "init" and container.terminated and _exit_code(container) == 0:
            continue  # it did what it was for
        reason = _reason(container, now) or _reason_of_pod(pod, warned, now)
        for previous in _instances(container):
            yield owner, WantedLog(namespace, pod.name, container.name, previous, node, reason)


def _instances(container: Container) -> Iterator[bool]:
    """False for the log of the newest instance that ran, True for the one before it; nothing when none ever ran."""
    restarted = container.restarts > 0
    # While it waits to be started again, the kubelet serves the log of what has ended.
    if container.running or container.terminated or restarted:
        yield False
    if restarted:
        yield True


def _reason(container: Container, now: datetime) -> LogReason | None:
    """What the container itself gives as a reason."""
    if container.restarts > 0 and ends_again_and_again(container, now):
        return LogReason.ends
    if container.terminated:
        return LogReason.failed if _exit_code(container) != 0 else None
    if _is_not_ready(container):
        return LogReason.not_ready
    return LogReason.restarted if container.restarts > 0 else None


def _is_not_ready(container: Container) -> bool:
    # An init container that runs keeps the others from starting.
    return bool(container.running) and (container.role == "init" or not container.ready)


def _exit_code(container: Container) -> int:
    return number(container.terminated.get("exitCode"))


def _reason_of_pod(pod: KubeObject, warned: Set[tuple[str, str]], now: datetime) -> LogReason:
    if (pod.namespace or "", pod.name) in warned:
        return LogReason.warned
    created = pod.created_at
    if created is not None and now - created <= NEW:
        return LogReason.new
    return LogReason.well
