"""Keep, for each tenant and set of namespaces callers may read, their part of the snapshot with its graph."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

from libs.auth.principal import Principal
from services.context_api.domain.catalogue import Catalogue
from services.context_api.domain.graph import Graph
from services.context_api.domain.snapshot import Snapshot
from services.context_api.domain.view import MayRead, view

MOST = 16
"""Kept at once, least recently used first out. Each holds indexes of its own (about 2 KB an object); roles, not
people, differ in their namespaces."""


@dataclass(frozen=True)
class View:
    """What some callers see, and the name that tells it from what others see."""

    snapshot: Snapshot
    graph: Graph
    key: str
    rights: str
    """Whose it is: the tenant, and which namespaces those who see it may read; the same for every snapshot."""

    @cached_property
    def catalogue(self) -> Catalogue:
        """Made when first asked for, which only the one thread that finds answers may do."""
        return Catalogue(self.graph)


class Views:
    """Those of the newest snapshot; an older one's are let go with it, as a live cluster gives a new one all the time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, View] = OrderedDict()
        self._building: dict[str, asyncio.Task[View]] = {}
        self._newest = ""

    async def of(self, snapshot: Snapshot, caller: Principal) -> View:
        """The caller's view. Building one takes 2 ms for 1,000 objects (measured), so it is done in a thread and
        once; kept ones are free."""
        if snapshot.id != self._newest:
            self._newest = snapshot.id
            self._kept.clear()
        everything = caller.may_read(None)
        # Two tenants with the same rights see the same, and share nothing all the same.
        rights = " ".join([caller.tenant, *(["*"] if everything else sorted(set(caller.namespaces)))])
        key = f"{snapshot.id}/{rights}"
        kept = self._kept.get(key)
        if kept is None:
            # Shielded: a caller who gives up must not end it for those who wait with them.
            kept = await asyncio.shield(self._built(key, rights, snapshot, caller.may_read))
        if key in self._kept:
            self._kept.move_to_end(key)
        return kept

    def _built(self, key: str, rights: str, snapshot: Snapshot, may_read: MayRead) -> asyncio.Task[View]:
        task = self._building.get(key)
        if task is None:
            task = self._building[key] = asyncio.create_task(self._build(key, rights, snapshot, may_read))
        return task

    async def _build(self, key: str, rights: str, snapshot: Snapshot, may_read: MayRead) -> View:
        try:
            built = await asyncio.to_thread(_view, key, rights, snapshot, may_read)
        finally:
            del self._building[key]
        if snapshot.id == self._newest:
            self._kept[key] = built
            if len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return built


def _view(key: str, rights: str, snapshot: Snapshot, may_read: MayRead) -> View:
    seen = view(snapshot, may_read)
    return View(seen, Graph(seen), key, rights)
