"""Built-in objects that say themselves that they are not well, in their conditions and in warnings about them.

Sees, for kinds of any part of Kubernetes itself, conditions by the API's conventions (a node's Ready that is not True
and its other conditions that are; Failed jobs; what keeps a namespace from going; an autoscaler that cannot scale), and
the newest warnings about whatever its status shows to be not well: a claim that is not bound, a Service without its
address, a workload that lacks pods (not one whose pods wait for their turn, `meant`). Tells the component's own words, since when and how often. A warning alone, about
something that looks well, is none. Blames whatever objects the words mean.
No fault are conditions of a node that affirm something (`NetworkingReady`), or that hold since the node was made and by
their names speak of no trouble (`EtcdIsVoter`); a namespace that has just begun to go, and an autoscaler whose pods are too
young to be measured.
What the words are about is told better by an analyzer that knows the fault; this one is for those that nobody foresaw.

Rests on: Kubernetes API conventions, "Typical status properties" (node conditions are the exception: True is bad),
https://docs.aws.amazon.com/eks/latest/userguide/node-health.html (conditions that affirm),
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ (pods are set aside for their first five minutes).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.containers import is_ready
from services.context_api.domain.events import Event
from services.context_api.domain.everyday import affirms, tells_of_trouble
from services.context_api.domain.kube import (
    WORKLOADS,
    Condition,
    conditions,
    entries,
    mapping,
    number,
    replicas,
    text,
)
from services.context_api.domain.logs import clusters, cut, is_narrative, quote, telling
from services.context_api.domain.meant import unready_as_meant
from services.context_api.domain.observation import Blame, Depth, Observation
from services.context_api.domain.runs import done_since
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.voices import warned
from services.context_api.domain.wording import clock, name_of

NAME = "unwell"
MOST = 3
SETTLING = timedelta(minutes=5)
"""A deletion takes this long, and so does an autoscaler until it has measured new pods (its own default)."""

BORN = timedelta(hours=1)
"""What holds since this soon after a node was made is how that node is."""

_RESTATED = frozenset({"BackOff", "FailedToRetrieveImagePullSecret", "ProgressDeadlineExceeded"})
"""Reasons of warnings that say no more than the status does."""


@dataclass(frozen=True, slots=True)
class _Said:
    reason: str
    words: str
    since: datetime | None
    fact: evidence.Fact


def observe(scene: Scene) -> Iterator[Observation]:
    """At most one observation per object."""
    for obj in scene.graph.of_kind("Node", "Namespace", "Job", "HorizontalPodAutoscaler"):
        said = [_condition(obj, c) for c in conditions(obj) if _is_bad(obj, c, scene.now)]
        if said and not (obj.kind == "Job" and _made_up_for(scene, obj)):
            found = _observation(scene, obj, [*said, *_warnings(scene, obj)], latent=False)
            # A run is told about its cron job, as those who know the fault tell it: two names are not two faults.
            yield replace(found, about=scene.graph.top(obj)) if obj.kind == "Job" else found
    for claim in scene.graph.of_kind("PersistentVolumeClaim"):
        if text(claim.status.get("phase")) in ("Pending", "Lost"):
            yield from _by_warning(scene, claim, f"is {text(claim.status.get('phase'))}", latent=False)
    for service in scene.graph.of_kind("Service"):
        if service.spec.get("type") == "LoadBalancer" and not entries(
            mapping(service.status.get("loadBalancer")).get("ingress")
        ):
            yield from _by_warning(scene, service, "has no address outside", latent=False)
    for workload in scene.graph.workloads:
        unready = [pod for pod in scene.graph.pods_of(workload) if not is_ready(pod)]
        turn = sum(unready_as_meant(scene, pod) for pod in unready)
        if workload.kind not in ("Pod", "Job", "CronJob") and (
            turn < len(unready) or _lacks_pods(workload, turn)
        ):
            yield from _by_warning(scene, workload, "lacks pods", latent=True)


def unforeseen(seen: Iterable[Observation]) -> list[Observation]:
    """All observations but those of this analyzer about objects of which one that knows the fault says why."""
    kept = list(seen)
    known = {id(o.about) for o in kept if o.analyzer != NAME and not o.latent and o.depth >= Depth.process}
    return [o for o in kept if o.analyzer != NAME or id(o.about) not in known]


def _made_up_for(scene: Scene, job: KubeObject) -> bool:
    """Whether a later run of the same schedule, or a later job with the same work, succeeded: then this one is history."""
    failed = next((c.since for c in conditions(job) if c.type == "Failed"), None)
    if done_since(scene, job, failed):
        return True
    schedule = scene.graph.owner(job)
    later = parse_time(schedule.status.get("lastSuccessfulTime")) if schedule is not None else None
    return later is not None and job.created_at is not None and later > job.created_at


def _lacks_pods(workload: KubeObject, turn: int) -> bool:
    """Whether fewer are ready than it wants, those that wait for their turn (so many) aside."""
    if workload.kind == "DaemonSet":
        return number(workload.status.get("numberReady")) + turn < number(
            workload.status.get("desiredNumberScheduled")
        )
    ready = number(workload.status.get("readyReplicas"))
    return bool(workload.status) and ready + turn < replicas(workload)


def _is_bad(obj: KubeObject, state: Condition, now: datetime) -> bool:
    match obj.kind:
        case "Node":
            return _is_bad_of_node(obj, state)
        case "Job":
            return state.type == "Failed" and state.status == "True"
        case "Namespace":
            since = parse_time(obj.metadata.get("deletionTimestamp"))
            return since is not None and state.status == "True" and now - since > SETTLING
        case _:
            stopped = state.type in ("ScalingActive", "AbleToScale") and state.status == "False"
            young = state.since is not None and now - state.since <= SETTLING
            return stopped and not young and state.reason != "ScalingDisabled"


def _is_bad_of_node(node: KubeObject, state: Condition) -> bool:
    if affirms(state.type):
        return state.status in (("False", "Unknown") if state.type == "Ready" else ("False",))
    if state.status != "True":
        return False
    made = node.created_at
    always = made is not None and state.since is not None and state.since - made <= BORN
    return tells_of_trouble(state.type) or not always


def _condition(obj: KubeObject, state: Condition) -> _Said:
    message = "" if is_narrative(state.message) else quote(state.message, 400)
    words = f"{state.type}={state.status} ({state.reason})"
    words += f" since {clock(state.since)}" if state.since else ""
    words += f": `{message}`" if message else ""
    body = {"status": state.status, "reason": state.reason, "message": message}
    fact = evidence.field(
        obj, f"status.conditions[{state.type}]", body, f"{name_of(obj)}: {words}", state.since
    )
    reason = state.reason if state.type == "Failed" else f"{state.type}{state.status}"
    return _Said(reason, words, state.since, fact)


def _warnings(scene: Scene, obj: KubeObject) -> list[_Said]:
    found = [e for e in warned(scene, obj) if e.reason not in _RESTATED and e.message]
    found.sort(key=lambda e: (e.last is not None, e.last or 0, e.reason, e.message), reverse=True)
    return [_warning(obj, event) for event in found]


def _warning(obj: KubeObject, event: Event) -> _Said:
    often = f" {event.count} times" if event.count > 1 else ""
    words = f"warning {event.reason}{often} since {clock(event.first)}: `{quote(event.message, 400)}`"
    return _Said(event.reason, words, event.first, evidence.event(obj, event))


def _by_warning(scene: Scene, obj: KubeObject, state: str, *, latent: bool) -> Iterator[Observation]:
    said = _warnings(scene, obj)
    if said:
        yield _observation(scene, scene.graph.top(obj), said, state=state, latent=latent)


def _last_words(scene: Scene, about: KubeObject) -> Iterator[str]:
    """Why the pods of a job ended, in their own words."""
    pods = scene.graph.made_by(about)[-1:] if about.kind == "Job" else ()
    logs = [log.text for pod in pods for log in scene.snapshot.logs_of(pod.namespace, pod.name)]
    for line in telling(clusters(logs), 1):
        yield f"its pod's log: `{cut(line.text)}`"


def _observation(
    scene: Scene, about: KubeObject, said: list[_Said], *, state: str = "", latent: bool
) -> Observation:
    words = "; ".join([*(one.words for one in said[:MOST]), *_last_words(scene, about)])
    onsets = [one.since for one in said if one.since]
    blamed = [m for m in scene.mentions.of(about, words) if m.obj.kind not in WORKLOADS]
    return Observation(
        about=about,
        reason=said[0].reason or "Warned",
        text=f"{name_of(about)} {f'{state}: ' if state else 'reports '}{words}",
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.process,
        certainty=0.5,
        facts=tuple(one.fact for one in said[:MOST]),
        basis=("the object's own status, in the words of the component that wrote it",),
        onset=min(onsets, default=None),
        remediation=remedies.look(about, f"Read the conditions and events of {name_of(about)}."),
        blames=tuple(Blame(m.obj, m.strength, f"its words {m.how}") for m in blamed[:MOST]),
        latent=latent,
    )
