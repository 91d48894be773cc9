"""A crowd that comes at once is let in at once, however slowly the event loop turns."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import cast

import pytest
import uvloop

from libs.web.server import ACCEPTORS, listening, more_doors

pytestmark = pytest.mark.requirement("INT-BR-PERF-003")

CROWD, TURNS = 200, 20


async def let_in(doors: Sequence[socket.socket]) -> int:
    """How many connections the loop has accepted after some turns."""
    inside: list[asyncio.Transport] = []

    class Guest(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            inside.append(cast(asyncio.Transport, transport))

    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Guest, sock=door) for door in doors]
    before = len(inside)
    for _ in range(TURNS):
        await asyncio.sleep(0)
    accepted = len(inside) - before
    for server in servers:
        server.close()
    await asyncio.sleep(0)  # the last one is inside a turn after it was accepted
    for guest in inside:
        guest.abort()
    await asyncio.gather(*(server.wait_closed() for server in servers))
    return accepted


def accepted_through(doors: int) -> int:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listening("127.0.0.1", 0))
        for _ in range(CROWD):
            stack.enter_context(socket.create_connection(listener.getsockname()))
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        others = more_doors(listener) if doors > 1 else []
        return runner.run(let_in([listener, *others]))


def test_one_door_lets_in_one_connection_a_turn():
    """The reason for the others; when libuv changes this, they may go."""
    assert accepted_through(1) <= TURNS + 1


def test_through_all_doors_a_crowd_is_inside_after_a_few_turns():
    assert accepted_through(ACCEPTORS) >= 5 * TURNS
