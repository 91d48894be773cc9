"""Builds what the routes and the jobs work with, and closes it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from libs.auth import Authenticator, KeyRing, TokenMinter
from libs.auth.principal import DEFAULT_TENANT
from libs.clients import ContextClient, HolmesClient, NotificationsClient
from libs.clients.peer import Peer
from libs.contracts.health import ComponentHealth, Readiness
from libs.jobs import Jobs
from libs.metrics import Metrics
from libs.storage import Database, migrate
from libs.web import Check, Checks
from services.alerts import worker
from services.alerts.adapters.archive import Archive
from services.alerts.adapters.backlog import Backlog
from services.alerts.adapters.inbox import GroupCommit
from services.alerts.adapters.meters import Meters
from services.alerts.adapters.record import Record
from services.alerts.settings import Settings
from services.alerts.steps.receive import Receive
from services.alerts.worker import Peers, Watchers

SERVICE = "alerts"

Ring = Callable[[], KeyRing | None]

_PEER_CHECK = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Ports:
    """What the routes and the health checks use."""

    receive: Receive
    archive: Archive
    database: Database
    backlog: Backlog
    peers: Peers


@asynccontextmanager
async def serving(settings: Settings, ring: Ring, metrics: Metrics) -> AsyncIterator[Ports]:
    """For the API: takes alerts in and shows them; what follows is the worker's."""
    meters = Meters(metrics)
    async with _database(settings) as database, _peers(settings, ring) as peers:
        jobs = Jobs(database, service=SERVICE, settings=settings)
        worker.declare(jobs)
        backlog = Backlog(
            database,
            high_water=settings.ingest_high_water,
            every=settings.ingest_count_every.total_seconds(),
            observe=meters.inbox,
        )

        def committed(rows: int, seconds: float) -> None:
            backlog.add(rows)
            meters.committed(rows, seconds)

        inbox = GroupCommit(
            database,
            jobs,
            deadline=settings.ingest_commit_deadline,
            max_rows=settings.ingest_group_rows,
            is_full=backlog.is_full,
            observe=committed,
        )
        async with _running(inbox.run(), backlog.run()):
            archive = Archive(Record(database, jobs))
            yield Ports(Receive(inbox, meters.received), archive, database, backlog, peers)


async def working(settings: Settings, metrics: Metrics, stop: asyncio.Event) -> None:
    """For the worker: drains, attaches, has investigated and tells until `stop`."""
    authenticator = Authenticator.from_settings(settings)
    meters = Meters(metrics)
    async with _database(settings) as database, _peers(settings, lambda: authenticator.ring) as peers:
        jobs = Jobs(database, service=SERVICE, settings=settings, observe=meters.job)
        watchers = Watchers(meters.changed, meters.expired)
        age = worker.register(jobs, Record(database, jobs), peers, settings, watchers)
        await worker.run_worker(jobs, age, settings, stop)


def checks(ports: Ports) -> Checks:
    """What /health reports. Without the database nothing can be acknowledged; without a peer, only waited."""

    async def inbox() -> ComponentHealth | None:
        if ports.backlog.is_full():
            return ComponentHealth(
                status="degraded", detail="full: new alerts get 503 until some are drained"
            )
        return None

    peers = ports.peers
    return {
        "database": Check(ports.database.check, critical=True),
        "inbox": Check(inbox),
        "context_api": Check(_ready(peers.context)),
        "holmesgpt": Check(_ready(peers.holmes)),
        "notifications": Check(_ready(peers.notifications)),
    }


def _ready(peer: Peer) -> Callable[[], Coroutine[Any, Any, None]]:
    async def ask() -> None:
        await peer.call("GET", "/ready", answer=Readiness, deadline=_PEER_CHECK, tenant=DEFAULT_TENANT)

    return ask


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    await asyncio.to_thread(migrate, settings.database_url.get_secret_value(), SERVICE)
    database = Database(settings, application=SERVICE)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def _peers(settings: Settings, ring: Ring) -> AsyncIterator[Peers]:
    token, ca_file = TokenMinter(ring, service=SERVICE), settings.peer_ca_file
    context = ContextClient(settings.context_api_url, token=token, ca_file=ca_file)
    holmesgpt = HolmesClient(settings.holmesgpt_url, token=token, ca_file=ca_file)
    notifications = NotificationsClient(settings.notifications_url, token=token, ca_file=ca_file)
    async with context, holmesgpt, notifications:
        yield Peers(context, holmesgpt, notifications)


@asynccontextmanager
async def _running(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these beside the block, and end them with it."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
