"""One container of one pod: what was asked for beside what the kubelet reports.

Decides what counts as live, as recently restarted and as an old scar; names no fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal

from services.context_api.domain.kube import EMPTY, at, condition, entries, mapping, number, text
from services.context_api.domain.snapshot import Body, KubeObject, once, parse_time

BACK_OFF_RESET = timedelta(minutes=10)
"""A container that runs this long has left its crash loop: the kubelet resets the back-off then
(kubernetes.io/docs, "Pod Lifecycle", container restart policy)."""

SCAR = timedelta(hours=1)
"""Older single restarts are history, not an incident. A guess: alerts rarely look back further."""

Role = Literal["app", "init", "sidecar"]


@dataclass(frozen=True, eq=False)  # no slots: a dozen analyzers ask for the same readings
class Container:
    """A container's spec and status, with the pod it belongs to."""

    pod: KubeObject
    name: str
    role: Role
    spec: Body
    status: Body

    @cached_property
    def waiting(self) -> Body:
        return mapping(at(self.status, "state", "waiting"))

    @cached_property
    def waiting_reason(self) -> str:
        return text(self.waiting.get("reason"))

    @cached_property
    def running(self) -> Body:
        return mapping(at(self.status, "state", "running"))

    @cached_property
    def terminated(self) -> Body:
        """The current state, when it is `terminated`."""
        return mapping(at(self.status, "state", "terminated"))

    @cached_property
    def last_end(self) -> Body:
        """The newest termination: of the current instance, else of the one before."""
        return self.terminated or mapping(at(self.status, "lastState", "terminated"))

    @property
    def restarts(self) -> int:
        return number(self.status.get("restartCount"))

    @property
    def ready(self) -> bool:
        return self.status.get("ready") is True

    @property
    def image(self) -> str:
        return text(self.spec.get("image")) or text(self.status.get("image"))

    @property
    def started_at(self) -> datetime | None:
        return parse_time(self.running.get("startedAt"))

    def __str__(self) -> str:
        kind = {"app": "container", "init": "init container", "sidecar": "sidecar container"}[self.role]
        return f"{kind} {self.name}"


def containers_of(pod: KubeObject) -> Iterator[Container]:
    """Every container of a pod; without a spec (half-written file) the statuses alone."""
    for spec_field, status_field in (
        ("initContainers", "initContainerStatuses"),
        ("containers", "containerStatuses"),
    ):
        statuses = {text(s.get("name")): s for s in entries(pod.status.get(status_field))}
        specs = {text(s.get("name")): s for s in entries(pod.spec.get(spec_field))}
        for name in [*specs, *(n for n in statuses if n not in specs)]:
            spec = specs.get(name, EMPTY)
            role: Role = "app"
            if spec_field == "initContainers":
                role = "sidecar" if spec.get("restartPolicy") == "Always" else "init"
            yield Container(pod=pod, name=name, role=role, spec=spec, status=statuses.get(name, EMPTY))


DEFAULT = "kubectl.kubernetes.io/default-container"
"""Annotation by which a pod says whose log people mean."""

_PROXIES = frozenset({"istio-proxy", "linkerd-proxy"})
"""What meshes put beside the containers of a pod, and which write whether or not these work."""


def is_main(pod: KubeObject, name: str) -> bool:
    """Whether the container of that name does the pod's own work: the one that the pod says is meant, else any but init
    containers, sidecars and the proxies of meshes."""
    roles = {c.name: c.role for c in containers_of(pod)}
    meant = text(pod.annotations.get(DEFAULT))
    if meant in roles:
        return name == meant
    return name not in _PROXIES and roles.get(name, "app") == "app"


@once
def is_settled(pod: KubeObject) -> bool:
    """Whether every container of the pod runs, is ready and never ended before, and every init container is done.

    What the statuses of such a pod say is of no interest to whoever looks for trouble, and most pods are such.
    """
    statuses = entries(pod.status.get("containerStatuses"))
    if not statuses or len(statuses) != len(entries(pod.spec.get("containers"))):
        return False
    first = entries(pod.status.get("initContainerStatuses"))
    return (
        len(first) == len(entries(pod.spec.get("initContainers")))
        and all(map(_runs_well, statuses))
        and all(_runs_well(status) or _is_done(status) for status in first)
    )


_RUNS, _ENDED = frozenset({"running"}), frozenset({"terminated"})


def _runs_well(status: Body) -> bool:
    return (
        status.get("ready") is True
        and status.get("restartCount") == 0
        and not status.get("lastState")
        and mapping(status.get("state")).keys() == _RUNS
    )


def _is_done(status: Body) -> bool:
    state = mapping(status.get("state"))
    return (
        status.get("restartCount") == 0
        and state.keys() == _ENDED
        and mapping(state.get("terminated")).get("exitCode") == 0
    )


@once
def is_live(pod: KubeObject) -> bool:
    """Whether the pod is meant to run: neither completed nor being deleted."""
    return (
        not pod.is_leaving
        and pod.status.get("phase") != "Succeeded"
        and text(pod.status.get("reason"))
        not in ("Evicted", "Shutdown", "NodeShutdown", "Terminated", "Preempting")
    )


def is_made_up_for(job: KubeObject, schedule: KubeObject | None) -> bool:
    """Whether a job was done although tries failed, or a later run of its schedule was."""
    if job.kind != "Job":
        return False
    done = condition(job, "Complete")
    later = parse_time(schedule.status.get("lastSuccessfulTime")) if schedule is not None else None
    since = later is not None and job.created_at is not None and later > job.created_at
    return since or (done is not None and done.status == "True")


@once
def is_ready(pod: KubeObject) -> bool:
    """The pod's Ready condition; without conditions (old dumps), all containers ready."""
    for raw in entries(pod.status.get("conditions")):
        if raw.get("type") == "Ready":
            return text(raw.get("status")).lower() == "true"
    statuses = entries(pod.status.get("containerStatuses"))
    return bool(statuses) and all(s.get("ready") is True for s in statuses)


def ends_again_and_again(container: Container, now: datetime) -> bool:
    """Whether its last end is part of what happens now rather than an old scar.

    True within an hour, or while the time since the last end is no longer than twice the usual time
    between ends (a leak that kills every four hours is an incident at any moment).
    """
    ended = parse_time(container.last_end.get("finishedAt"))
    if ended is None:
        return container.restarts > 0 and not container.ready
    since = now - ended
    if since <= SCAR:
        return True
    created = container.pod.created_at
    if created is None or container.restarts < 3:
        return False
    return since <= 2 * (ended - created) / container.restarts
