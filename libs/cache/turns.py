"""Who of several processes does a piece of work that all of them would do: a lock that ends by itself.

Only to spare work. Two may hold it at once (Redis emptied, the time run out): then both work, and nothing is wrong.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from enum import Enum
from typing import Protocol, cast

from libs.cache.connect import RedisLink
from libs.cache.guard import Unanswered
from libs.cache.keys import key as joined

# Only who took it gives it back: after its time it may be another's.
_GIVE_BACK = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class Turn(Enum):
    theirs = "theirs"
    """Another process is at it."""
    nobody_knows = "nobody-knows"
    """The store does not answer; work as if alone."""


class Turns(Protocol):
    async def take(self, key: str, ttl: timedelta) -> bytes | Turn:
        """Our token when it is our turn, for at most `ttl`. Never raises, never waits long."""
        ...

    async def give_back(self, key: str, token: bytes) -> None: ...


class RedisTurns:
    """Fulfils `Turns`."""

    def __init__(self, link: RedisLink, *, namespace: str) -> None:
        self._client, self._guard = link.client, link.guard
        self._prefix = "kubernaut:turn:" + joined(namespace)
        self._give_back = link.client.register_script(_GIVE_BACK)

    async def take(self, key: str, ttl: timedelta) -> bytes | Turn:
        if self._guard.open():
            return Turn.nobody_knows
        token = secrets.token_bytes(12)
        asked = self._client.set(
            self._prefix + key, token, nx=True, px=max(1, round(1000 * ttl.total_seconds()))
        )
        answer = await self._guard.ask(asked)
        if isinstance(answer, Unanswered):
            return Turn.nobody_knows
        return token if cast("bool | None", answer) else Turn.theirs

    async def give_back(self, key: str, token: bytes) -> None:
        if not self._guard.open():
            await self._guard.ask(self._give_back(keys=[self._prefix + key], args=[token]))
