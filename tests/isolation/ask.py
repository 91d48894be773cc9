"""One request into an ASGI application, byte by byte as a socket would bring it, without the socket."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message

Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Fields
    body: bytes

    @property
    def head(self) -> bytes:
        """The headers, for whoever looks for a word in them."""
        return b"\n".join(name + b": " + value for name, value in self.headers)


async def ask(app: ASGIApp, method: str, target: str, fields: Fields, body: bytes) -> Answer:
    """The answer, all of it."""
    path, _, query = target.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            *fields,
            *([(b"content-length", b"%d" % len(body))] if body else []),
        ],
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 8091),
        "state": {},
    }
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    status = 0
    headers: list[tuple[bytes, bytes]] = []
    chunks: list[bytes] = []

    async def receive() -> Message:
        if pending:
            return pending.pop()
        await asyncio.Event().wait()  # it stays connected
        raise AssertionError

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message["headers"])
        else:
            chunks.append(message.get("body", b""))

    await app(scope, receive, send)
    return Answer(status, tuple((bytes(n), bytes(v)) for n, v in headers), b"".join(chunks))
