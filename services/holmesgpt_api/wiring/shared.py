"""What the API and the worker both stand on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from libs.auth import Authenticator, KeyRing, TokenMinter
from libs.clients import Breaker, ContextClient
from libs.jobs import Jobs
from libs.storage import Database, migrate
from services.holmesgpt_api.adapters.chat_sessions import Limits, PostgresSessions
from services.holmesgpt_api.adapters.context import ContextApi
from services.holmesgpt_api.adapters.engine_meters import EngineMeters
from services.holmesgpt_api.adapters.line_meters import LineMeters
from services.holmesgpt_api.adapters.meters import Meters
from services.holmesgpt_api.adapters.steering import Current, Steering
from services.holmesgpt_api.domain.by_cluster import ByCluster
from services.holmesgpt_api.domain.roster import Roster
from services.holmesgpt_api.domain.triage import Triage
from services.holmesgpt_api.settings import Settings

SCHEMA = "holmesgpt_api"
SERVICE = "holmesgpt-api"

ROOT = Path(__file__).resolve().parents[3]
"""Where this installation lies; the engine imports its part of it from there."""

Ring = Callable[[], KeyRing | None]

Contexts = Mapping[str, ContextClient]
"""The clusters' Context APIs, by address."""

_BORNE_AGAIN_AFTER = timedelta(seconds=5)
"""How long a failing Context API is left alone. Short, since runs come back with growing waits of their own."""


@dataclass(frozen=True)
class Site:
    """What a worker works with, whether it asks models or not."""

    settings: Settings
    authenticator: Authenticator
    database: Database
    contexts: Contexts
    steering: Steering
    roster: Roster
    meters: Meters
    turns: LineMeters
    engine: EngineMeters


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    await asyncio.to_thread(migrate, settings.database_url.get_secret_value(), SCHEMA)
    database = Database(settings, application=SERVICE, schema=SCHEMA)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def open_contexts(settings: Settings, ring: Ring) -> AsyncIterator[Contexts]:
    token = TokenMinter(ring, service=SERVICE)
    async with AsyncExitStack() as opened:
        clients = {}
        for address in settings.clusters.addresses:
            # A breaker and a pool each: one that is away, or hangs, holds up no other cluster's investigations.
            breaker = Breaker(open_for=_BORNE_AGAIN_AFTER)
            client = ContextClient(address, token=token, breaker=breaker, ca_file=settings.peer_ca_file)
            clients[address] = await opened.enter_async_context(client)
        yield clients


def triage(settings: Settings, contexts: Contexts, degraded_reason: Callable[[], str]) -> ByCluster:
    patience = settings.context_api_timeout
    engines = {
        address: Triage(ContextApi(client), patience=patience, degraded_reason=degraded_reason)
        for address, client in contexts.items()
    }
    return ByCluster(settings.clusters, engines)


def sessions(settings: Settings, database: Database, jobs: Jobs) -> PostgresSessions:
    limits = Limits(sessions=settings.chat_sessions, questions=settings.chat_questions)
    return PostgresSessions(database, jobs, idle=settings.chat_idle, limits=limits)


def providers(current: Current) -> dict[str, str]:
    """Name to provider of every configured model, for what is counted."""
    return {one.name: one.provider for one in current.entries}


async def together(stop: asyncio.Event, *parts: Coroutine[None, None, None]) -> None:
    """Run them until all have ended; when one fails, the others are told to stop, and its error is raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if any(task.exception() for task in done):
            stop.set()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
