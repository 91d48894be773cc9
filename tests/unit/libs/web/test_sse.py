"""Events are written as readers expect them, and a reader that takes nothing does not hold a stream for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from libs.web.sse import EventStream, event, retry

pytestmark = pytest.mark.requirement("HAPI-129", "HAPI-041")

SCOPE = {"type": "http", "asgi": {"spec_version": "2.3"}}


def test_an_event_has_a_name_a_line_of_data_and_a_number_where_it_can_be_resumed():
    assert event("progress", b'{"a":1}', id_="7") == b'id: 7\nevent: progress\ndata: {"a":1}\n\n'
    assert event("end", b"{}") == b"event: end\ndata: {}\n\n"
    assert retry(timedelta(seconds=1.5)) == b"retry: 1500\n\n"


class Made:
    """Two chunks, and what became of them."""

    def __init__(self) -> None:
        self.made, self.closed = 0, 0

    async def chunks(self) -> AsyncIterator[bytes]:
        for number in range(2):
            self.made += 1
            yield b"%d" % number

    def close(self) -> None:
        self.closed += 1


async def stays() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_stream_that_ends_has_sent_everything_and_is_closed_once():
    made, sent = Made(), list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)

    await EventStream(made.chunks(), on_close=made.close)(SCOPE, stays, send)

    assert b"".join(one.get("body", b"") for one in sent) == b"01"
    assert dict(sent[0]["headers"])[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert made.closed == 1


async def test_a_reader_that_takes_nothing_is_given_up_and_nothing_more_is_made_for_it():
    made = Made()

    async def stuck(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    with pytest.raises(ClientDisconnect):
        await EventStream(made.chunks(), on_close=made.close, patience=timedelta(milliseconds=20))(
            SCOPE, stays, stuck
        )

    assert (made.made, made.closed) == (1, 1)


async def test_a_reader_that_leaves_ends_the_stream():
    made = Made()

    async def leaves() -> Message:
        return {"type": "http.disconnect"}

    async def stuck(message: Message) -> None:
        await asyncio.Event().wait()

    await EventStream(made.chunks(), on_close=made.close)(SCOPE, leaves, stuck)

    assert made.closed == 1
