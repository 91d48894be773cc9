"""Reads a request's body whole and refuses what could only fail later.

Too many bytes; JSON that is not JSON, or nested deeper than what must be written again can be; texts that no
database holds.
"""

from __future__ import annotations

import re
from typing import Any

import orjson
from starlette.types import Message, Receive

MAX_DEPTH = 64
"""Levels of brackets. pydantic and orjson write 250; a document of ours nests 12."""

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_SAME = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class BodyTooLarge(Exception):
    """More bytes than allowed; `limit` is the most that is."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")
        self.limit = limit


class MalformedJson(Exception):
    """The body is no JSON that we take; `where` is empty when the whole of it is meant."""

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(f"{reason} ({where})" if where else reason)
        self.reason, self.where = reason, where


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
    """Refuse what is not JSON in UTF-8, nests too deeply, holds U+0000 (PostgreSQL has no such text), or a key twice.

    orjson is stricter than what FastAPI parses with: UTF-16, NaN and lone surrogates end here, not as a 500 where
    they are written again. Costs about four times what reading with orjson costs (measured 2026-11).

    Raises:
        MalformedJson: says what and where.
    """
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(error.msg, f"line {error.lineno}, column {error.colno}") from None
    if b"\\u0000" in body and _NUL.search(body):
        raise MalformedJson("it holds U+0000, which no text here may contain; remove it")
    between = _between_texts(body)
    if _deeper_than(MAX_DEPTH, between):
        raise MalformedJson(f"it is nested deeper than {MAX_DEPTH} levels; flatten it")
    # We would take the last one, and a proxy or another reader in front the first (RFC 8259, 4).
    if between.count(b":") > _pairs(read):
        raise MalformedJson("a key stands twice in one object; leave one of them out")


def _between_texts(body: bytes) -> bytes:
    """What stands between the texts of valid JSON; without a loop over its characters."""
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in body else body
    return b"".join(unescaped.split(b'"')[::2])


def _deeper_than(limit: int, between: bytes) -> bool:
    """Whether valid JSON nests deeper."""
    if between.count(b"[") + between.count(b"{") <= limit:
        return False
    brackets = between.translate(None, _NOT_BRACKETS).translate(_SAME)
    for _ in range(limit):
        brackets = brackets.replace(b"[]", b"")  # takes away one level, the innermost
        if not brackets:
            return False
    return True


def _pairs(read: Any) -> int:
    """Keys with their values in all objects of it."""
    count, left = 0, [read]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            count += len(value)
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
    return count


def replay(body: bytes, receive: Receive) -> Receive:
    """A channel that gives the body once more, then whatever comes next (a disconnect)."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again
