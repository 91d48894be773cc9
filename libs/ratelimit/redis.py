"""The limiter in Redis, shared by all replicas: `gcra.decide` said in Lua, so that it is one step there."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from libs.cache.connect import RedisLink
from libs.cache.guard import Unanswered
from libs.ratelimit.gcra import LIMITER_AWAY, WITHIN, Limit, Verdict, exceeded

# Microseconds as integers: Redis turns a Lua float into an integer on its way out. The key expires when it
# no longer says anything. The server's clock decides, because replicas' clocks differ.
_GCRA = """
local now = tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local interval, tolerance, count = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local due = tonumber(redis.call('GET', KEYS[1]) or now)
if due < now then due = now end
local wait = due + (count - 1) * interval - tolerance - now
if wait > 1 then return wait end
due = due + count * interval
redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000))
return 0
"""


class RedisRateLimiter:
    """Fulfils `libs.ratelimit.ports.RateLimiter`. Redis down or slow allows; emptied forgives."""

    def __init__(self, link: RedisLink, *, namespace: str, clock: Callable[[], float] | None = None) -> None:
        """Args:
        clock: seconds, for tests; by rule Redis' own.
        """
        self._guard, self._clock = link.guard, clock
        self._prefix = f"kubernaut:limit:{len(namespace)}:{namespace}"
        self._gcra = link.client.register_script(_GCRA)

    async def take(self, key: str, limit: Limit, count: int = 1) -> Verdict:
        """`count` at once: all of them or none."""
        if self._guard.open():
            return LIMITER_AWAY
        now = "" if self._clock is None else round(self._clock() * 1_000_000)
        arguments = [round(limit.interval_s * 1_000_000), round(limit.tolerance_s * 1_000_000), now, count]
        answer = await self._guard.ask(self._gcra(keys=[self._prefix + key], args=arguments))
        if isinstance(answer, Unanswered):
            return LIMITER_AWAY
        wait_us = cast("int", answer)
        return exceeded(wait_us / 1_000_000) if wait_us else WITHIN
