"""Checks that come due together cost the Context API one question."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from libs.clients import PeerError, PeerUnavailable
from libs.contracts.context import ContextHealth
from services.holmesgpt_api.adapters.context_health import FRESH_S, ContextSays

pytestmark = pytest.mark.requirement("HAPI-016", "HAPI-132")

WELL = ContextHealth(
    status="healthy",
    timestamp=datetime(2026, 11, 18, tzinfo=UTC),
    version="1",
    cache_hit_rate=0.0,
    context_types=5,
    kubernetes_connectivity="healthy",
)


class Context:
    def __init__(self, *answers: ContextHealth | PeerError) -> None:
        self.answers = list(answers)

    async def health(self) -> ContextHealth:
        await asyncio.sleep(0)
        answer = self.answers.pop(0)
        if isinstance(answer, PeerError):
            raise answer
        return answer


async def test_one_answer_serves_all_who_ask_together_and_the_next_round_asks_anew():
    now = 0.0
    away = PeerUnavailable("context-api", "connect")
    context = Context(away, WELL)
    says = ContextSays(context.health, lambda: now)

    together = await asyncio.gather(says.look(), says.look())
    now += FRESH_S
    later = await says.look()

    assert list(together) == [away, away]
    assert later is WELL
    assert context.answers == []
