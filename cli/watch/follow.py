"""Ask one service again and again, for as long as somebody watches, whatever becomes of the service meanwhile."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from cli.call import refusal
from cli.watch.books import Book, Change, Sight
from cli.watch.cadence import pause_after_answer, pause_after_failure
from cli.watch.sights import AlertSight, InvestigationSight
from cli.watch.words import Connection
from libs.clients.errors import PeerRefused, PeerUnavailable


class Show(Protocol):
    """Where what happens is shown. Must not block: the services are asked by the same loop."""

    def changed(self, change: Change[AlertSight] | Change[InvestigationSight]) -> None: ...

    def connection(self, now: Connection) -> None:
        """Called at each change, and again with each failure."""

    def note(self, text: str) -> None: ...


async def follow(
    book: Book[Sight],
    show: Show,
    *,
    once: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    jitter: Callable[[], float] = lambda: random.uniform(-1, 1),
) -> bool:
    """Ask until cancelled. Returns False when the service refused, which asking again would not change.

    Args:
        once: return after the first complete picture (True), or the first answer that did not come (False).
    """
    failures, changed_at = 0, clock()
    connected = False
    while True:
        try:
            result = await book.round(clock())
        except PeerUnavailable as error:
            failures += 1
            pause = pause_after_failure(failures, retry_after=error.retry_after, jitter=jitter())
            if once:
                show.connection(Connection(book.service, book.address, "away", _short(error)))
                return False
            show.connection(Connection(book.service, book.address, "away", _short(error), pause))
            await sleep(pause)
            continue
        except PeerRefused as error:
            show.connection(
                Connection(book.service, book.address, "refused", refusal(book.address, error), None)
            )
            return False
        if failures or not connected:
            show.connection(Connection(book.service, book.address, "back" if failures else "connected"))
            failures, connected = 0, True
        for note in result.notes:
            show.note(note)
        for change in result.changes:
            show.changed(change)
            changed_at = clock()
        if once:
            if not result.left_over:
                return True
            continue
        await sleep(pause_after_answer(busy=result.busy, quiet_s=clock() - changed_at))


def _short(error: PeerUnavailable) -> str:
    """Without the service's name, which stands before it."""
    return str(error).removeprefix(f"{error.peer}: ")
