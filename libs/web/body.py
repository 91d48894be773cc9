"""Reads a request's body whole and refuses what could only fail later: too many bytes, texts no database holds."""

from __future__ import annotations

import re

import orjson
from starlette.types import Message, Receive

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class BodyTooLarge(Exception):
    """More bytes than allowed; `limit` is the most that is."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")
        self.limit = limit


class BadText(Exception):
    """The body holds a character that no text here may contain; says which and where."""


class ClientGone(Exception):
    """The client closed the connection before its request was complete: there is nobody to answer."""


async def whole(receive: Receive, limit: int) -> bytes:
    """The body, all of it.

    Raises:
        BodyTooLarge: at the first byte above the limit.
        ClientGone: it ended before it was complete.
    """
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(limit)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def inspect(body: bytes) -> None:
    """Refuse escapes of U+0000 (PostgreSQL holds no such text) and lone surrogates (no UTF-8 holds them).

    Raises:
        BadText: one is there.
    """
    if b"\\u" not in body:
        return
    if b"\\u0000" in body and _NUL.search(body):
        raise BadText("the body holds U+0000, which no text here may contain")
    if b"\\ud" in body or b"\\uD" in body:
        try:
            orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BadText(f"the body is not JSON as UTF-8 can hold it: {error}") from None


def replay(body: bytes, receive: Receive) -> Receive:
    """A channel that gives the body once more, then whatever comes next (a disconnect)."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again
