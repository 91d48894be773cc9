"""What a rate limiter owes its callers."""

from __future__ import annotations

from typing import Protocol

from libs.ratelimit.gcra import Limit, Verdict


class RateLimiter(Protocol):
    """Never raises for a fault of its store and never waits long for it: then it allows, and counts that."""

    async def take(self, key: str, limit: Limit) -> Verdict:
        """Take one from the key's allowance. Keys are the caller's to make unambiguous (`libs.cache.key`)."""
        ...
