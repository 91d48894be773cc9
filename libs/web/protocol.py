"""What a connection may ask of us before it is a request: so much time, so many bytes of header, so many of them.

The receive deadline is absolute: from a request's first byte, or a connection's start, to the request's last byte.
It is kept below ASGI because a socket that drips its header never becomes a request there. uvicorn 0.54 alone keeps
a dripped header, a dripped body and a silent socket open without end (measured 2026-11), and headers without end
too. Connections are looked at from outside twice a second, so that no request pays for a timer of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from libs.web.problems import MEDIA_TYPE, render

SWEEP_S = 0.5
"""A look at 10,000 connections costs about 5 ms; a deadline is kept to within this."""

MAX_HEADER = 64 * 1024
"""Bytes of a request's line and header fields; nginx takes 32 KiB. A token of ours has 1 KB."""

BUSY_PAUSE_S = 1
"""What a connection above the limit is told to wait."""

GOODBYE_S = 5.0
"""A TLS connection that we closed waits for the caller's goodbye, and whoever keeps an idle connection without reading
from it says none: one such caller would hold up a stop for `FINISH_WITHIN`. Not shorter, since up to 64 KiB of an answer
may still lie below TLS, unseen."""

_OPENING, _LEAVING = object(), object()


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol that refuses, with a problem document, what would otherwise pile up."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # uvicorn's own answer above it is plain text without Retry-After, and comes after the header was read.
        self._most, self.limit_concurrency = self.limit_concurrency, None
        self._header_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._most is not None and len(self.connections) > self._most:
            detail = f"this process serves {self._most} connections already; ask again"
            self._refuse(503, "too-many-connections", detail, f"retry-after: {BUSY_PAUSE_S}\r\n")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.scope is None or (self.cycle is not None and self.cycle.scope is self.scope):
            self._header_bytes = 0
            return
        self._header_bytes += len(data)
        if self._header_bytes > MAX_HEADER:
            self._refuse(431, "header-too-large", f"the header has more than {MAX_HEADER} bytes")

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "malformed-http", msg)

    def _refuse(self, status: int, code: str, detail: str, more: str = "") -> None:
        if not self.transport.is_closing():
            self.transport.write(_answer(status, code, detail, more))
            self.transport.close()


def doing(connection: HttpToolsProtocol) -> object | None:
    """What must not take long, as a token that changes when something else begins; None for nothing."""
    if connection.transport.is_closing():
        return _LEAVING
    if not isinstance(connection, HttpToolsProtocol):
        return None  # a WebSocket: its pings bound it
    return receiving(connection)


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


def leave(connection: HttpToolsProtocol) -> None:
    """Wait for no goodbye any longer; for what is still being sent, yes."""
    try:
        if not connection.transport.get_write_buffer_size():
            connection.transport.abort()
    except AttributeError:
        # CPython's TLS transport that was closed twice has let go of its connection, which the loop ends by itself after
        # 30 s, and then fails at whatever is asked of it. The sweep must go on for the others.
        return


def _answer(status: int, code: str, detail: str, more: str = "") -> bytes:
    """A whole response, for where there is no request to answer."""
    body = render(status, code, detail=detail)
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"content-type: {MEDIA_TYPE}\r\n"
        f"content-length: {len(body)}\r\n"
        f"{more}connection: close\r\n\r\n"
    )
    return head.encode() + body


_TIMEOUT = _answer(408, "receive-deadline", "the request did not arrive in time; send it faster or in parts")


async def sweep(connections: Collection[HttpToolsProtocol], deadline_s: float) -> None:
    """Close every connection whose request is not received within the deadline, and end those that only wait for a
    goodbye, until cancelled."""
    seen: dict[HttpToolsProtocol, tuple[object, float]] = {}
    while True:
        await asyncio.sleep(SWEEP_S)
        now = time.monotonic()
        before, seen = seen, {}
        for connection in list(connections):
            what = doing(connection)
            if what is None:
                continue
            was, since = before.get(connection, (None, now))
            if was != what:
                since = now
            if now - since < (GOODBYE_S if what is _LEAVING else deadline_s):
                seen[connection] = (what, since)
            elif what is _LEAVING:
                leave(connection)
            else:
                give_up(connection)
