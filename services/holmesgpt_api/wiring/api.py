"""The API: takes questions and runs none of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from libs.contracts.health import ComponentHealth
from libs.jobs import Jobs
from libs.metrics import Metrics
from libs.storage import Database
from libs.web import Check, Checks, ServiceInfo
from services.holmesgpt_api import worker
from services.holmesgpt_api.adapters.approvals import PostgresApprovals
from services.holmesgpt_api.adapters.chat_meters import ChatMeters
from services.holmesgpt_api.adapters.chat_sessions import PostgresSessions
from services.holmesgpt_api.adapters.context import ContextApi
from services.holmesgpt_api.adapters.context_health import checks_of
from services.holmesgpt_api.adapters.course import PostgresCourse
from services.holmesgpt_api.adapters.course_meters import CourseMeters
from services.holmesgpt_api.adapters.engine_reports import EngineReports
from services.holmesgpt_api.adapters.feedback import PostgresFeedback
from services.holmesgpt_api.adapters.gatherings import Gatherings
from services.holmesgpt_api.adapters.history import PostgresHistory
from services.holmesgpt_api.adapters.ledger import PostgresLedger
from services.holmesgpt_api.adapters.panel import Panel
from services.holmesgpt_api.adapters.replays import PostgresReplays
from services.holmesgpt_api.adapters.steering import Current, Steering, read
from services.holmesgpt_api.adapters.underway import PostgresUnderway
from services.holmesgpt_api.domain.clusters import Clusters
from services.holmesgpt_api.domain.engine_health import health
from services.holmesgpt_api.domain.ports import Tally
from services.holmesgpt_api.domain.replay import Configured
from services.holmesgpt_api.domain.triage import NO_MODEL
from services.holmesgpt_api.engine.wordings import WORDINGS
from services.holmesgpt_api.settings import Settings
from services.holmesgpt_api.steps.advise import Advising
from services.holmesgpt_api.steps.approve import Approving
from services.holmesgpt_api.steps.chat import Chat
from services.holmesgpt_api.steps.chat_wait import TurnWaiting
from services.holmesgpt_api.steps.feedback import Opinions
from services.holmesgpt_api.steps.follow import Following
from services.holmesgpt_api.steps.look import Looking
from services.holmesgpt_api.steps.look_up import LookUp
from services.holmesgpt_api.steps.oversee import Overseer
from services.holmesgpt_api.steps.recall import Recall
from services.holmesgpt_api.steps.rerun import Rerunning
from services.holmesgpt_api.steps.sockets import Sockets
from services.holmesgpt_api.steps.take import Desk
from services.holmesgpt_api.steps.wait import Waiting
from services.holmesgpt_api.wiring.shared import (
    SCHEMA,
    Contexts,
    Ring,
    open_contexts,
    open_database,
    sessions,
    triage,
)


@dataclass(frozen=True)
class Ports:
    """What the routes and the health checks use."""

    desk: Desk
    looking: Looking
    following: Following
    tally: Tally
    rerunning: Rerunning
    opinions: Opinions
    chat: Chat
    sockets: Sockets
    chat_idle: timedelta
    chat_meters: ChatMeters
    database: Database
    contexts: Contexts
    clusters: Clusters
    engines: EngineReports
    overseer: Overseer
    info: ServiceInfo
    max_concurrent: int
    advising: Advising
    recall: Recall
    approving: Approving


@asynccontextmanager
async def serving(
    settings: Settings,
    ring: Ring,
    info: ServiceInfo,
    metrics: Metrics,
    fine: Callable[[], bool],
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> AsyncIterator[Ports]:
    """`stopping`: whether this process is about to end."""
    steering = Steering(settings, await asyncio.to_thread(read, settings))
    async with open_database(settings) as database, open_contexts(settings, ring) as contexts:
        jobs = Jobs(database, service=SCHEMA, settings=settings)
        worker.declare(jobs)
        ledger = PostgresLedger(
            database, jobs, life=settings.investigation_timeout, most_open=settings.investigations
        )
        follow = Following(
            PostgresCourse(database),
            per_process=settings.event_streams,
            per_caller=settings.event_streams_per_caller,
            stopping=stopping,
        )
        overseer = Overseer(
            steering,
            Gatherings(database, role="api"),
            look=True,
            fine=fine,
            observe=Panel(metrics, info.version).seen,
        )
        chats = sessions(settings, database, jobs)
        async with (
            Waiting(ledger) as waiting,
            follow as following,
            TurnWaiting(chats) as turns,
            _overseen(overseer),
        ):
            longest, clusters = settings.sync_answer_timeout, settings.clusters
            desk = Desk(ledger, waiting, longest, lambda: overseer.current.toolsets, clusters)
            replays = PostgresReplays(
                database, jobs, life=settings.investigation_timeout, most_open=settings.investigations
            )
            rerunning = Rerunning(desk, replays, lambda: _configured(overseer.current))
            tally = CourseMeters(metrics)
            opinions = Opinions(desk, PostgresFeedback(database), tally)
            chat = _chat(settings, chats, ledger, contexts, turns, lambda: bool(overseer.current.entries))
            chat_meters = ChatMeters(metrics)
            sockets = Sockets(settings.chat_sockets, observe=chat_meters.sockets)
            yield Ports(
                desk,
                Looking(desk, PostgresUnderway(database)),
                following,
                tally,
                rerunning,
                opinions,
                chat,
                sockets,
                settings.chat_idle,
                chat_meters,
                database,
                contexts,
                clusters,
                EngineReports(database),
                overseer,
                info,
                settings.worker_concurrency,
                Advising(
                    clusters,
                    {address: ContextApi(client) for address, client in contexts.items()},
                    settings.context_api_timeout,
                    longest,
                ),
                Recall(PostgresHistory(database), settings.investigation_retention, longest),
                Approving(desk, PostgresApprovals(database)),
            )


def _configured(current: Current) -> Configured:
    """What replays can be made with."""
    return Configured([one.name for one in current.entries], list(WORDINGS))


def _chat(
    settings: Settings,
    chats: PostgresSessions,
    ledger: PostgresLedger,
    contexts: Contexts,
    turns: TurnWaiting,
    with_model: Callable[[], bool],
) -> Chat:
    engine = triage(settings, contexts, lambda: NO_MODEL)
    return Chat(
        chats,
        ledger,
        LookUp(engine, patience=settings.context_api_timeout),
        turns,
        with_model=with_model,
        clusters=settings.clusters,
        longest=settings.sync_answer_timeout,
        longest_stream=settings.chat_timeout,
    )


@asynccontextmanager
async def _overseen(overseer: Overseer) -> AsyncIterator[None]:
    """It goes on while the block runs; what it has seen is there before the first request."""
    stop = asyncio.Event()
    await overseer.turn()
    task = asyncio.create_task(overseer.run(stop), name="overseer")
    try:
        yield
    finally:
        stop.set()
        await task


def checks(ports: Ports) -> Checks:
    """What /health reports; without the database nothing can be taken."""

    async def llm() -> ComponentHealth:
        if not ports.overseer.current.entries:
            return ComponentHealth(status="not_configured", detail=f"{NO_MODEL}: triage answers")
        return health(*await ports.engines.latest())

    return {
        "database": Check(ports.database.check, critical=True),
        **checks_of(ports.clusters, ports.contexts),
        "llm": Check(llm),
    }
