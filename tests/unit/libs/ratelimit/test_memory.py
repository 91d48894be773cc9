from __future__ import annotations

from datetime import timedelta

import pytest

from libs.ratelimit import Limit, MemoryRateLimiter

pytestmark = pytest.mark.requirement("INT-BR-WH-023")


async def test_its_memory_is_bounded_and_forgetting_allows():
    limiter = MemoryRateLimiter(max_keys=2)
    once = Limit(1, timedelta(hours=1))
    await limiter.take("a", once)
    await limiter.take("b", once)

    await limiter.take("c", once)

    assert (await limiter.take("c", once)).allowed is False
    assert (await limiter.take("a", once)).allowed is True
