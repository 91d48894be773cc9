"""One round of the long campaign in a process of its own; apart from `__main__`, which no other process can import."""

from __future__ import annotations

import asyncio

from tests.isolation.campaign import Kind, Outcome, quiet, round_of
from tests.isolation.document import Round
from tests.support.redis import RedisServer


def one_round(one: Round) -> Outcome:
    """Run it, with a Redis of its own where replicas share one."""
    quiet()
    if not one.shared:
        return asyncio.run(round_of(one.seed, one.operations, Kind(one.kept_s)))
    with RedisServer() as server:
        return asyncio.run(round_of(one.seed, one.operations, Kind(one.kept_s, server.url)))
