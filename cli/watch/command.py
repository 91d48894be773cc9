"""`kubernaut watch`: which services are asked, where it is shown, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Coroutine, Iterator
from datetime import timedelta

from rich.console import Console

from cli.call import NoAnswer, complain, credential, where
from cli.watch.books import AlertsBook, InvestigationsBook
from cli.watch.follow import Show, follow
from cli.watch.views import JsonLines, Lines, Screen
from libs.clients.alerts import AlertsClient
from libs.clients.breaker import Breaker
from libs.clients.holmesgpt import HolmesClient
from libs.clients.settings import AlertsPeerSettings, HolmesPeerSettings

WATCHED, NOT_WATCHED = 0, 1

REDRAW_S = 1.0
"""The table tells how long things last."""


def main(
    *, url: str | None, holmesgpt_url: str | None, namespace: str | None, once: bool, as_json: bool
) -> int:
    """Watch until Ctrl-C; returns the exit code."""
    try:
        return asyncio.run(_watch(url, holmesgpt_url, namespace, once=once, as_json=as_json))
    except NoAnswer as error:
        complain("watch", str(error))
        return NOT_WATCHED
    except BrokenPipeError:
        # Whoever read has seen enough (`| head`). What Python would still write at its exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return WATCHED


async def _watch(
    url: str | None, holmesgpt_url: str | None, namespace: str | None, *, once: bool, as_json: bool
) -> int:
    alerts_peer, holmesgpt_peer = where(AlertsPeerSettings), where(HolmesPeerSettings)
    at, ca_file = url or str(alerts_peer.alerts_url), alerts_peer.peer_ca_file
    holmesgpt_at = holmesgpt_url or str(holmesgpt_peer.holmesgpt_url)
    stopped = _stop_signals()
    async with (
        AlertsClient(at, token=credential(), breaker=_never_open(), ca_file=ca_file) as alerts,
        HolmesClient(holmesgpt_at, token=credential(), breaker=_never_open(), ca_file=ca_file) as holmesgpt,
    ):
        books = (
            AlertsBook(alerts, at, namespace=namespace),
            InvestigationsBook(holmesgpt, holmesgpt_at, namespace=namespace),
        )
        with _shown(books, as_json=as_json, once=once) as show:
            followers = [follow(books[0], show, once=once), follow(books[1], show, once=once)]
            return await _until(stopped, followers)


async def _until(stopped: asyncio.Event, followers: list[Coroutine[object, object, bool]]) -> int:
    """Run until a signal, or until no follower has anything left to follow."""
    tasks = [asyncio.create_task(one) for one in followers]
    stop = asyncio.create_task(stopped.wait())
    ended = asyncio.create_task(_all(tasks))
    try:
        await asyncio.wait([ended, stop], return_when=asyncio.FIRST_COMPLETED)
        return WATCHED if not ended.done() or ended.result() else NOT_WATCHED
    finally:
        for task in (*tasks, ended, stop):
            task.cancel()
        await asyncio.gather(*tasks, ended, stop, return_exceptions=True)


async def _all(tasks: list[asyncio.Task[bool]]) -> bool:
    return all(await asyncio.gather(*tasks))


@contextlib.contextmanager
def _shown(books: tuple[AlertsBook, InvestigationsBook], *, as_json: bool, once: bool) -> Iterator[Show]:
    console = Console(highlight=False)
    if as_json:
        yield JsonLines(sys.stdout)
    elif once or not console.is_terminal or console.is_dumb_terminal:
        yield Lines(sys.stdout)
    else:
        screen = Screen(console, books[0].sights, books[1].sights)
        redrawing = asyncio.create_task(_redraw(screen))
        try:
            with screen.live:
                yield screen
        finally:
            redrawing.cancel()


async def _redraw(screen: Screen) -> None:
    while True:
        await asyncio.sleep(REDRAW_S)
        screen.draw()


def _never_open() -> Breaker:
    """`follow` has a patience of its own, and says it; a second one below would only be waited for in silence."""
    return Breaker(open_for=timedelta(0))


def _stop_signals() -> asyncio.Event:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped
