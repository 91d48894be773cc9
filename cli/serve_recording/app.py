"""The ASGI side: reads a request within bounds, sends its answer, holds a watch. What is answered is `answers`'."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from cli.serve_recording.answers import Answer, Desk, Header, Request, refusal
from cli.serve_recording.statuses import Refused
from libs.web.hosts import AllowedHosts

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LARGEST_BODY = 64 * 1024
"""Bytes of a posted review; one has a few hundred."""

LONGEST_ADDRESS = 32 * 1024
"""Bytes of path and query together."""

ALWAYS: tuple[Header, ...] = (
    ("cache-control", "no-cache, private"),
    ("x-content-type-options", "nosniff"),
)


class App:
    """Serves until `stopping` is set, which ends the watches that are held."""

    def __init__(self, desk: Desk, stopping: asyncio.Event, now: datetime) -> None:
        """`now`: the recording's own, told as the server's clock: readers of a cluster count from it."""
        self._desk = desk
        self._always = (("date", format_datetime(now.astimezone(UTC), usegmt=True)), *ALWAYS)
        self._stopping = stopping
        # A page in a browser may make its own name lead here: only addresses and bare names are answered to.
        self._hosts = AllowedHosts(())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(scope, receive)
        except Refused as refused:
            answer = refusal(refused)
        except Exception:
            await self._send(send, refusal(OUR_FAULT), head_only=False)
            raise  # the server prints it
        await self._sent(scope, receive, send, answer)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        if not self._hosts.allows(headers.get(b"host")):
            raise Refused(403, "Forbidden", "this Host is not answered to: only addresses and localhost are")
        path = scope.get("raw_path") or scope["path"].encode()
        if len(path) + len(scope["query_string"]) > LONGEST_ADDRESS:
            raise Refused(414, "RequestURITooLong", f"the address has more than {LONGEST_ADDRESS} bytes")
        request = Request(
            scope["method"],
            path,
            scope["query_string"],
            headers.get(b"accept", b"").decode("latin-1"),
            await _body(receive) if scope["method"] == "POST" else b"",
        )
        # In a thread: a table of thousands of rows takes tenths of a second.
        return await asyncio.to_thread(self._desk.answer, request)

    async def _sent(self, scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
        head_only = scope["method"] == "HEAD"
        if answer.hold is None or head_only:
            await self._send(send, answer, head_only=head_only)
            return
        await self._begin(send, answer)
        for chunk in answer.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await self._held(receive, answer.hold.total_seconds())
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _held(self, receive: Receive, seconds: float) -> None:
        """Until the time is over, serving ends, or the caller goes."""
        ends = [asyncio.create_task(self._stopping.wait()), asyncio.create_task(_gone(receive))]
        try:
            await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    async def _begin(self, send: Send, answer: Answer) -> None:
        headers = [("content-type", answer.content_type), *self._always, *answer.headers]
        if isinstance(answer.chunks, list):
            headers.append(("content-length", str(sum(map(len, answer.chunks)))))
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})

    async def _send(self, send: Send, answer: Answer, *, head_only: bool) -> None:
        await self._begin(send, answer)
        last = b""
        for chunk in () if head_only else answer.chunks:
            if last:
                await send({"type": "http.response.body", "body": last, "more_body": True})
            last = chunk
        await send({"type": "http.response.body", "body": last, "more_body": False})


OUR_FAULT = Refused(500, "InternalError", "Internal error occurred: a fault of kubernaut serve-recording; its terminal says more")  # fmt: skip


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST_BODY:
            raise Refused(413, "RequestEntityTooLarge", f"the body has more than {LARGEST_BODY} bytes")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
