"""What of a snapshot a caller may see: a smaller snapshot, so that whatever is made of it cannot tell more.

Cluster-scoped objects are seen by those who may read everything, and a Namespace by those who may read it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from services.context_api.domain.snapshot import KubeObject, MetricAnswer, NotRead, Snapshot

MayRead = Callable[[str | None], bool]
"""Whether objects of this namespace may be shown; None is cluster scope."""

NOBODYS = "unknown"
"""What a mesh writes for the namespace of a caller that is none of its own."""


def view(snapshot: Snapshot, may_read: MayRead) -> Snapshot:
    """The part of the snapshot that may be shown; the whole when that is everything."""
    if may_read(None):
        return snapshot
    unread = len(snapshot.not_read)
    namespaces = {item.namespace for item in snapshot.objects}
    return replace(
        snapshot,
        objects=tuple(item for item in snapshot.objects if _may_see(item, may_read)),
        events=tuple(
            _without_neighbours(event, may_read)
            for event in snapshot.events
            if _may_see_event(event, may_read)
        ),
        logs=tuple(log for log in snapshot.logs if may_read(log.namespace)),
        metrics=tuple(_metrics(snapshot.metrics, may_read, namespaces)),
        # Their names are paths, and paths name namespaces.
        not_read=(
            *([NotRead(f"{unread} files or objects", "could not be read")] if unread else []),
            # What is said of a source names no object.
            *(NotRead(part.name, str(part)) for part in snapshot.parts if part.reason),
            NotRead("other namespaces and the cluster's own objects", "this caller may not read them"),
        ),
    )


def _may_see(item: KubeObject, may_read: MayRead) -> bool:
    is_namespace = item.kind == "Namespace" and item.api_version == "v1"
    return may_read(item.name if is_namespace else item.namespace)


def _may_see_event(event: KubeObject, may_read: MayRead) -> bool:
    """Events about nodes lie in `default`: whom it is about decides as well."""
    about = event.body.get("involvedObject") or event.body.get("regarding")
    namespace = about.get("namespace") if isinstance(about, Mapping) else None
    named = namespace if isinstance(namespace, str) and namespace else None
    return may_read(event.namespace) and may_read(named)


def _without_neighbours(event: KubeObject, may_read: MayRead) -> KubeObject:
    """The event without the second object it names (`related`), where that may not be seen."""
    related = event.body.get("related")
    if not isinstance(related, Mapping):
        return event
    namespace = related.get("namespace")
    if may_read(namespace if isinstance(namespace, str) and namespace else None):
        return event
    return replace(event, body={key: value for key, value in event.body.items() if key != "related"})


def _metrics(
    answers: Iterable[MetricAnswer], may_read: MayRead, namespaces: Collection[str | None]
) -> Iterator[MetricAnswer]:
    """Only series that say whose they are. The query may name a namespace too, so it must be one of those."""
    for answer in answers:
        series = answer.data.get("result")
        mine = (
            [one for one in series if _is_of(one, may_read, namespaces)] if isinstance(series, list) else []
        )
        if mine and len(mine) == len(series or ()):
            yield replace(answer, data={**answer.data, "result": mine})


def _is_of(series: Any, may_read: MayRead, namespaces: Collection[str | None]) -> bool:
    """Whether every namespace that its labels name may be read.

    A scrape of somebody else's exporter puts its own into `namespace` and theirs into `exported_namespace`; a mesh
    tells of both ends of a call (`source_workload_namespace`, `destination_service_namespace`).
    """
    labels = series.get("metric") if isinstance(series, Mapping) else None
    named = [
        value
        for key, value in (labels.items() if isinstance(labels, Mapping) else ())
        if isinstance(key, str)
        and (key == "namespace" or key.endswith("_namespace"))
        and not (value == NOBODYS and NOBODYS not in namespaces)
        and value != ""
    ]
    return bool(named) and all(isinstance(one, str) and may_read(one) for one in named)
