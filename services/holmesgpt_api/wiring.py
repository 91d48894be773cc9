"""Builds what the routes and the jobs work with, and closes it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from libs.auth import Authenticator, KeyRing, TokenMinter
from libs.auth.principal import DEFAULT_TENANT
from libs.clients import Breaker, ContextClient
from libs.contracts.health import ComponentHealth
from libs.jobs import Jobs
from libs.metrics import Metrics
from libs.storage import Database, migrate
from libs.web import Check, Checks
from services.holmesgpt_api import worker
from services.holmesgpt_api.adapters.context import ContextApi
from services.holmesgpt_api.adapters.ledger import PostgresLedger
from services.holmesgpt_api.adapters.meters import Meters
from services.holmesgpt_api.domain.triage import NO_MODEL, Triage
from services.holmesgpt_api.settings import Settings
from services.holmesgpt_api.steps.conduct import Conductor
from services.holmesgpt_api.steps.take import Desk
from services.holmesgpt_api.steps.wait import Waiting

SCHEMA = "holmesgpt_api"
SERVICE = "holmesgpt-api"

Ring = Callable[[], KeyRing | None]

_BORNE_AGAIN_AFTER = timedelta(seconds=5)
"""How long a failing Context API is left alone. Short, since runs come back with growing waits of their own."""


@dataclass(frozen=True)
class Ports:
    """What the routes and the health checks use."""

    desk: Desk
    database: Database
    context: ContextClient


@asynccontextmanager
async def serving(settings: Settings, ring: Ring) -> AsyncIterator[Ports]:
    """For the API: takes investigations, and runs none."""
    async with _database(settings) as database, _context(settings, ring) as context:
        jobs = Jobs(database, service=SCHEMA, settings=settings)
        worker.declare(jobs)
        ledger = PostgresLedger(database, jobs, life=settings.investigation_timeout)
        async with Waiting(ledger) as waiting:
            yield Ports(Desk(ledger, waiting, settings.sync_answer_timeout), database, context)


async def working(settings: Settings, metrics: Metrics, stop: asyncio.Event) -> None:
    """For the worker: runs investigations until `stop`."""
    authenticator = Authenticator.from_settings(settings)
    meters = Meters(metrics)
    async with (
        _database(settings) as database,
        _context(settings, lambda: authenticator.ring) as context,
    ):
        jobs = Jobs(database, service=SCHEMA, settings=settings, observe=meters.job)
        life = settings.investigation_timeout
        conductor = Conductor(
            PostgresLedger(database, jobs, life=life),
            Triage(ContextApi(context), patience=settings.context_api_timeout),
            retention=settings.investigation_retention,
            observe=meters.ended,
        )
        worker.register(jobs, conductor, life=life)
        await jobs.run_worker(stop)


def checks(ports: Ports) -> Checks:
    """What /health reports; without the database nothing can be taken."""

    async def context_api() -> None:
        await ports.context.health(tenant=DEFAULT_TENANT, deadline=timedelta(seconds=2))

    async def llm() -> ComponentHealth:
        return ComponentHealth(status="not_configured", detail=f"{NO_MODEL}: triage answers")

    return {
        "database": Check(ports.database.check, critical=True),
        "context_api": Check(context_api),
        "llm": Check(llm),
    }


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    await asyncio.to_thread(migrate, settings.database_url.get_secret_value(), SCHEMA)
    database = Database(settings, application=SERVICE, schema=SCHEMA)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def _context(settings: Settings, ring: Ring) -> AsyncIterator[ContextClient]:
    token = TokenMinter(ring, service=SERVICE)
    breaker = Breaker(open_for=_BORNE_AGAIN_AFTER)
    async with ContextClient(settings.context_api_url, token=token, breaker=breaker) as client:
        yield client
