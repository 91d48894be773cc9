"""Builds what the routes work with, and closes it again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from libs.cache import Cache, MemoryCache, RedisCache, connect
from libs.contracts.health import ComponentHealth
from libs.metrics import Metrics
from libs.web.info import Check, Checks
from services.context_api.adapters.recorded import NoSource, RecordedCluster
from services.context_api.domain.errors import NoEvidence
from services.context_api.domain.ports import Connectivity
from services.context_api.settings import Settings
from services.context_api.steps.answers import OUTCOMES, Answers
from services.context_api.steps.ask import Desk

SERVICE = "context-api"

NOTHING_SET = (
    "no evidence source is set: set RECORDED_CLUSTER to a must-gather or a folder of Kubernetes objects"
)


@dataclass(frozen=True)
class Ports:
    """What the routes and the health checks use."""

    desk: Desk


@asynccontextmanager
async def serving(settings: Settings, metrics: Metrics) -> AsyncIterator[Ports]:
    """Everything, until the service stops. Answers at once; the recording is read meanwhile."""
    total = metrics.counter(
        "context_api_answers_total", "Answers, by where they came from.", {"outcome": OUTCOMES}
    )
    async with _source(settings) as source, _cache(settings) as cache:
        answers = Answers(
            cache, most_waiting=settings.most_waiting, observe=lambda outcome: total.inc(outcome=outcome)
        )
        try:
            yield Ports(
                Desk(
                    source,
                    answers,
                    cluster=settings.evidence_cluster,
                    limit=settings.answer_timeout,
                    ttl=settings.answer_ttl,
                )
            )
        finally:
            await answers.close()


def checks(ports: Ports) -> Checks:
    """What /health reports; without evidence nothing can be answered."""

    async def evidence() -> ComponentHealth:
        # Most recordings are read within this second, and then the service is ready from its first answer on.
        with suppress(NoEvidence):
            await ports.desk.source.snapshot(timedelta(seconds=1))
        state = ports.desk.source.state
        healthy = state.connectivity is Connectivity.healthy
        return ComponentHealth(status="healthy" if healthy else "unhealthy", detail=state.reason)

    return {"evidence": Check(evidence, critical=True)}


@asynccontextmanager
async def _source(settings: Settings) -> AsyncIterator[RecordedCluster | NoSource]:
    if settings.recorded_cluster is None:
        yield NoSource(NOTHING_SET)
        return
    recorded = RecordedCluster(settings.recorded_cluster)
    recorded.start()
    try:
        yield recorded
    finally:
        await recorded.stop()


@asynccontextmanager
async def _cache(settings: Settings) -> AsyncIterator[Cache]:
    link = connect(settings)
    if link is None:
        yield MemoryCache(max_entries=settings.cache_max_entries, max_bytes=settings.cache_max_bytes)
        return
    try:
        yield RedisCache(link, namespace=SERVICE)
    finally:
        await link.close()
