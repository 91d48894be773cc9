"""List one kind of object page by page, admitting each object as a recording's reader does.

Decides when a list is begun again, when it is given up, and what of it stays. Parsing is done in threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

import orjson

from services.context_api.adapters.live.api import KubeApi
from services.context_api.adapters.live.discovery import Resource
from services.context_api.adapters.live.errors import ApiFailure, Why
from services.context_api.adapters.live.limits import LiveLimits
from services.context_api.adapters.recording import objects
from services.context_api.adapters.recording.errors import NotUsable
from services.context_api.adapters.recording.limits import MIB
from services.context_api.adapters.recording.objects import Admitted
from services.context_api.domain.kube import mapping, text
from services.context_api.domain.snapshot import KubeObject, NotRead

MOST_GAPS = 20
"""Objects of one list that are named as unusable; an API server prints none, so one is already news."""


SMALLER = 10
"""By what a page is divided when its bytes are over the limit for one answer."""


@dataclass(slots=True)
class Room:
    """What may still be read, over all lists and logs."""

    bytes: int
    objects: int

    def take(self, size: int) -> bool:
        """Whether it fits; then it is taken."""
        if size > self.bytes:
            return False
        self.bytes -= size
        return True


Keep = Callable[[Admitted, bytes], KubeObject]
"""How an object is kept, given its JSON as well."""


def _decoded(admitted: Admitted, printed: bytes) -> KubeObject:
    return admitted.object


@dataclass(slots=True)
class Listed:
    """What one list has brought so far; whoever is cut off finds it whole up to the last page."""

    resource: Resource
    namespace: str | None
    keep: Keep = _decoded
    items: list[KubeObject] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    """One for each item, in their order."""
    gaps: list[NotRead] = field(default_factory=list)
    size: int = 0
    """Bytes of the items."""
    date: datetime | None = None
    version: str = ""
    """The collection's, the same on every page."""
    done: bool = False
    failed: Why | None = None
    retry_after: timedelta | None = None

    @property
    def what(self) -> str:
        return f"{self.resource} in {self.namespace}" if self.namespace else str(self.resource)

    def give_up(self, reason: str) -> None:
        """Name what is missing: all, or what comes after the pages that are here."""
        kept = f"only the first {len(self.items)} were read: " if self.items else ""
        self.gaps.append(NotRead(self.what, f"{kept}{reason}"))


@dataclass(frozen=True, slots=True)
class Page:
    items: Sequence[KubeObject]
    digests: Sequence[bytes]
    size: int
    """Bytes of the items as they are kept: of Secrets little is left."""
    gaps: Sequence[NotRead]
    next: str
    version: str = ""


async def fill(listed: Listed, api: KubeApi, limits: LiveLimits, room: Room) -> None:
    """Read the whole list into `listed`. A failure ends it and is named there, never raised."""
    try:
        for again in range(limits.relists + 1):
            try:
                await _pages(listed, api, limits, room)
                break
            except ApiFailure as failure:
                if failure.why is not Why.expired or again == limits.relists:
                    raise
                # The pages were of an older state: of two states no list can be made.
                room.objects += len(listed.items)
                room.bytes += listed.size
                listed.items, listed.digests, listed.gaps, listed.size = [], [], [], 0
    except ApiFailure as failure:
        listed.failed, listed.retry_after = failure.why, failure.retry_after
        listed.give_up(failure.reason)
    listed.done = True


async def _pages(listed: Listed, api: KubeApi, limits: LiveLimits, room: Room) -> None:
    path, place, most = listed.resource.path(listed.namespace), "", limits.page
    while True:
        query = [("limit", str(most)), *([("continue", place)] if place else [])]
        try:
            answer = await api.get(
                path, query, within=limits.call, most=limits.answer_bytes, attempts=limits.attempts
            )
        except ApiFailure as failure:
            if failure.why is not Why.large or most == 1:
                raise
            # Helm's releases and files in ConfigMaps have up to a MiB each.
            most = max(1, most // SMALLER)
            continue
        if not room.take(len(answer.body)):
            raise ApiFailure(Why.large, f"over the limit of {limits.total_bytes // MIB} MiB in all")
        page = await asyncio.to_thread(
            read_page, answer.body, listed.resource, path, limits.object_bytes, listed.keep
        )
        # Reading it took the room of its bytes; keeping it takes less.
        room.bytes += max(0, len(answer.body) - page.size)
        listed.size += page.size
        keep = min(len(page.items), room.objects)
        room.objects -= keep
        listed.items += page.items[:keep]
        listed.digests += page.digests[:keep]
        listed.gaps += page.gaps[: max(0, MOST_GAPS - len(listed.gaps))]
        listed.date = answer.date or listed.date
        listed.version = page.version
        if keep < len(page.items):
            raise ApiFailure(Why.large, f"over the limit of {limits.objects} objects in all")
        if not page.next:
            return
        if page.next == place:
            raise ApiFailure(Why.broken, "the server gives the same page again and again")
        place = page.next


def read_page(body: bytes, resource: Resource, origin: str, object_bytes: int, keep: Keep = _decoded) -> Page:
    """Admit a page's objects. Secrets are empty when this returns, and nothing holds the bytes they came in.

    Raises:
        ApiFailure: it is no list.
    """
    document = list_of(body)
    items: list[KubeObject] = []
    digests: list[bytes] = []
    gaps: list[NotRead] = []
    size = 0
    for number, raw in enumerate(document["items"] or [], 1):
        if says_nothing(raw):
            continue
        try:
            admitted, printed = objects.admit(whole(raw, resource), origin=origin, object_bytes=object_bytes)
        except NotUsable as error:
            gaps.append(NotRead(f"object {number} of a page of {resource}", error.reason))
            continue
        size += admitted.size
        items.append(keep(admitted, printed))
        digests.append(blake2b(printed, digest_size=16).digest())
    metadata = mapping(document.get("metadata"))
    return Page(
        items, digests, size, gaps, text(metadata.get("continue")), text(metadata.get("resourceVersion"))
    )


def says_nothing(raw: object) -> bool:
    """The APIServices an API server makes for its own groups: the same everywhere, and the one called `v1.` has a
    name that no target has, which would be a gap in every snapshot."""
    label = "kube-aggregator.kubernetes.io/automanaged"
    return label in mapping(mapping(mapping(raw).get("metadata")).get("labels"))


def whole(raw: object, resource: Resource) -> dict[str, Any]:
    """Items of built-in kinds come without their kind."""
    if not isinstance(raw, dict):
        raise NotUsable("is no object")
    return {"apiVersion": resource.api_version, "kind": resource.kind, **raw}


def list_of(body: bytes) -> dict[str, Any]:
    """Raises ApiFailure: it is no list."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiFailure(Why.broken, "the answer is no JSON") from error
    if not isinstance(document, dict) or not isinstance(document.get("items"), list | None):
        raise ApiFailure(Why.broken, "the answer is no list")
    if "items" not in document:
        raise ApiFailure(Why.broken, "the answer is no list: it has no items")
    return document
