"""Frames: a length of four bytes, then one message as JSON. The same bytes on both sides of the boundary.

A frame is refused by its length before a byte of it is read, so that neither side can make the other one hold
more than `LARGEST`.
"""

from __future__ import annotations

import array
import os
import socket
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

LARGEST = 4 * 1024 * 1024
"""Bytes. A request carries a megabyte of evidence at most, twice where a run goes on; four leave room."""

HEAD = 4

M = TypeVar("M", bound=BaseModel)


class BadFrame(Exception):
    """What arrived is no frame, or no message that may come from there."""


class Closed(Exception):
    """The other side is gone."""


def encode(message: BaseModel) -> bytes:
    """Raises BadFrame: the message is larger than the other side accepts."""
    body = message.model_dump_json().encode()
    if len(body) > LARGEST:
        raise BadFrame(f"{type(message).__name__} has {len(body)} bytes, more than {LARGEST}")
    return len(body).to_bytes(HEAD, "big") + body


def length(head: bytes) -> int:
    """Bytes that follow this head.

    Raises:
        BadFrame: none, or more than is accepted.
    """
    announced = int.from_bytes(head, "big")
    if not 0 < announced <= LARGEST:
        raise BadFrame(f"a frame of {announced} bytes; 1 to {LARGEST} are accepted")
    return announced


def decode(body: bytes, kind: TypeAdapter[M]) -> M:
    """Raises BadFrame; what it says holds nothing of the body, which may be a secret."""
    try:
        return kind.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadFrame(f"no message that may come here: {where or 'body'}: {first['type']}") from None


# ── blocking: the engine's side ─────────────────────────────────────────────────────────────────────────────


def send(sock: socket.socket, message: BaseModel) -> None:
    """Raises Closed, BadFrame."""
    try:
        sock.sendall(encode(message))
    except OSError as error:
        raise Closed(str(error)) from error


def receive(sock: socket.socket, kind: TypeAdapter[M], *, within: float | None = None) -> M:
    """Raises Closed, BadFrame, TimeoutError (in all `within` seconds, not per piece)."""
    until = None if within is None else time.monotonic() + within
    return decode(_exactly(sock, length(_exactly(sock, HEAD, until)), until), kind)


def receive_with_socket(sock: socket.socket, kind: TypeAdapter[M]) -> tuple[M, socket.socket | None]:
    """One message, and the socket that came with its first byte.

    Raises Closed, BadFrame.
    """
    room = socket.CMSG_SPACE(array.array("i", [0]).itemsize)
    try:
        head, carried, _, _ = sock.recvmsg(HEAD, room)
    except OSError as error:
        raise Closed(str(error)) from error
    if not head:
        raise Closed("end of stream")
    descriptors = array.array("i")
    for level, what, data in carried:
        if level == socket.SOL_SOCKET and what == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    try:
        head += _exactly(sock, HEAD - len(head), None)
        message = decode(_exactly(sock, length(head), None), kind)
        return message, _adopted(descriptors)
    finally:
        for left in descriptors:
            os.close(left)


def _adopted(descriptors: array.array[int]) -> socket.socket | None:
    """The first one as a socket; it is taken out of those that are to be closed."""
    if not descriptors:
        return None
    try:
        adopted = socket.socket(fileno=descriptors[0])
    except OSError as error:
        raise BadFrame(f"what came with a message is no socket: {error.strerror}") from error
    descriptors.pop(0)
    return adopted


def _exactly(sock: socket.socket, wanted: int, until: float | None) -> bytes:
    pieces: list[bytes] = []
    while wanted:
        if until is not None:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            sock.settimeout(left)
        try:
            piece = sock.recv(min(wanted, 1 << 16))
        except TimeoutError:
            raise
        except OSError as error:
            raise Closed(str(error)) from error
        finally:
            if until is not None:
                sock.settimeout(None)
        if not piece:
            raise Closed("end of stream")
        pieces.append(piece)
        wanted -= len(piece)
    return b"".join(pieces)


# ── asynchronous: the service's side ────────────────────────────────────────────────────────────────────────

Exactly = Callable[[int], Awaitable[bytes]]
"""`asyncio.StreamReader.readexactly`."""


async def read(exactly: Exactly, kind: TypeAdapter[M]) -> M:
    """Raises Closed, BadFrame."""
    try:
        head = await exactly(HEAD)
        body = await exactly(length(head))
    except (EOFError, ConnectionError) as error:
        raise Closed("end of stream") from error
    return decode(body, kind)
