"""What the watching cache holds: a table of objects for each list that is watched, within bounds for all together.

Decides whether a change is news, and what is left out when there is no room. Values only: who lists and watches is
elsewhere, and nothing here waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from services.context_api.adapters.live.shelf import Kept
from services.context_api.adapters.live.verdicts import version_of

Name = tuple[str | None, str]
"""Namespace and name: what tells objects of one kind apart."""


class Change(StrEnum):
    added = "added"
    modified = "modified"
    deleted = "deleted"


@dataclass(slots=True)
class Budget:
    """What all tables may hold together, and what they do."""

    most_bytes: int
    most_objects: int
    bytes: int = 0
    objects: int = 0

    def fits(self, size: int, count: int) -> bool:
        return self.bytes + size <= self.most_bytes and self.objects + count <= self.most_objects

    @property
    def roomy(self) -> bool:
        """Whether a tenth is free: what had been left out may be read again."""
        return self.bytes <= 0.9 * self.most_bytes and self.objects <= 0.9 * self.most_objects


@dataclass(slots=True)
class Table:
    """The objects of one list."""

    budget: Budget
    objects: dict[Name, Kept] = field(default_factory=dict)
    version: int | None = None
    """The newest the server told, by a list, a change or a bookmark."""
    resume: int | None = None
    """Where the next watch begins: before the newest change, as more may have its version. Those that are told twice
    are no news (`put`)."""
    cut: bool = False
    """Whether something is left out for want of room."""
    bytes: int = 0
    mark: int = 0
    """A sum over all objects: two tables with the same objects have the same, whatever happened on the way."""

    def put(self, item: Kept) -> Change | None:
        """Keep an object as it is now.

        Returns:
            What it is to the table; None when the table has it already, or has no room for it.
        """
        name = (item.namespace, item.name)
        before = self.objects.get(name)
        if before is not None and _same(before, item):
            return None
        self._forget(name)
        if not self.budget.fits(len(item.raw), 1):
            # The old one went too: no object is better than one that is known to be wrong.
            self.cut = True
            return None
        self.objects[name] = item
        self._count(item, 1)
        return Change.added if before is None else Change.modified

    def remove(self, namespace: str | None, name: str) -> Change | None:
        """Forget an object that is gone; None when it was not there."""
        return Change.deleted if self._forget((namespace, name)) else None

    def told(self, version: int | None, *, everything: bool) -> None:
        """The server is as far as this.

        Args:
            everything: all changes up to it have been told, as after a list and with a bookmark.
        """
        if version is None:
            return
        if everything:
            self.resume = version
        elif version != self.version:
            self.resume = self.version
        self.version = version

    def replace(self, items: Iterable[Kept], version: int | None) -> dict[Change, int]:
        """Hold these and nothing else: what a list brought. Answers what was news in it.

        Done in one go, on the event loop: nobody sees a table that is half the old and half the new state.
        """
        news = dict.fromkeys(Change, 0)
        left = dict(self.objects)
        self.cut = False
        for item in items:
            left.pop((item.namespace, item.name), None)
            change = self.put(item)
            if change is not None:
                news[change] += 1
        for name in left:
            self._forget(name)
        news[Change.deleted] += len(left)
        self.version = self.resume = version
        return news

    def clear(self) -> None:
        for name in list(self.objects):
            self._forget(name)
        self.version = self.resume = None
        self.cut = False

    def known(self, item: Kept) -> Kept:
        """The object as it is kept already, when it is the same state of it: then the bytes are kept once."""
        before = self.objects.get((item.namespace, item.name))
        return before if before is not None and _same(before, item) else item

    def __iter__(self) -> Iterator[Kept]:
        return iter(self.objects.values())

    def __len__(self) -> int:
        return len(self.objects)

    def _forget(self, name: Name) -> bool:
        item = self.objects.pop(name, None)
        if item is not None:
            self._count(item, -1)
        return item is not None

    def _count(self, item: Kept, sign: int) -> None:
        size = sign * len(item.raw)
        self.bytes += size
        self.budget.bytes += size
        self.budget.objects += sign
        self.mark = (self.mark + sign * item.digest) % (1 << 128)


def _same(one: Kept, other: Kept) -> bool:
    """The same state of the same object. What has no version is compared as a whole."""
    if one.version and version_of(one.version) is not None:
        return one.version == other.version and one.uid == other.uid
    return one.raw == other.raw
