"""The three kinds of store that one suite of tests is run against."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from fakeredis import FakeAsyncRedis, FakeServer

from libs.cache import Breaker, Guard, RedisLink, RedisSettings, connect

MEMORY = "memory"
STORES = [
    pytest.param(MEMORY, id="in-process"),
    pytest.param("fakeredis", id="fakeredis"),
    pytest.param("redis-server", id="redis-server", marks=pytest.mark.needs("redis-server")),
]


@asynccontextmanager
async def linked(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[RedisLink]:
    """A link to an empty store of this kind."""
    if kind == "fakeredis":
        guard = Guard(Breaker(faults=3, pause=timedelta(seconds=1)))
        link = RedisLink(FakeAsyncRedis(server=FakeServer()), guard)
    else:
        url = request.getfixturevalue("redis_server").url
        # What a slow answer means is another suite's question; here each is waited for.
        made = connect(RedisSettings.model_validate({"redis_url": url, "redis_timeout": 10}))
        assert made is not None
        link = made
    await link.client.flushdb()
    try:
        yield link
    finally:
        await link.close()
