"""Frames from a hostile side are refused before they cost anything, and say nothing of what they held."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.holmesgpt_api.engine.framing import (
    LARGEST,
    BadFrame,
    Closed,
    decode,
    encode,
    length,
    read,
    receive,
    receive_with_socket,
    send,
)
from services.holmesgpt_api.engine.messages import FROM_CHILD, TO_ZYGOTE, Failed, Kill, Start, Step

pytestmark = pytest.mark.requirement("HAPI-073")

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_what_is_sent_is_received(pair: Pair):
    send(pair[0], Step(number=3))
    send(pair[0], Failed(word="model-error", detail="HTTP 500: ü"))

    assert receive(pair[1], FROM_CHILD) == Step(number=3)
    assert receive(pair[1], FROM_CHILD) == Failed(word="model-error", detail="HTTP 500: ü")


@pytest.mark.parametrize("announced", [0, LARGEST + 1, 2**32 - 1])
def test_a_frame_is_refused_by_its_length_before_it_is_read(announced: int):
    with pytest.raises(BadFrame, match=str(announced)):
        length(announced.to_bytes(4, "big"))


def test_a_message_too_large_for_the_other_side_is_not_sent():
    with pytest.raises(BadFrame, match="bytes, more than"):
        encode(Start(child="x" * LARGEST))


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fall_over(body: bytes):
    try:
        message = decode(body, FROM_CHILD)
    except BadFrame:
        return
    assert message.type in ("step", "tool", "usage", "concluded", "failed")


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "start", "run": "x"}',  # the zygote's, not a child's
        b'{"type": "step", "number": 1, "more": "sk-secret"}',
        b'{"type": "step", "number": "sk-secret"}',
        b'{"number": 1}',
        b"[" * 5_000,
        b'"sk-secret"',
    ],
)
def test_what_is_no_message_from_there_is_refused_without_repeating_it(body: bytes):
    with pytest.raises(BadFrame) as refused:
        decode(body, FROM_CHILD)

    assert "sk-secret" not in str(refused.value)


def test_an_end_in_the_middle_of_a_frame_is_an_end(pair: Pair):
    pair[0].sendall(encode(Step(number=1))[:-3])
    pair[0].close()

    with pytest.raises(Closed):
        receive(pair[1], FROM_CHILD)


def test_a_sender_who_dribbles_has_one_deadline_for_all_of_it(pair: Pair):
    def dribble() -> None:
        for byte in encode(Step(number=1)):
            try:
                pair[0].send(bytes([byte]))
            except OSError:
                return
            if stop.wait(0.05):
                return

    stop = threading.Event()
    thread = threading.Thread(target=dribble)
    thread.start()
    began = time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            receive(pair[1], FROM_CHILD, within=0.2)
    finally:
        stop.set()
        thread.join()
    assert time.monotonic() - began < 1.0


def test_a_socket_travels_with_its_message(pair: Pair):
    far, near = socket.socketpair()
    with far, near:
        socket.send_fds(pair[0], [encode(Start(child="r"))], [near.fileno()])

        message, carried = receive_with_socket(pair[1], TO_ZYGOTE)

        assert message == Start(child="r")
        assert carried is not None
        with carried:
            carried.send(b"x")
        assert far.recv(1) == b"x"


def test_a_message_may_come_without_one(pair: Pair):
    send(pair[0], Kill(child="r"))

    assert receive_with_socket(pair[1], TO_ZYGOTE) == (Kill(child="r"), None)


def test_a_socket_that_comes_with_nonsense_is_closed_again(pair: Pair):
    far, near = socket.socketpair()
    with far:
        frame = (4).to_bytes(4, "big") + b"null"
        socket.send_fds(pair[0], [frame], [near.fileno()])
        near.close()

        with pytest.raises(BadFrame):
            receive_with_socket(pair[1], TO_ZYGOTE)

        assert far.recv(1) == b""


def test_of_several_sockets_one_is_taken_and_the_others_are_closed(pair: Pair):
    pairs = [socket.socketpair() for _ in range(3)]
    socket.send_fds(pair[0], [encode(Start(child="r"))], [near.fileno() for _, near in pairs])
    for _, near in pairs:
        near.close()

    _, carried = receive_with_socket(pair[1], TO_ZYGOTE)

    assert carried is not None
    with carried:
        for far, _ in pairs[1:]:
            far.settimeout(5)
            assert far.recv(1) == b""
    for far, _ in pairs:
        far.close()


def test_what_comes_with_a_message_and_is_no_socket_is_refused(pair: Pair):
    reading, writing = os.pipe()
    socket.send_fds(pair[0], [encode(Start(child="r"))], [writing])
    os.close(writing)

    with pytest.raises(BadFrame, match="no socket"):
        receive_with_socket(pair[1], TO_ZYGOTE)

    assert os.read(reading, 1) == b""
    os.close(reading)


async def test_the_asynchronous_reader_tells_an_end_from_nonsense():
    reader = asyncio.StreamReader()
    reader.feed_data(encode(Step(number=7)) + (2**31).to_bytes(4, "big"))

    assert await read(reader.readexactly, FROM_CHILD) == Step(number=7)
    with pytest.raises(BadFrame):
        await read(reader.readexactly, FROM_CHILD)
    reader.feed_eof()
    with pytest.raises(Closed):
        await read(reader.readexactly, FROM_CHILD)
