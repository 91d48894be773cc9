"""Course: what has happened to an investigation, in order, as those who follow it are told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from libs.contracts.course import EventName


@dataclass(frozen=True, slots=True)
class Happening:
    """Something about a run that its row does not say: a step of the model, a tool's answer."""

    name: EventName
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Happened:
    """One event as it is kept. `number`: from 1, without gaps, within its investigation."""

    number: int
    at: datetime
    name: str
    data: Mapping[str, Any]

    def told(self) -> dict[str, Any]:
        """As it is sent (`libs.contracts.course`)."""
        return {"at": self.at, **self.data}


@dataclass(frozen=True, slots=True)
class Chapter:
    """The next events of one investigation, and who may read them.

    `seen` is read after the events: it names at least the namespaces that they speak of.
    """

    events: Sequence[Happened]
    tenant: str
    asker: str
    seen: Collection[str]
    last: int
    """Number of the last event there is by now, in this chapter or after it."""
    ended: bool


class Course(Protocol):
    """Where events are read. Raises `StorageUnavailable` when the database does not serve."""

    async def read(self, investigation_id: str, *, tenant: str, after: int, at_most: int) -> Chapter | None:
        """The events after that number, the first `at_most` of them. None: no such investigation."""
        ...

    async def news(self, after: Mapping[str, int]) -> Collection[str]:
        """Of these investigations, those with events after that number, and those that have ended.

        One query, however many are followed.
        """
        ...
