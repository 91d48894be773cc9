"""A recording made ready to be served: every object as the bytes that are sent, by kind, namespace and name.

Decides what of a snapshot is served under which resource. Objects are kept as JSON alone: parsed they take nine times
the memory, and only a table or a description of a few is ever made of them again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson

from cli.serve_recording import discovery, fields
from cli.serve_recording.fields import Fields
from cli.serve_recording.paging import Place
from cli.serve_recording.resources import Resource, is_served, resources_of, version_of
from services.context_api.domain.kube import flat
from services.context_api.domain.snapshot import Body, ContainerLog, KubeObject, NotRead, Snapshot

NOT_RECORDED = "kubernaut.ai/not-recorded"
"""Annotation of a Namespace that is told of only by what lies in it."""


@dataclass(frozen=True, slots=True)
class Item:
    """One object, as it is sent."""

    namespace: str | None
    name: str
    labels: Mapping[str, str]
    fields: Fields
    raw: bytes

    @property
    def place(self) -> Place:
        return self.namespace or "", self.name

    @property
    def body(self) -> dict[str, Any]:
        parsed: dict[str, Any] = orjson.loads(self.raw)
        return parsed


@dataclass(frozen=True)
class Shelf:
    """All objects of one resource, in the order an API server lists them: by namespace, then name."""

    resource: Resource
    items: Sequence[Item]

    @cached_property
    def _places(self) -> Sequence[Place]:
        return [item.place for item in self.items]

    @cached_property
    def _by_place(self) -> Mapping[Place, Item]:
        return {item.place: item for item in self.items}

    def get(self, namespace: str | None, name: str) -> Item | None:
        return self._by_place.get((namespace or "", name))

    def after(self, place: Place | None, namespace: str | None) -> Iterator[Item]:
        """The items behind a place, of one namespace or of all."""
        begin = ("", "") if namespace is None else (namespace, "")
        start = bisect_right(self._places, begin if place is None else max(place, begin))
        for at in range(start, len(self.items)):
            item = self.items[at]
            if namespace is not None and item.namespace != namespace:
                return
            yield item


@dataclass(frozen=True)
class Index:
    """Everything that is served. Nothing of it ever changes."""

    id: str
    """Of the recording; places in lists are bound to it."""
    now: datetime
    """The recording's own: ages are counted to it."""
    version: Mapping[str, Any]
    resource_version: int
    """The newest that any object carries, so that all of them are of it or of before."""
    shelves: Mapping[tuple[str, str, str], Shelf]
    logs: Mapping[tuple[str, str], Sequence[ContainerLog]]
    """By namespace and pod."""
    gaps: Sequence[NotRead] = ()

    @property
    def resources(self) -> Sequence[Resource]:
        return [shelf.resource for shelf in self.shelves.values()]

    def elsewhere(self, resource: Resource) -> Sequence[Shelf]:
        """Shelves of the same kind in other versions that hold something."""
        return [
            shelf
            for shelf in self.shelves.values()
            if (shelf.resource.group, shelf.resource.kind) == (resource.group, resource.kind)
            and shelf.resource.version != resource.version
            and shelf.items
        ]


@dataclass
class _Gathered:
    items: dict[tuple[str, str, str], list[Item]] = field(default_factory=dict)
    newest: int = 1

    def add(self, resource: Resource, item: KubeObject, body: Body) -> None:
        found = fields.fields_of(resource.group, resource.kind, body, selectable=resource.selectable)
        made = Item(item.namespace, item.name, flat(item.labels), found, orjson.dumps(body))
        self.items.setdefault(resource.key, []).append(made)
        version = item.metadata.get("resourceVersion")
        if isinstance(version, str) and version.isascii() and version.isdigit() and len(version) <= 18:
            self.newest = max(self.newest, int(version))


def index_of(snapshot: Snapshot) -> Index:
    """Takes a second for 20,000 objects; afterwards the snapshot is not needed any more."""
    resources = resources_of(snapshot)
    by_kind = {(one.group, one.kind, one.version): one for one in resources}
    gathered = _Gathered()
    for item in snapshot.objects:
        if is_served(item):
            gathered.add(by_kind[item.group, item.kind, version_of(item)], item, item.body)
    for event in snapshot.events:
        gathered.add(by_kind[event.group, "Event", version_of(event)], event, event.body)
        if event.group:
            gathered.add(by_kind["", "Event", "v1"], event, fields.as_core(event.body))
    for namespace in _unrecorded_namespaces(snapshot):
        gathered.add(by_kind["", "Namespace", "v1"], namespace, namespace.body)
    logs: dict[tuple[str, str], list[ContainerLog]] = {}
    for log in snapshot.logs:
        logs.setdefault((log.namespace, log.pod), []).append(log)
    return Index(
        id=snapshot.id,
        now=snapshot.captured_at,
        version=discovery.version(snapshot.of_kind("Node")),
        resource_version=gathered.newest,
        shelves={
            one.key: Shelf(one, sorted(gathered.items.get(one.key, ()), key=lambda item: item.place))
            for one in resources
        },
        logs=logs,
        gaps=snapshot.not_read,
    )


def _unrecorded_namespaces(snapshot: Snapshot) -> Iterator[KubeObject]:
    """Those in which something was recorded, and they themselves were not; they are told of as such."""
    recorded = {namespace.name for namespace in snapshot.of_kind("Namespace") if not namespace.group}
    for name in sorted(_namespaces(snapshot) - recorded):
        metadata = {
            "name": name,
            "annotations": {NOT_RECORDED: "the Namespace itself was not recorded, only what lies in it"},
        }
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        yield KubeObject("v1", "Namespace", None, name, "", body)


def _namespaces(snapshot: Snapshot) -> set[str]:
    named: Iterable[str | None] = (item.namespace for item in (*snapshot.objects, *snapshot.events))
    return {name for name in named if name} | {log.namespace for log in snapshot.logs}
