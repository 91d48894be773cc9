"""Finds sources that contradict each other about one object, and says which to believe how far.

Decides what counts as a contradiction and not as the ordinary lag of one behind the other: Prometheus tells a sample as
current for five minutes, and exporters are scraped every 15 to 60 seconds. Both sides are always told; none is dropped.
Pure.

Source: prometheus.io/docs, "Querying basics" (staleness); kube-state-metrics' documentation of its metrics;
kubernetes.io/docs, "Images" (ImagePullBackOff).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from libs.contracts.conflicts import Conflict, Saying
from services.context_api.domain import evidence
from services.context_api.domain.containers import Container, containers_of, is_ready
from services.context_api.domain.evidence import Fact
from services.context_api.domain.kube import at, condition, harmless, mapping, number, replicas, text
from services.context_api.domain.logs import cut
from services.context_api.domain.metrics import Series
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.sources import Outcome, SourceName

LAG = timedelta(minutes=5)
"""How old a sample may be that Prometheus still tells as current (its look-back delta)."""

MOST = 5
"""Contradictions told of one answer: more of them have one reason, such as an exporter that hangs."""

LONGEST_NAME = 100
"""Characters of an alert's name, which is its sender's."""

SURE, LIKELY, UNSURE = 0.9, 0.75, 0.6
"""That the object is right: what it says is old enough for the metric to have seen it; the two are of about one
moment; it says no time. Guesses; revisit with incidents."""

BEHIND = 0.25
"""Taken off where the API server does not answer, or some of its lists are out of date: then the object may be old."""


class Reason(StrEnum):
    replicas = "replicas"
    readiness = "readiness"
    restart_count = "restart-count"
    waiting = "waiting"
    image_pull = "image-pull"
    node_condition = "node-condition"
    alert = "alert"


class Who(StrEnum):
    object = "object"
    event = "event"
    metric = "metric"
    alert = "alert"


@dataclass(frozen=True, slots=True)
class Side:
    who: Who
    text: str
    at: datetime | None
    fact: Fact | None = None
    """None where there is nothing to cite: an alert is the caller's word."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    reason: Reason
    about: KubeObject
    believed: Side
    other: Side
    confidence: float
    why: str

    @property
    def fresher(self) -> Who | None:
        ours, theirs = self.believed.at, self.other.at
        if ours is None or theirs is None or ours == theirs:
            return None
        return self.believed.who if ours > theirs else self.other.who

    @property
    def facts(self) -> list[Fact]:
        return [side.fact for side in (self.believed, self.other) if side.fact is not None]


@dataclass(frozen=True, slots=True)
class Reading:
    """What an object says of itself: the value, where it stands, and since when."""

    value: float
    path: str
    since: datetime | None


Read = Callable[[KubeObject, Mapping[str, str]], Reading | None]
"""None: the object does not say, or the labels mean another one."""


def contradictions(scene: Scene, objects: Iterable[KubeObject]) -> list[Contradiction]:
    """Between what these objects say, what is measured of them and what events tell; the surest first."""
    about = {id(one): one for one in objects}
    found = [*_of_metrics(scene, about), *_of_pulls(scene, about.values())]
    return sorted(found, key=lambda one: (-one.confidence, one.reason, str(one.about), one.other.text))


def of_alert(
    scene: Scene, about: KubeObject | None, alertname: str, since: datetime | None, *, well: bool
) -> Contradiction | None:
    """An alert that fires while its object is well.

    Args:
        since: when it began, where that was said.
        well: nothing is wrong with the object now, or it has recovered.
    """
    if about is None or not alertname or not well:
        return None
    confidence = SURE if since is not None and scene.now - since > LAG else LIKELY
    return Contradiction(
        Reason.alert,
        about,
        Side(Who.object, f"{about.kind} {about.name} is well, and so is what it needs", scene.now),
        Side(Who.alert, f"{cut(harmless(alertname), LONGEST_NAME)} fires", since),
        _less_behind(scene, confidence),
        "alerts end up to one evaluation and one group interval after their reason",
    )


def told(found: Contradiction, ids: Mapping[int, str]) -> Conflict:
    """In the words of the contract.

    Args:
        ids: identity of a fact → its evidence id.
    """
    return Conflict(
        reason=found.reason,
        about=str(found.about),
        sides=[
            Saying(
                source=side.who,
                text=side.text,
                observed_at=side.at,
                evidence_id=ids.get(id(side.fact)) if side.fact is not None else None,
            )
            for side in (found.believed, found.other)
        ],
        fresher=found.fresher,
        confidence=found.confidence,
        why=found.why,
    )


# --- metrics ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One metric that says what an object says too."""

    kind: str
    label: str
    reason: Reason
    what: str
    read: Read


def _of_metrics(scene: Scene, about: Mapping[int, KubeObject]) -> Iterator[Contradiction]:
    agreed: set[tuple[str, int, str]] = set()
    opposed: dict[tuple[str, int, str], Contradiction] = {}
    for series in scene.metrics.all:
        row = ROWS.get(_metric(series))
        obj = _named(scene, series, row) if row is not None else None
        said = (
            row.read(obj, series.labels) if row is not None and obj is not None and id(obj) in about else None
        )
        if row is None or obj is None or said is None:
            continue
        key = (_metric(series), id(obj), said.path)
        if said.value == series.last:
            agreed.add(key)
            continue
        found = _contradiction(scene, row, obj, said, series)
        if found is not None:
            opposed.setdefault(key, found)
    # Where one series agrees, the others are another cluster's, or an exporter's that is about to end.
    yield from (found for key, found in opposed.items() if key not in agreed)


def _metric(series: Series) -> str:
    """The metric's name; of a query that is one selector and a filter, its selector's."""
    head = series.query.partition("{")[0].partition(" ")[0]
    return series.name or (head if head in ROWS and "/" not in series.query else "")


def _named(scene: Scene, series: Series, row: Row) -> KubeObject | None:
    labels = series.labels
    name = labels.get(f"exported_{row.label}") or labels.get(row.label, "")
    place = None if row.kind == "Node" else labels.get("exported_namespace") or labels.get("namespace", "")
    found = scene.graph.get(row.kind, place, name) if name else None
    uid = labels.get("uid", "")
    return found if found is None or not uid or not found.uid or uid == found.uid else None


def _contradiction(
    scene: Scene, row: Row, obj: KubeObject, said: Reading, series: Series
) -> Contradiction | None:
    sampled = series.at
    if sampled is None or scene.now - sampled > LAG:
        return None  # a series of then does not contradict an object of now
    if said.since is None:
        confidence, why = UNSURE, "the object does not say since when"
    elif sampled - said.since <= LAG:
        # The sample may be of before. A counter that is ahead is not: it never goes down.
        if row.reason is not Reason.restart_count or series.last < said.value:
            return None
        confidence, why = LIKELY, "the counter is ahead of the object"
    else:
        confidence, why = SURE, "the object has said so for longer than a sample is told as current"
    return Contradiction(
        row.reason,
        obj,
        Side(
            Who.object,
            f"{obj.kind} {obj.name}: {row.what} {said.value:g}",
            scene.now,
            evidence.field(obj, said.path, said.value, f"{obj.kind} {obj.name}: {row.what} {said.value:g}", said.since),
        ),
        Side(
            Who.metric,
            f"{_metric(series)}: {row.what} {series.last:g}",
            sampled,
            # Of a pod's series its workload is told, here as in the record: the same fact has one id.
            evidence.metric(series, scene.graph.top(obj) if obj.kind == "Pod" else obj),
        ),
        _less_behind(scene, confidence),
        why,
    )  # fmt: skip


def _less_behind(scene: Scene, confidence: float) -> float:
    behind = any(
        part.name is SourceName.kubernetes and part.outcome is not Outcome.read
        for part in scene.snapshot.parts
    )
    return round(confidence - BEHIND, 2) if behind else confidence


def _current(obj: KubeObject) -> bool:
    """Whether its controller has seen the newest spec; until then its status is of the one before."""
    seen, newest = obj.status.get("observedGeneration"), obj.metadata.get("generation")
    return seen is None or newest is None or seen == newest


def _replicas(field: str, *types: str) -> Read:
    def read(obj: KubeObject, labels: Mapping[str, str]) -> Reading | None:
        if not _current(obj) or not obj.status:
            return None
        since = [c.since for c in (condition(obj, one) for one in types) if c is not None and c.since]
        return Reading(float(number(obj.status.get(field))), f"status.{field}", max(since, default=None))

    return read


def _wanted_replicas(obj: KubeObject, labels: Mapping[str, str]) -> Reading | None:
    return Reading(float(replicas(obj)), "spec.replicas", None) if obj.spec else None


def _container(pod: KubeObject, labels: Mapping[str, str]) -> Container | None:
    name = labels.get("exported_container") or labels.get("container", "")
    return next((one for one in containers_of(pod) if one.name == name and one.status), None)


def _restarts(pod: KubeObject, labels: Mapping[str, str]) -> Reading | None:
    one = _container(pod, labels)
    if one is None:
        return None
    # The count rises when the next instance starts, or is about to.
    since = one.started_at or parse_time(one.last_end.get("finishedAt"))
    return Reading(float(one.restarts), f"status.containerStatuses[{one.name}].restartCount", since)


def _container_ready(pod: KubeObject, labels: Mapping[str, str]) -> Reading | None:
    one = _container(pod, labels)
    state = condition(pod, "ContainersReady")
    if one is None:
        return None
    return Reading(
        float(one.ready), f"status.containerStatuses[{one.name}].ready", state.since if state else None
    )


def _waiting(pod: KubeObject, labels: Mapping[str, str]) -> Reading | None:
    one, reason = _container(pod, labels), labels.get("reason", "")
    # A crash loop waits and runs by turns, so that both may be true within one scrape.
    if one is None or not reason or reason == "CrashLoopBackOff":
        return None
    since = one.started_at or parse_time(at(one.status, "lastState", "terminated", "finishedAt"))
    return Reading(float(one.waiting_reason == reason), f"status.containerStatuses[{one.name}].state", since)


def _pod_ready(pod: KubeObject, labels: Mapping[str, str]) -> Reading | None:
    state = condition(pod, "Ready")
    if labels.get("condition") != "true" or state is None:
        return None
    return Reading(float(is_ready(pod)), "status.conditions[Ready]", state.since)


def _node_state(node: KubeObject, labels: Mapping[str, str]) -> Reading | None:
    state = condition(node, labels.get("condition", ""))
    if labels.get("status") != "true" or state is None:
        return None
    return Reading(float(state.status == "True"), f"status.conditions[{state.type}]", state.since)


ROWS: Mapping[str, Row] = {
    "kube_deployment_status_replicas_unavailable": Row("Deployment", "deployment", Reason.replicas, "unavailable replicas", _replicas("unavailableReplicas", "Available", "Progressing")),
    "kube_deployment_status_replicas_available": Row("Deployment", "deployment", Reason.replicas, "available replicas", _replicas("availableReplicas", "Available", "Progressing")),
    "kube_deployment_spec_replicas": Row("Deployment", "deployment", Reason.replicas, "wanted replicas", _wanted_replicas),
    "kube_statefulset_status_replicas_ready": Row("StatefulSet", "statefulset", Reason.replicas, "ready replicas", _replicas("readyReplicas")),
    "kube_daemonset_status_number_unavailable": Row("DaemonSet", "daemonset", Reason.replicas, "unavailable pods", _replicas("numberUnavailable")),
    "kube_pod_container_status_restarts_total": Row("Pod", "pod", Reason.restart_count, "restarts", _restarts),
    "kube_pod_container_status_ready": Row("Pod", "pod", Reason.readiness, "container ready", _container_ready),
    "kube_pod_container_status_waiting_reason": Row("Pod", "pod", Reason.waiting, "container waiting for that reason", _waiting),
    "kube_pod_status_ready": Row("Pod", "pod", Reason.readiness, "ready", _pod_ready),
    "kube_node_status_condition": Row("Node", "node", Reason.node_condition, "condition true", _node_state),
}  # fmt: skip
"""What kube-state-metrics says, and where the object says it."""


# --- events -----------------------------------------------------------------------------------------------------

_PULLING = frozenset({"ImagePullBackOff", "ErrImagePull"})


def _of_pulls(scene: Scene, objects: Iterable[KubeObject]) -> Iterator[Contradiction]:
    for pod in objects:
        if pod.kind != "Pod":
            continue
        for container in containers_of(pod):
            if container.waiting_reason in _PULLING:
                found = _pulled(scene, pod, container)
                if found is not None:
                    yield found


def _pulled(scene: Scene, pod: KubeObject, container: Container) -> Contradiction | None:
    """The status says its image cannot be pulled, and a later event than the last refusal says it was."""
    events = [one for one in scene.graph.events.of(pod) if one.in_container(container.name) and one.last]
    pulled = [one for one in events if one.reason == "Pulled" and _of_image(one.message, container)]
    failed = [one for one in events if one.reason in ("Failed", "BackOff", "ErrImagePull")]
    if not pulled or (failed and (failed[-1].last or scene.now) >= (pulled[-1].last or scene.now)):
        return None
    newest = pulled[-1]
    path = f"status.containerStatuses[{container.name}].state.waiting.reason"
    said = f"{container} of {pod.name} waits: {container.waiting_reason}"
    # A kubelet reports a status at once and an event when it can: within a minute either may be the later one.
    recent = newest.last is not None and scene.now - newest.last <= timedelta(minutes=1)
    return Contradiction(
        Reason.image_pull,
        pod,
        Side(Who.object, said, scene.now, evidence.field(pod, path, container.waiting_reason, said)),
        Side(Who.event, f"event Pulled: the image of {container} was there", newest.last, evidence.event(pod, newest)),
        _less_behind(scene, UNSURE if recent else SURE),
        "the status is about to follow the event" if recent else "the status is of now, the event of before",
    )  # fmt: skip


def _of_image(message: str, container: Container) -> bool:
    """Whether the event speaks of the image that is wanted now, and not of one from before an edit."""
    wanted = text(container.spec.get("image")) or text(mapping(container.status).get("image"))
    return bool(wanted) and f'"{wanted}"' in message


def shown(found: Sequence[Contradiction], ids: Mapping[int, str]) -> list[Conflict]:
    """The surest of them, as they are told."""
    return [told(one, ids) for one in found[:MOST]]
