"""A notebook for what the watching cache does, and feeds with short pauses to run in tests."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from services.context_api.adapters.live.api import Asked, KubeApi
from services.context_api.adapters.live.discovery import Resource
from services.context_api.adapters.live.feed import Feed, World
from services.context_api.adapters.live.limits import LiveLimits
from services.context_api.adapters.live.shelf import Shelf
from services.context_api.adapters.live.store import Budget, Change
from services.context_api.adapters.live.verdicts import Pauses, Reason

QUICK = Pauses(
    first=timedelta(milliseconds=20),
    most=timedelta(milliseconds=200),
    poll=timedelta(milliseconds=100),
    long=timedelta(seconds=60),
)

WITHIN_S = 60.0
"""A quiet machine needs a tenth of a second; tests share two cores with others."""


@dataclass
class Notebook:
    """Fulfils `watching.Telling`; counts."""

    lists: list[tuple[str, Reason]] = field(default_factory=list)
    ends: list[tuple[str, Reason]] = field(default_factory=list)
    watches: Counter[str] = field(default_factory=Counter)
    changes: Counter[tuple[str, Change]] = field(default_factory=Counter)
    asked_at: list[float] = field(default_factory=list)

    def listed(self, resource: Resource, reason: Reason, objects: int, seconds: float) -> None:
        self.lists.append((str(resource), reason))

    def watching(self, resource: Resource) -> None:
        self.watches[str(resource)] += 1

    def ended(self, resource: Resource, reason: Reason, seconds: float, events: int) -> None:
        self.ends.append((str(resource), reason))

    def changed(self, resource: Resource, change: Change, count: int) -> None:
        self.changes[str(resource), change] += count

    def asked(self, asked: Asked) -> None:
        self.asked_at.append(asked.sent)

    def show(self, feeds: Sequence[Feed], budget: Budget, shelf: Shelf, now: float) -> None:
        """Not kept."""

    def reasons_of(self, what: str) -> list[Reason]:
        """Why it was listed, in order."""
        return [reason for name, reason in self.lists if name == what]


def world(api: KubeApi, notebook: Notebook, limits: LiveLimits, pauses: Pauses = QUICK) -> World:
    return World(
        api=api,
        limits=limits,
        budget=Budget(limits.kept_bytes, limits.kept_objects),
        shelf=Shelf(limits.decoded_bytes),
        pauses=pauses,
        at_once=asyncio.Semaphore(limits.at_once),
        observer=notebook,
        clock=asyncio.get_running_loop().time,
        chance=lambda: 0.5,
    )


@asynccontextmanager
async def kept(feed: Feed) -> Any:
    """The feed while it runs."""
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], object], what: str = "", *, within_s: float = WITHIN_S) -> None:
    """Wait until it is so; TimeoutError with the claim when it is not in time."""
    try:
        async with asyncio.timeout(within_s):
            while not holds():
                await asyncio.sleep(0.005)
    except TimeoutError as error:
        raise TimeoutError(what or "it never came true") from error
