"""Reads both event APIs (core/v1 and events.k8s.io/v1) into one shape and finds them by object.

Judges nothing. An event says that a component wrote a line, not that the line is true: analyzers use
events to explain what an object's status already shows, never to invent a fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.context_api.domain.kube import mapping, number, text
from services.context_api.domain.snapshot import Body, KubeObject, Snapshot, parse_time

CLUSTER_SCOPED = frozenset(
    {"Node", "PersistentVolume", "Namespace", "StorageClass", "ClusterOperator", "CustomResourceDefinition"}
)


@dataclass(frozen=True, slots=True)
class Event:
    """One event, whichever API printed it."""

    reason: str
    message: str
    type: str
    count: int
    first: datetime | None
    last: datetime | None
    component: str
    field_path: str
    raw: KubeObject

    @property
    def warning(self) -> bool:
        return self.type == "Warning"

    def in_container(self, name: str) -> bool:
        """Whether the event speaks of that container (`spec.containers{db}`)."""
        return self.field_path.endswith(f"{{{name}}}")


def about(raw: KubeObject) -> Body:
    """The reference to the object the event speaks of."""
    return mapping(raw.body.get("involvedObject")) or mapping(raw.body.get("regarding"))


def read_event(raw: KubeObject) -> Event:
    """Times in the order the APIs fill them: series, last/first, event time, creation."""
    body = raw.body
    series = mapping(body.get("series"))
    event_time = parse_time(body.get("eventTime"))
    first = (
        parse_time(body.get("firstTimestamp"))
        or parse_time(body.get("deprecatedFirstTimestamp"))
        or event_time
        or raw.created_at
    )
    last = (
        parse_time(series.get("lastObservedTime"))
        or parse_time(body.get("lastTimestamp"))
        or parse_time(body.get("deprecatedLastTimestamp"))
        or event_time
        or first
    )
    count = (
        number(series.get("count")) or number(body.get("count")) or number(body.get("deprecatedCount")) or 1
    )
    source = mapping(body.get("source")) or mapping(body.get("deprecatedSource"))
    return Event(
        reason=text(body.get("reason")),
        message=text(body.get("message")) or text(body.get("note")),
        type=text(body.get("type")),
        count=count,
        first=first,
        last=last,
        component=text(body.get("reportingComponent"))
        or text(body.get("reportingController"))
        or text(source.get("component")),
        field_path=text(about(raw).get("fieldPath")),
        raw=raw,
    )


_AFTER_THE_SANDBOX = frozenset({"Pulling", "Pulled", "Created", "Started"})
"""What the kubelet tells of a pod once its volumes are mounted and its sandbox stands."""


def overtaken(events: Sequence[Event], failed: Event) -> bool:
    """Whether the kubelet has gone on since a pod's volume or sandbox failed: it tries until that succeeds."""
    return any(
        e.reason in _AFTER_THE_SANDBOX
        and e.last is not None
        and failed.last is not None
        and e.last > failed.last
        for e in events
    )


class EventIndex:
    """Events by the object they speak of; each is read once, when first asked for."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._raw: dict[tuple[str, str | None, str], list[KubeObject]] = {}
        self._read: dict[tuple[str, str | None, str], list[Event]] = {}
        for event in snapshot.events:
            reference = about(event)
            kind, name = text(reference.get("kind")), text(reference.get("name"))
            namespace = (
                None if kind in CLUSTER_SCOPED else text(reference.get("namespace")) or event.namespace
            )
            self._raw.setdefault((kind, namespace, name), []).append(event)

    def of(self, obj: KubeObject) -> Sequence[Event]:
        """Events about this object, oldest first; those about a predecessor of the same name are left out."""
        namespace = None if obj.kind in CLUSTER_SCOPED else obj.namespace
        read = self._named((obj.kind, namespace, obj.name))
        return [e for e in read if not _of_predecessor(e, obj)]

    def about_name(self, kind: str, namespace: str | None, name: str) -> Sequence[Event]:
        """Events about an object that may itself be gone."""
        return self._named((kind, namespace, name))

    def _named(self, key: tuple[str, str | None, str]) -> list[Event]:
        if key not in self._read:
            read = [read_event(raw) for raw in self._raw.get(key, [])]
            self._read[key] = sorted(
                read, key=lambda e: (e.last is not None, e.last or 0, e.reason, e.message)
            )
        return self._read[key]


def _of_predecessor(event: Event, obj: KubeObject) -> bool:
    # A StatefulSet's pod comes back under its old name; the kubelet's events carry the uid they were about.
    # Mirror pods and nodes carry other values there (a hash, the node's name), so only pods are told apart.
    if obj.kind != "Pod" or not obj.uid:
        return False
    uid = text(about(event.raw).get("uid"))
    if not uid or uid == obj.uid or "kubernetes.io/config.mirror" in obj.annotations:
        return False
    return event.last is None or obj.created_at is None or event.last < obj.created_at
