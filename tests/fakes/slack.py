"""A Slack incoming webhook on a real socket: answers as told, and logs every message it was given.

The log is what reached the other side, whatever the caller came to know of it. The bundled HTTP server of
Python's asyncio streams is enough: one request per connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

Answer = tuple[int, dict[str, str], bytes]
OK: Answer = (200, {}, b"ok")


@dataclass
class SlackFake:
    """Attributes:
    posts: bodies in order of arrival, also those that were never answered.
    answer: called for each post; None: say nothing for ever.
    before_answer: awaited between taking a post and answering it.
    """

    port: int = 0
    posts: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], Answer | None] = lambda post: OK
    before_answer: Callable[[], Awaitable[None]] | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/services/T000/B000/webhook-secret"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next(
                int(line.split(":")[1])
                for line in head.split("\r\n")
                if line.lower().startswith("content-length:")
            )
            post = orjson.loads(await reader.readexactly(length))
            self.posts.append(post)
            self.paths.append(head.split(" ")[1])
            self.at.append(asyncio.get_running_loop().time())
            self.arrived.set()
            if self.before_answer:
                await self.before_answer()
            said = self.answer(post)
            if said is None:
                await reader.read()  # until the caller gives up
                return
            status, headers, body = said
            lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def slack() -> AsyncIterator[SlackFake]:
    fake = SlackFake()
    server = await asyncio.start_server(fake._serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    async with server:
        yield fake
