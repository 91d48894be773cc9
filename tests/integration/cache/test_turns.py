"""Whose turn it is, as a real Redis keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from libs.cache import RedisLink, RedisSettings, RedisTurns, connect
from libs.cache.turns import Turn
from tests.support.redis import RedisServer
from tests.support.stores import STORES, linked

pytestmark = pytest.mark.requirement("API-BR-CAPI-003", "API-BR-REL-006")

LONG = timedelta(minutes=1)


@pytest.fixture(params=STORES[1:])
async def link(request: pytest.FixtureRequest) -> AsyncIterator[RedisLink]:
    async with linked(request.param, request) as made:
        yield made


@pytest.fixture
def turns(link: RedisLink) -> RedisTurns:
    return RedisTurns(link, namespace="test")


async def test_of_many_who_ask_at_once_one_has_the_turn(turns: RedisTurns):
    taken = await asyncio.gather(*(turns.take("key", LONG) for _ in range(15)))

    assert sum(isinstance(one, bytes) for one in taken) == 1
    assert taken.count(Turn.theirs) == 14


async def test_what_was_given_back_is_the_next_ones(turns: RedisTurns):
    token = await turns.take("key", LONG)
    assert isinstance(token, bytes)

    await turns.give_back("key", token)

    assert isinstance(await turns.take("key", LONG), bytes)


async def test_a_turn_ends_by_itself(turns: RedisTurns):
    await turns.take("key", timedelta(milliseconds=30))

    async with asyncio.timeout(10):
        while await turns.take("key", LONG) is Turn.theirs:
            await asyncio.sleep(0.01)


async def test_who_comes_back_late_does_not_give_back_anothers_turn(turns: RedisTurns):
    late = await turns.take("key", timedelta(milliseconds=30))
    assert isinstance(late, bytes)
    async with asyncio.timeout(10):
        while await turns.take("key", LONG) is Turn.theirs:
            await asyncio.sleep(0.01)

    await turns.give_back("key", late)

    assert await turns.take("key", LONG) is Turn.theirs


@pytest.mark.needs("redis-server")
async def test_a_redis_that_is_down_gives_nobody_the_turn_and_holds_nobody_up(own_redis: RedisServer):
    link = connect(RedisSettings.model_validate({"redis_url": own_redis.url, "redis_timeout": 0.1}))
    assert link is not None
    turns = RedisTurns(link, namespace="test")
    token = await turns.take("key", LONG)
    assert isinstance(token, bytes)
    own_redis.kill()

    assert await turns.take("key", LONG) is Turn.nobody_knows
    await turns.give_back("key", token)
    await link.close()
