"""Books: one round of asking a service, and what is new since the last one.

A list is read in each round, and of its entries only the few that changed are read in full (`memory` says which).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from cli.call import PATIENCE, TENANT
from cli.watch.memory import LOOKS, Memory
from cli.watch.sights import ENDED, AlertSight, InvestigationSight, alert_sight, investigation_sight
from libs.clients.alerts import AlertsClient
from libs.clients.errors import PeerError, PeerRefused
from libs.clients.holmesgpt import HolmesClient
from libs.contracts.alerts import AlertEpisode, AlertPage, EpisodeState
from libs.contracts.investigations import Investigation, InvestigationSummary

PAGE = 50
PAGES = 4
"""Of the newest, while whole pages are new. What came and went beyond them nobody could have read."""

FIRING_AT_MOST = 200
"""The longest page the service gives. Who has more alerts firing than this is not reading them one by one."""

Sight = TypeVar("Sight", AlertSight, InvestigationSight)
Marks = dict[str, Hashable]


@dataclass(frozen=True, slots=True)
class Change(Generic[Sight]):
    """`before` is None for what is seen for the first time."""

    now: Sight
    before: Sight | None


@dataclass(slots=True)
class Round(Generic[Sight]):
    """What one round brought."""

    changes: list[Change[Sight]] = field(default_factory=list)
    busy: bool = False
    """Something is under way: ask again soon."""
    left_over: int = 0
    """Entries that changed and are looked at in the next round only."""
    notes: list[str] = field(default_factory=list)
    """What is not followed, and why."""


class Book(ABC, Generic[Sight]):
    """One service's part of the watch."""

    service: ClassVar[str]
    what: ClassVar[str]
    """What it lists."""

    def __init__(self, address: str, *, namespace: str | None = None) -> None:
        """Args:
        address: for what is said about the service.
        namespace: show this one alone.
        """
        self.address = address
        self._namespace = namespace
        self._memory: Memory[Sight] = Memory()
        self._first = True

    def sights(self) -> list[Sight]:
        """Everything that is remembered and was looked at."""
        return self._memory.sights()

    async def round(self, now: float) -> Round[Sight]:
        """Ask once. What had ended before the first round is not shown.

        Raises:
            PeerUnavailable, PeerRefused: as the clients do.
        """
        result = Round[Sight]()
        listed = await self._listed(result, now)
        due = self._memory.due(listed.items(), now) + self._memory.missing(listed.items())
        looked = 0
        for id_ in due[:LOOKS]:
            try:
                await self._look(id_, listed.get(id_), now, result)
            except PeerError:
                if not result.changes:
                    raise
                break  # what was seen is told first; the next round meets the trouble again
            looked += 1
        result.left_over = len(due) - looked
        result.busy = result.left_over > 0 or self._memory.waiting(now)
        self._first = False
        return result

    @abstractmethod
    async def _listed(self, result: Round[Sight], now: float) -> Marks:
        """The list's entries, newest first: id, and what of its line means news."""

    @abstractmethod
    async def _read(self, id_: str) -> tuple[Hashable, Sight]:
        """One entry in full, with the mark its line would have."""

    async def _look(self, id_: str, mark: Hashable, now: float, result: Round[Sight]) -> None:
        try:
            read, sight = await self._read(id_)
        except PeerRefused as error:
            if error.status != 404:
                raise
            self._memory.drop(id_)
            return
        # The list's own mark, where there is one: if the entry changed since, the next list says so.
        before = self._memory.remember(
            id_, mark or read, sight, is_open=sight.open, settled=sight.settled, now=now
        )
        if before != sight and self._shown(sight):
            result.changes.append(Change(sight, before))

    def _pass_over(self, id_: str, mark: Hashable, now: float) -> None:
        """It had ended before anybody watched."""
        self._memory.remember(id_, mark, None, is_open=False, settled=True, now=now)

    def _shown(self, sight: Sight) -> bool:
        return self._namespace is None or sight.namespace == self._namespace


class AlertsBook(Book[AlertSight]):
    """Episodes: the newest ones, and those that fire however old they are."""

    service = "alerts"
    what = "alerts"

    def __init__(self, client: AlertsClient, address: str, *, namespace: str | None = None) -> None:
        super().__init__(address, namespace=namespace)
        self._client = client

    async def _listed(self, result: Round[AlertSight], now: float) -> Marks:
        rows = {row.id: row for row in await self._newest()}
        if self._first or self._memory.missing(_alert_marks(rows).items()):
            page = await self._page({"state": EpisodeState.firing.value, "limit": str(FIRING_AT_MOST)})
            rows |= {row.id: row for row in page.items}
            if self._first and page.next_cursor is not None:
                result.notes.append(
                    f"more than {FIRING_AT_MOST} alerts fire; the newest of them are followed"
                )
        marks = _alert_marks(rows)
        if self._first:
            for row in rows.values():
                if row.state is not EpisodeState.firing:
                    self._pass_over(row.id, marks[row.id], now)
        return marks

    async def _newest(self) -> list[AlertEpisode]:
        page = await self._page({"limit": str(PAGE)})
        rows = list(page.items)
        for _ in range(PAGES - 1):
            if self._first or page.next_cursor is None or any(row.id in self._memory for row in page.items):
                break
            page = await self._page({"limit": str(PAGE)}, cursor=page.next_cursor)
            rows += page.items
        return rows

    async def _page(self, filters: dict[str, str], *, cursor: str | None = None) -> AlertPage:
        if self._namespace is not None:
            filters["namespace"] = self._namespace
        return await self._client.list(cursor=cursor, filters=filters, tenant=TENANT, deadline=PATIENCE)

    async def _read(self, id_: str) -> tuple[Hashable, AlertSight]:
        episode = await self._client.get(id_, tenant=TENANT, deadline=PATIENCE)
        return _alert_mark(episode), alert_sight(episode)

    def _shown(self, sight: AlertSight) -> bool:
        return True  # the service has chosen the namespace


def _alert_marks(rows: dict[str, AlertEpisode]) -> Marks:
    return {id_: _alert_mark(row) for id_, row in rows.items()}


def _alert_mark(row: AlertEpisode) -> Hashable:
    # Not how often and when Alertmanager repeated itself: that is no news.
    return (row.state, row.environment, row.priority, str(row.target), row.incident_id, row.investigation_id)


class InvestigationsBook(Book[InvestigationSight]):
    """Investigations: the newest ones, and each until it has ended."""

    service = "holmesgpt-api"
    what = "investigations"

    def __init__(self, client: HolmesClient, address: str, *, namespace: str | None = None) -> None:
        super().__init__(address, namespace=namespace)
        self._client = client

    async def _listed(self, result: Round[InvestigationSight], now: float) -> Marks:
        marks: Marks = {}
        cursor = None
        for _ in range(PAGES):
            page = await self._client.list(cursor=cursor, limit=PAGE, tenant=TENANT, deadline=PATIENCE)
            cursor = page.next_cursor
            known = any(row.investigation_id in self._memory for row in page.items)
            for row in page.items:
                marks[row.investigation_id] = _investigation_mark(row)
                elsewhere = self._namespace is not None and row.namespace not in (None, self._namespace)
                if elsewhere or (self._first and row.status in ENDED):
                    self._pass_over(row.investigation_id, marks[row.investigation_id], now)
            if self._first or known or cursor is None:
                break
        return marks

    async def _read(self, id_: str) -> tuple[Hashable, InvestigationSight]:
        investigation = await self._client.get(id_, tenant=TENANT, deadline=PATIENCE)
        return _investigation_mark(investigation), investigation_sight(investigation)


def _investigation_mark(row: InvestigationSummary | Investigation) -> Hashable:
    return (row.status, row.progress)
