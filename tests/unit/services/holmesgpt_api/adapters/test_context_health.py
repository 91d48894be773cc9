"""Checks that come due together cost the Context API one question."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import cast

import pytest

from libs.clients import ContextClient, PeerError, PeerUnavailable
from libs.contracts.context import ContextHealth
from libs.web import Check
from services.holmesgpt_api.adapters.context_health import FRESH_S, ContextSays, checks_of
from services.holmesgpt_api.domain.clusters import Clusters

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

    async def health(self, **_: object) -> ContextHealth:
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


@pytest.mark.requirement("HAPI-179")
async def test_each_cluster_is_told_by_name_and_one_that_is_away_takes_nobodys_readiness():
    clusters = Clusters("http://a", {"eu": "http://a", "us": "http://b"})
    contexts = {"http://a": Context(WELL), "http://b": Context(PeerUnavailable("context-api", "connect"))}

    checks = checks_of(clusters, cast("dict[str, ContextClient]", contexts))
    told = dict(zip(checks, await asyncio.gather(*(_outcome(one) for one in checks.values())), strict=True))

    assert told == {
        "context_api": "healthy",
        "kubernetes": "healthy",
        "context_api:eu": "healthy",
        "kubernetes:eu": "healthy",
        "context_api:us": "PeerUnavailable",
        "kubernetes:us": "unknown",
    }
    assert not any(one.critical for one in checks.values())
    assert [one.answers for one in contexts.values()] == [[], []]


async def _outcome(check: Check) -> str:
    try:
        told = await check.probe()
    except PeerError as error:
        return type(error).__name__
    return told.status if told else "healthy"
