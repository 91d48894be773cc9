"""Why no cause is named: nothing is wrong, it has healed, or the evidence does not suffice. Three different pieces of news.

Decides which of the three, and says which evidence is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from libs.contracts.causes import NoCause
from libs.contracts.target import Target
from services.context_api.domain.changes import Edit, last_edit
from services.context_api.domain.containers import containers_of, is_ready
from services.context_api.domain.elsewhere import foreign, unreached
from services.context_api.domain.events import Event
from services.context_api.domain.kube import WORKLOADS, condition, conditions, entries, replicas, text
from services.context_api.domain.meant import ended_by_decision, unready_as_meant
from services.context_api.domain.past_trouble import hushed, lagging, outlasted, passed
from services.context_api.domain.removed import removed
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, Snapshot, parse_time

STARTS_WITHIN = timedelta(minutes=2)
"""A pod that was ready this soon after it was made has started as pods do. A guess; images that are there start in seconds."""

TOGETHER = timedelta(minutes=1)
"""Between an autoscaler's decision and the pod that comes of it."""

REPEATED = 3
"""Times from which on a warning has a rhythm."""

LOOK_BACK = timedelta(hours=1)
"""Signs of trouble this recent, with everything healthy now, mean that it has healed."""


def without_cause(
    scene: Scene, target: Target | None, about: KubeObject | None, *, muted: bool = False
) -> NoCause:
    """Which it is; asked only when no cause was found. `muted`: something was found that nobody wants to hear of."""
    if not scene.snapshot.objects:
        return NoCause.insufficient
    since = (scene.onset or scene.now) - LOOK_BACK
    if target is not None and about is None:
        return NoCause.insufficient if removed(scene, target, since) is None else NoCause.recovered
    if about is not None and pods_missing(scene, about):
        return NoCause.insufficient
    if muted:
        return NoCause.muted
    if target is None and any(foreign(scene)):
        return NoCause.insufficient
    if any(moment >= since for moment in signs(scene, about)) or any(passed(scene, about, since)):
        return NoCause.recovered
    if about is not None and any(outlasted(scene, series, about) for series in lagging(scene, about)):
        return NoCause.recovered
    if about is not None and hushed(scene, about, since) is not None:
        return NoCause.recovered
    if target is not None and about is not None and replaced(target, about) and not scaled_down(scene, about):
        return NoCause.recovered
    if about is None and scene.snapshot.not_read:
        return NoCause.insufficient
    if about is not None and any(unreached(scene, about)):
        return NoCause.insufficient
    return NoCause.nothing_wrong


def pods_missing(scene: Scene, about: KubeObject) -> bool:
    """A workload that should have pods, in a recording that holds none of them."""
    return (
        about.kind in WORKLOADS - {"Pod", "CronJob", "Job", "DaemonSet"}
        and replicas(about) > 0
        and not scene.graph.pods_of(about)
        and not list(scene.snapshot.of_kind("Pod", about.namespace))
    )


def replaced(target: Target, about: KubeObject) -> bool:
    """Whether the alert is about a pod (or what made it) that is no more, and its owner stands for it."""
    return target.kind in ("Pod", "ReplicaSet", "Job") and (target.kind, target.name) != (
        about.kind,
        about.name,
    )


def scaled_down(scene: Scene, about: KubeObject) -> Edit | None:
    """Who set how many pods the owner has, within the hour: then one less is as it was meant.

    A person's edit that set nothing else, or an autoscaler.
    """
    top = scene.graph.top(about)
    since, edit = (scene.onset or scene.now) - LOOK_BACK, last_edit(top)
    if edit is not None and edit.at >= since and all(p.startswith("spec.replicas") for p in edit.paths):
        return edit
    for scaler in scene.graph.of_kind("HorizontalPodAutoscaler"):
        at = parse_time(scaler.status.get("lastScaleTime"))
        if at is not None and at >= since and any(e.to is top for e in scene.needs.of(scaler)):
            return Edit(at, f"{scaler.kind} {scaler.name}", ("spec.replicas",))
    return None


def signs(scene: Scene, about: KubeObject | None) -> Iterator[datetime]:
    """Times of past trouble: endings, warnings, losing and regaining readiness."""
    tops = [scene.graph.top(about)] if about is not None else []
    if about is not None and about.kind == "Service":
        tops = scene.graph.behind(about)
    # An alert about a namespace is one about the workloads in it.
    place = about is not None and about.kind == "Namespace"
    if about is not None and place:
        tops = list({id(t): t for t in map(scene.graph.top, scene.graph.workloads_in(about.name))}.values())
    pods: Sequence[KubeObject] = scene.graph.pods
    if about is not None:
        pods = [p for top in tops for p in scene.graph.pods_of(top)]
    if about is not None and place:
        pods = scene.graph.pods_in(about.name)
    if about is not None:
        pods = [pod for pod in pods if not unready_as_meant(scene, pod)]
    for pod in pods:
        # Who has done his work has come to no harm.
        for container in containers_of(pod) if pod.status.get("phase") != "Succeeded" else ():
            ended = parse_time(container.last_end.get("finishedAt"))
            if ended and container.role != "init" and not ended_by_decision(scene, container):
                yield ended
        created = pod.created_at
        # Replaced since the alert began; somewhere in a cluster some pod always is.
        replaced_since = created is not None and scene.onset is not None and created > scene.onset
        if (
            about is not None
            and not place
            and created
            and replaced_since
            and not _was_due(scene, pod, created)
        ):
            yield created
        for raw in entries(pod.status.get("conditions")):
            moment = parse_time(raw.get("lastTransitionTime"))
            # Becoming ready the first time is a start; becoming it again is a recovery.
            late = moment and created and moment - created > timedelta(minutes=15)
            if raw.get("type") == "Ready" and moment and late and pod.status.get("phase") != "Succeeded":
                yield moment
    yield from _evictions(scene, about, tops)
    watched = [about, *tops, *pods] if about is not None else pods
    watched = [obj for obj in watched if obj.kind != "Pod" or not unready_as_meant(scene, obj)]
    for obj in watched:
        for event in scene.graph.events_about(obj):
            if (
                event.warning
                and event.last
                and not _of_a_start(obj, event)
                and not _goes_on(scene, obj, event)
            ):
                yield event.last


def _was_due(scene: Scene, pod: KubeObject, created: datetime) -> bool:
    """Whether a pod was made as one more, and not in another's place: a job's run, or an autoscaler's decision."""
    owner, top = scene.graph.owner(pod), scene.graph.top(pod)
    if owner is not None and owner.kind == "Job":
        return True
    for scaler in scene.graph.of_kind("HorizontalPodAutoscaler"):
        at = parse_time(scaler.status.get("lastScaleTime"))
        if (
            at is not None
            and abs(created - at) <= TOGETHER
            and any(e.to is top for e in scene.needs.of(scaler))
        ):
            return True
    return False


def _evictions(scene: Scene, about: KubeObject | None, tops: Sequence[KubeObject]) -> Iterator[datetime]:
    """When pods of these were evicted: they lie there as Failed until somebody clears them away."""
    for pod in scene.snapshot.of_kind("Pod") if about is not None else ():
        states = [c.since for c in conditions(pod) if c.since is not None]
        if (
            text(pod.status.get("reason")) == "Evicted"
            and states
            and any(scene.graph.top(pod) is t for t in tops)
        ):
            yield max(states)


def _of_a_start(obj: KubeObject, event: Event) -> bool:
    """Whether a pod was warned about while it started, and started as quickly as pods do: probes fail until they succeed."""
    ready, created = condition(obj, "Ready") if obj.kind == "Pod" else None, obj.created_at
    if (
        ready is None
        or ready.status != "True"
        or ready.since is None
        or created is None
        or event.last is None
    ):
        return False
    return ready.since - created <= STARTS_WITHIN and event.last <= ready.since


def _goes_on(scene: Scene, obj: KubeObject, event: Event) -> bool:
    """Whether a warning is repeated to this day, about a pod one that is well all the while: it is advice, and not over."""
    if event.first is None or event.last is None or event.count < REPEATED or event.last <= event.first:
        return False
    if obj.kind == "Pod":
        ready = condition(obj, "Ready")
        if not is_ready(obj) or ready is None or ready.since is None or ready.since > event.first:
            return False
    every = (event.last - event.first) / (event.count - 1)
    return scene.now - event.last < 2 * every


def not_looked_at(snapshot: Snapshot, target: Target | None, about: KubeObject | None) -> list[str]:
    """What could not be read, and what the answer would have needed."""
    missing = [str(entry) for entry in snapshot.not_read]
    if not snapshot.objects:
        missing.append("objects: the recording holds none")
    if target is not None and (
        about is None or about.name != target.name or about.kind.lower() != target.kind.lower()
    ):
        missing.append(f"{target}: not in the recording")
    if not snapshot.time_told:
        missing.append(
            "the time of the recording: not written in it; taken to be the newest time in it, so what has lasted "
            "since then is not seen"
        )
    if snapshot.objects and not snapshot.events:
        missing.append("events: none recorded")
    if snapshot.objects and not snapshot.logs:
        missing.append("logs: none recorded")
    # `kubectl get -o yaml` leaves them out unless it is asked to show them.
    if snapshot.objects and not any(o.metadata.get("managedFields") for o in snapshot.objects):
        missing.append("managedFields: none recorded, so who edited what cannot be told")
    return missing
