"""The frozen evidence every analyzer reads: objects, events, logs and metrics at one moment.

Pure values. Reading files or clusters is the adapters' work; judging is the analyzers'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from functools import cached_property, wraps
from typing import Any, TypeVar, cast

from libs.contracts.target import Target
from services.context_api.domain.sources import Part

Body = Mapping[str, Any]


def can_be_reckoned_with(moment: datetime) -> bool:
    """Whether there is room before and after it."""
    return MINYEAR < moment.year < MAXYEAR


def parse_time(text: object) -> datetime | None:
    """An RFC 3339 time as the API server prints it (`metav1.Time`, `MicroTime`); None when it is none.

    The first and the last year there are count as none: Go prints year 1 for "unset", people write 9999 for "never",
    and nobody can reckon with an hour before or after them.
    """
    if not isinstance(text, str) or len(text) < 10:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return moment if can_be_reckoned_with(moment) else None
    except (ValueError, OverflowError):  # year 1 in a zone east of Greenwich is before all time
        return None


PARTS = ("metadata", "spec", "status")


def part_of(body: Body, name: str) -> Body:
    """One of the parts of an object's body; empty where it is not there, or is no map."""
    return _mapping(body.get(name))


@dataclass(frozen=True, slots=True, eq=False)
class KubeObject:
    """One object as the API server printed it. Secrets carry no data (`dataSummary` instead)."""

    api_version: str
    kind: str
    namespace: str | None
    name: str
    uid: str
    body: Body
    origin: str = ""
    """Where it was read, e.g. a file path inside the recording."""

    # Read a hundred thousand times per answer, so found once.
    group: str = field(init=False, repr=False)
    """API group; empty for core."""
    metadata: Body = field(init=False, repr=False)
    spec: Body = field(init=False, repr=False)
    status: Body = field(init=False, repr=False)
    labels: Mapping[str, str] = field(init=False, repr=False)
    annotations: Mapping[str, str] = field(init=False, repr=False)
    is_leaving: bool = field(init=False, repr=False)
    """Whether it is being deleted."""
    readings: dict[object, Any] = field(init=False, repr=False, default_factory=dict)
    """What `once` has read of it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "group", self.api_version.rpartition("/")[0])
        for name in PARTS:
            object.__setattr__(self, name, part_of(self.body, name))
        for name in ("labels", "annotations"):
            object.__setattr__(self, name, part_of(self.metadata, name))
        object.__setattr__(self, "is_leaving", bool(self.metadata.get("deletionTimestamp")))

    @property
    def created_at(self) -> datetime | None:
        return _created_at(self)

    @property
    def owners(self) -> Sequence[Body]:
        """`metadata.ownerReferences`; entries that are no mapping are dropped."""
        references = self.metadata.get("ownerReferences")
        return [r for r in references if isinstance(r, Mapping)] if isinstance(references, list) else []

    def target(self, cluster: str = "local") -> Target:
        return Target(
            cluster=cluster,
            api_version=self.api_version,
            kind=self.kind,
            namespace=self.namespace,
            name=self.name,
        )

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace or '_cluster'}/{self.name}"


T = TypeVar("T")


def once(reading: Callable[[KubeObject], T]) -> Callable[[KubeObject], T]:
    """A reading of nothing but the object itself, made once: objects do not change, and outlive the answers about them."""

    @wraps(reading)
    def read(obj: KubeObject) -> T:
        # One look: another thread may let go of what was read at any time.
        found = obj.readings.get(reading, UNREAD)
        if found is UNREAD:
            found = obj.readings[reading] = reading(obj)
        return cast("T", found)

    return read


UNREAD = object()


@once
def _created_at(obj: KubeObject) -> datetime | None:
    return parse_time(obj.metadata.get("creationTimestamp"))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if value.__class__ is dict or isinstance(value, Mapping) else {}


@dataclass(frozen=True, slots=True)
class ContainerLog:
    """The end of one container's log."""

    namespace: str
    pod: str
    container: str
    previous: bool
    text: str
    truncated: bool = False
    """True when the beginning was left out (only the last bytes are kept)."""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class MetricAnswer:
    """One Prometheus query and its answer; `data` as the Prometheus HTTP API returns it."""

    query: str
    kind: str
    """`instant` or `range`."""
    asked_at: datetime | None
    data: Body
    origin: str = ""


@dataclass(frozen=True, slots=True)
class NotRead:
    """Something that could not be looked at, and why."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


@dataclass(frozen=True)
class Snapshot:
    """Everything known at `captured_at`. "Now" for every analyzer is `captured_at`, never the wall clock."""

    captured_at: datetime
    objects: Sequence[KubeObject]
    events: Sequence[KubeObject] = ()
    """Event objects (core/v1 and events.k8s.io/v1), kept apart from `objects`."""
    logs: Sequence[ContainerLog] = ()
    metrics: Sequence[MetricAnswer] = ()
    not_read: Sequence[NotRead] = ()
    time_told: bool = True
    """False: the evidence does not say when it was taken, and `captured_at` is the newest time in it."""
    parts: Sequence[Part] = ()
    """How each source took part; none of a recording."""
    source: str = "recording"
    cluster: str = "local"
    id: str = ""
    """Hash of everything above but the parts: the same evidence has the same id in every process. Answers are cached by it."""

    @cached_property
    def _by_name(self) -> Mapping[tuple[str, str | None, str], list[KubeObject]]:
        index: dict[tuple[str, str | None, str], list[KubeObject]] = {}
        for item in self.objects:
            index.setdefault((item.kind, item.namespace, item.name), []).append(item)
        return index

    @cached_property
    def _by_kind(self) -> Mapping[str, list[KubeObject]]:
        index: dict[str, list[KubeObject]] = {}
        for item in self.objects:
            index.setdefault(item.kind, []).append(item)
        return index

    @cached_property
    def _by_uid(self) -> Mapping[str, KubeObject]:
        return {item.uid: item for item in self.objects if item.uid}

    @cached_property
    def _logs_by_pod(self) -> Mapping[tuple[str, str], list[ContainerLog]]:
        index: dict[tuple[str, str], list[ContainerLog]] = {}
        for log in self.logs:
            index.setdefault((log.namespace, log.pod), []).append(log)
        return index

    @cached_property
    def _events_by_object(self) -> Mapping[tuple[str, str | None, str], list[KubeObject]]:
        index: dict[tuple[str, str | None, str], list[KubeObject]] = {}
        for event in self.events:
            about = event.body.get("involvedObject") or event.body.get("regarding") or {}
            if isinstance(about, Mapping):
                key = (
                    str(about.get("kind", "")),
                    about.get("namespace") or event.namespace,
                    str(about.get("name", "")),
                )
                index.setdefault(key, []).append(event)
        return index

    def get(
        self, kind: str, namespace: str | None, name: str, *, group: str | None = None
    ) -> KubeObject | None:
        """The object of that kind and name; `group` tells apart equal kinds of different API groups."""
        found = self._by_name.get((kind, namespace, name), [])
        return next((o for o in found if group is None or o.group == group), None)

    def of_kind(self, kind: str, namespace: str | None = None) -> Iterator[KubeObject]:
        """All objects of a kind; of one namespace when it is given."""
        return (o for o in self._by_kind.get(kind, []) if namespace is None or o.namespace == namespace)

    def by_uid(self, uid: str) -> KubeObject | None:
        return self._by_uid.get(uid)

    def events_about(self, about: KubeObject) -> Sequence[KubeObject]:
        """Events whose involved object has this kind, namespace and name."""
        key = (about.kind, about.namespace, about.name)
        # A cluster-scoped object's events live in a namespace of their own (`default` for nodes).
        return self._events_by_object.get(key) or (
            [e for e in self.events if _is_about(e, about)] if about.namespace is None else []
        )

    def logs_of(self, namespace: str | None, pod: str) -> Sequence[ContainerLog]:
        return self._logs_by_pod.get((namespace or "", pod), [])

    @property
    def kinds(self) -> Iterable[str]:
        return self._by_kind.keys()


def _is_about(event: KubeObject, about: KubeObject) -> bool:
    reference = event.body.get("involvedObject") or event.body.get("regarding") or {}
    return (
        isinstance(reference, Mapping)
        and reference.get("kind") == about.kind
        and reference.get("name") == about.name
    )
