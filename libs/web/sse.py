"""Server-sent events: how one is written, and an answer that is a stream of them.

What is streamed, and from where it goes on, is the routes' business.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

MEDIA_TYPE = "text/event-stream"

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment: readers skip it, and what lies between sees that the connection is in use."""

PATIENCE = timedelta(seconds=30)
"""A reader that takes nothing for so long is gone; until then no more than one event waits for it."""


def event(name: str, data: bytes, *, id_: str | None = None) -> bytes:
    """One event. `data`: JSON on one line; a client that comes back repeats the last `id_` it has seen."""
    numbered = b"" if id_ is None else b"id: " + id_.encode() + b"\n"
    return numbered + b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


def retry(pause: timedelta) -> bytes:
    """How long a client waits before it comes back."""
    return f"retry: {round(pause / timedelta(milliseconds=1))}\n\n".encode()


class EventStream(StreamingResponse):
    """The answer. Nothing is made ahead of a slow reader: the next event is asked for when the last one is sent."""

    def __init__(
        self,
        events: AsyncIterator[bytes],
        status_code: int = 200,
        *,
        on_close: Callable[[], None] = lambda: None,
        patience: timedelta = PATIENCE,
    ) -> None:
        """`on_close`: called once when the stream is over, however it ends."""
        super().__init__(
            events,
            status_code,
            media_type=MEDIA_TYPE,
            # The last one: nginx would otherwise hold events back until its buffer is full.
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._on_close, self._patience = on_close, patience.total_seconds()

    async def stream_response(self, send: Send) -> None:
        async def patient(message: Message) -> None:
            try:
                async with asyncio.timeout(self._patience):
                    await send(message)
            except TimeoutError:
                raise ClientDisconnect from None

        await super().stream_response(patient)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_close()
