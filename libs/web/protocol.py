"""The absolute receive deadline: from a request's first byte, or a connection's start, to the request's last byte.

Kept below ASGI because a socket that drips its header never becomes a request there. uvicorn 0.54 alone keeps a
dripped header, a dripped body and a silent socket open without end (measured 2026-11).
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from libs.web.problems import MEDIA_TYPE, render

SWEEP_S = 0.5
"""One look at every connection this often: 10,000 of them cost about 2 ms, and no request pays for a timer."""


class DeadlineProtocol(HttpToolsProtocol):
    """Remembers since when a request is being received; `sweep` acts on it."""

    receiving_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.receiving_since = time.monotonic()
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        # A connection that was never idle began its first request when it was opened.
        if self.receiving_since is None:
            self.receiving_since = time.monotonic()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self.receiving_since = None
        super().on_message_complete()

    def give_up(self) -> None:
        """Say 408 where nothing was answered yet, and close."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_TIMEOUT)
        self.transport.close()


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


async def sweep(connections: set[Any], deadline_s: float) -> None:
    """Close every connection whose request is not received within the deadline, until cancelled."""
    while True:
        await asyncio.sleep(SWEEP_S)
        oldest = time.monotonic() - deadline_s
        for connection in list(connections):
            since = getattr(connection, "receiving_since", None)
            if since is not None and since < oldest:
                connection.receiving_since = None
                connection.give_up()
