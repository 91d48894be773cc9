"""The absolute receive deadline: from a request's first byte, or a connection's start, to the request's last byte.

Kept below ASGI because a socket that drips its header never becomes a request there. uvicorn 0.54 alone keeps a
dripped header, a dripped body and a silent socket open without end (measured 2026-11). Connections are looked at
from outside twice a second, so that no request pays for a timer of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from libs.web.problems import MEDIA_TYPE, render

SWEEP_S = 0.5
"""A look at 10,000 connections costs about 5 ms; a deadline is kept to within this."""

_OPENING = object()


def receiving(connection: HttpToolsProtocol) -> object | None:
    """What the connection is in the middle of receiving, as a token that changes with the request; None for nothing."""
    cycle = connection.cycle
    if cycle is None:
        return _OPENING  # silent, or dripping its first header
    if cycle.more_body and not cycle.response_complete:
        return cycle
    # The keep-alive timer is stopped by the first byte of the next request.
    if cycle.response_complete and connection.timeout_keep_alive_task is None:
        return (cycle, "next")
    return None


def give_up(connection: HttpToolsProtocol) -> None:
    """Say 408 where nothing was answered yet, and close."""
    cycle = connection.cycle
    if cycle is None or cycle.response_complete or not cycle.response_started:
        connection.transport.write(_TIMEOUT)
    connection.transport.close()


def _timeout_answer() -> bytes:
    body = render(
        408, "receive-deadline", detail="the request did not arrive in time; send it faster or in parts"
    )
    head = (
        "HTTP/1.1 408 Request Timeout\r\n"
        f"content-type: {MEDIA_TYPE}\r\n"
        f"content-length: {len(body)}\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body


_TIMEOUT = _timeout_answer()


async def sweep(connections: Collection[HttpToolsProtocol], deadline_s: float) -> None:
    """Close every connection whose request is not received within the deadline, until cancelled."""
    seen: dict[HttpToolsProtocol, tuple[object, float]] = {}
    while True:
        await asyncio.sleep(SWEEP_S)
        now = time.monotonic()
        before, seen = seen, {}
        for connection in list(connections):
            what = receiving(connection)
            if what is None:
                continue
            was, since = before.get(connection, (None, now))
            if was != what:
                since = now
            if now - since >= deadline_s:
                give_up(connection)
            else:
                seen[connection] = (what, since)
