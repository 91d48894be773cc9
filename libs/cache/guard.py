"""Ask Redis without ever being hurt by it: no exception, no long wait, every fault counted."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from libs.cache.breaker import Breaker
from libs.cache.ports import OnFault

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Unanswered:
    """What a guarded call returns instead of an answer."""


UNANSWERED = Unanswered()


class Guard:
    """One per Redis client: what one user of it learns about its health, all of them know."""

    def __init__(self, breaker: Breaker, on_fault: OnFault | None = None) -> None:
        self._breaker = breaker
        self._on_fault = on_fault or _uncounted

    def open(self) -> bool:
        """Whether calls are held back. Asked before a call is even built; counted as a fault."""
        if self._breaker.allows():
            return False
        self._on_fault("breaker-open")
        return True

    async def ask(self, call: Awaitable[T]) -> T | Unanswered:
        """The answer, or `UNANSWERED` when there is none."""
        try:
            answer = await call
        except (RedisError, OSError) as error:
            reason = _reason(error)
            # A refused command says that the server lives; holding back would help nobody.
            if reason != "refused":
                self._breaker.failed()
            self._on_fault(reason)
            _log.debug("redis %s: %s", reason, type(error).__name__)
            return UNANSWERED
        self._breaker.succeeded()
        return answer

    async def answers(self, call: Awaitable[object]) -> bool:
        """Whether the store answers now; asked in the background, and whether or not calls are held back."""
        return not isinstance(await self.ask(call), Unanswered)


def _reason(error: Exception) -> str:
    if isinstance(error, (RedisTimeoutError, TimeoutError)):
        return "timeout"
    return "unreachable" if isinstance(error, (RedisConnectionError, OSError)) else "refused"


def _uncounted(_: str) -> None:
    return None
