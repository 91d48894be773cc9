"""Reach Redis: every wait bounded, no retry that the caller does not know of."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from libs.cache.breaker import Breaker
from libs.cache.guard import Guard
from libs.cache.ports import OnFault
from libs.cache.settings import RedisSettings


@dataclass(frozen=True)
class RedisLink:
    """One client and what is known of its health, shared by all of a process's users of Redis."""

    client: Redis
    guard: Guard

    async def close(self) -> None:
        await self.client.aclose()


def connect(settings: RedisSettings, *, on_fault: OnFault | None = None) -> RedisLink | None:
    """A link to `REDIS_URL`, or None where none is set. Connects at its first command."""
    if settings.redis_url is None:
        return None
    wait = settings.redis_timeout.total_seconds()
    pool = BlockingConnectionPool.from_url(
        settings.redis_url.get_secret_value(),
        max_connections=settings.redis_pool_size,
        timeout=wait,
        socket_timeout=wait,
        socket_connect_timeout=wait,
        # The library's default waits and tries ten times. Once and at once is enough to replace a pooled
        # connection that a restarted server has closed; a timeout is not tried again.
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )
    breaker = Breaker(faults=settings.redis_breaker_faults, pause=settings.redis_breaker_pause)
    return RedisLink(Redis.from_pool(pool), Guard(breaker, on_fault))
