"""Builds what the routes and the jobs work with, and closes it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from libs.auth import Authenticator, KeyRing, TokenMinter
from libs.auth.principal import DEFAULT_TENANT
from libs.clients import Breaker, ContextClient
from libs.contracts.health import ComponentHealth
from libs.jobs import Jobs
from libs.metrics import Metrics
from libs.storage import Database, migrate
from libs.web import Check, Checks, ServiceInfo
from services.holmesgpt_api import worker
from services.holmesgpt_api.adapters.agency import Agency
from services.holmesgpt_api.adapters.approvals import PostgresApprovals
from services.holmesgpt_api.adapters.chat_meters import ChatMeters
from services.holmesgpt_api.adapters.chat_sessions import Limits, PostgresSessions
from services.holmesgpt_api.adapters.context import ContextApi
from services.holmesgpt_api.adapters.course import PostgresCourse
from services.holmesgpt_api.adapters.course_meters import CourseMeters
from services.holmesgpt_api.adapters.engine_reports import EngineReports, Reporter
from services.holmesgpt_api.adapters.feedback import PostgresFeedback
from services.holmesgpt_api.adapters.gatherings import Gatherings
from services.holmesgpt_api.adapters.history import PostgresHistory
from services.holmesgpt_api.adapters.holmes import Holmes
from services.holmesgpt_api.adapters.holmes_chat import HolmesTalker
from services.holmesgpt_api.adapters.ledger import PostgresLedger
from services.holmesgpt_api.adapters.memory import limit
from services.holmesgpt_api.adapters.meters import Meters
from services.holmesgpt_api.adapters.no_model import NoModelConfigured
from services.holmesgpt_api.adapters.panel import Panel
from services.holmesgpt_api.adapters.purse import PostgresPurse
from services.holmesgpt_api.adapters.replays import PostgresReplays
from services.holmesgpt_api.adapters.steering import Current, Steering, read
from services.holmesgpt_api.adapters.steps import PostgresSteps
from services.holmesgpt_api.adapters.zygote import Zygote, environment
from services.holmesgpt_api.domain.capacity import max_running
from services.holmesgpt_api.domain.chat.session import TakenTurn
from services.holmesgpt_api.domain.engine_health import Report, health
from services.holmesgpt_api.domain.model import STILL_RUNNING
from services.holmesgpt_api.domain.ports import Tally
from services.holmesgpt_api.domain.record import Asked, Claimed
from services.holmesgpt_api.domain.replay import Configured
from services.holmesgpt_api.domain.roster import Roster
from services.holmesgpt_api.domain.triage import NO_MODEL, Triage
from services.holmesgpt_api.engine.messages import PROMPT_VERSION, ModelAccess
from services.holmesgpt_api.settings import Settings
from services.holmesgpt_api.steps.advise import Advising
from services.holmesgpt_api.steps.approve import Approving
from services.holmesgpt_api.steps.chat import Chat
from services.holmesgpt_api.steps.chat_wait import TurnWaiting
from services.holmesgpt_api.steps.conduct import Conductor, Keeping
from services.holmesgpt_api.steps.deepen import Deepening
from services.holmesgpt_api.steps.feedback import Opinions
from services.holmesgpt_api.steps.follow import Following
from services.holmesgpt_api.steps.leash import Leash
from services.holmesgpt_api.steps.look_up import LookUp
from services.holmesgpt_api.steps.oversee import Conclusions, Overseer
from services.holmesgpt_api.steps.probe import Probing
from services.holmesgpt_api.steps.recall import Recall
from services.holmesgpt_api.steps.rerun import Rerunning
from services.holmesgpt_api.steps.sockets import Sockets
from services.holmesgpt_api.steps.take import Desk
from services.holmesgpt_api.steps.talk import Talking, Tidying
from services.holmesgpt_api.steps.wait import Waiting

SCHEMA = "holmesgpt_api"
SERVICE = "holmesgpt-api"

ROOT = Path(__file__).resolve().parents[2]
"""Where this installation lies; the engine imports its part of it from there."""

Ring = Callable[[], KeyRing | None]

_BORNE_AGAIN_AFTER = timedelta(seconds=5)
"""How long a failing Context API is left alone. Short, since runs come back with growing waits of their own."""


@dataclass(frozen=True)
class Ports:
    """What the routes and the health checks use."""

    desk: Desk
    following: Following
    tally: Tally
    rerunning: Rerunning
    opinions: Opinions
    chat: Chat
    sockets: Sockets
    chat_idle: timedelta
    chat_meters: ChatMeters
    database: Database
    context: ContextClient
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
    """For the API: takes investigations, and runs none. `stopping`: whether this process is about to end."""
    steering = Steering(settings, await asyncio.to_thread(read, settings))
    async with _database(settings) as database, _context(settings, ring) as context:
        jobs = Jobs(database, service=SCHEMA, settings=settings)
        worker.declare(jobs)
        ledger = PostgresLedger(database, jobs, life=settings.investigation_timeout)
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
        sessions = _sessions(settings, database, jobs)
        async with (
            Waiting(ledger) as waiting,
            follow as following,
            TurnWaiting(sessions) as turns,
            _overseen(overseer),
        ):
            desk = Desk(ledger, waiting, settings.sync_answer_timeout, lambda: overseer.current.toolsets)
            replays = PostgresReplays(database, jobs, life=settings.investigation_timeout)
            rerunning = Rerunning(desk, replays, lambda: _configured(overseer.current))
            tally = CourseMeters(metrics)
            opinions = Opinions(desk, PostgresFeedback(database), tally)
            chat = _chat(settings, sessions, ledger, context, turns, lambda: bool(overseer.current.entries))
            chat_meters = ChatMeters(metrics)
            sockets = Sockets(settings.chat_sockets, observe=chat_meters.sockets)
            yield Ports(
                desk,
                following,
                tally,
                rerunning,
                opinions,
                chat,
                sockets,
                settings.chat_idle,
                chat_meters,
                database,
                context,
                EngineReports(database),
                overseer,
                info,
                settings.worker_concurrency,
                Advising(ContextApi(context), settings.context_api_timeout, settings.sync_answer_timeout),
                Recall(PostgresHistory(database), settings.investigation_retention),
                Approving(desk, PostgresApprovals(database)),
            )


def _configured(current: Current) -> Configured:
    """What replays can be made with."""
    return Configured([one.name for one in current.entries], [PROMPT_VERSION])


def _keeping(settings: Settings, roster: Roster, meters: Meters) -> Keeping | None:
    if not roster or not settings.result_cache_ttl:
        return None
    return Keeping(
        settings.result_cache_ttl,
        lambda: f"{roster.first.model if roster else NO_MODEL} {PROMPT_VERSION}",
        meters.kept,
    )


def _sessions(settings: Settings, database: Database, jobs: Jobs) -> PostgresSessions:
    limits = Limits(sessions=settings.chat_sessions, questions=settings.chat_questions)
    return PostgresSessions(database, jobs, idle=settings.chat_idle, limits=limits)


def _chat(
    settings: Settings,
    sessions: PostgresSessions,
    ledger: PostgresLedger,
    context: ContextClient,
    turns: TurnWaiting,
    with_model: Callable[[], bool],
) -> Chat:
    patience = settings.context_api_timeout
    triage = Triage(ContextApi(context), patience=patience)
    return Chat(
        sessions,
        ledger,
        LookUp(triage, patience=patience),
        turns,
        with_model=with_model,
        longest=settings.sync_answer_timeout,
        longest_stream=settings.chat_timeout,
    )


async def working(settings: Settings, metrics: Metrics, stop: asyncio.Event) -> None:
    """For the worker: runs investigations until `stop`, and asks a model where one is configured."""
    authenticator = Authenticator.from_settings(settings)
    first = await asyncio.to_thread(read, settings)
    roster, meters = Roster(first.entries), Meters(metrics, _providers(first))

    def adopt(current: Current) -> None:
        roster.replace(current.entries)
        meters.models(_providers(current))

    steering = Steering(settings, first, adopt=adopt)
    life = settings.investigation_timeout
    async with (
        _database(settings) as database,
        _context(settings, lambda: authenticator.ring) as context,
        AsyncExitStack() as stack,
    ):
        jobs = Jobs(database, service=SCHEMA, settings=settings, observe=meters.job)
        ledger = PostgresLedger(database, jobs, life=life)
        leash = await stack.enter_async_context(Leash(ledger))
        conductor = Conductor(
            ledger,
            Triage(
                ContextApi(context),
                patience=settings.context_api_timeout,
                degraded_reason=lambda: STILL_RUNNING if roster else NO_MODEL,
            ),
            retention=settings.investigation_retention,
            then_ask_a_model=bool(roster),
            keeping=_keeping(settings, roster, meters),
            on_leash=leash.on,
            observe=meters.ended,
        )
        worker.register(jobs, conductor, life=life)
        worker.register_chats(jobs, Tidying(_sessions(settings, database, jobs)))
        if not roster:
            without = Deepening(ledger, NoModelConfigured(), observe=meters.ended)
            worker.register_model(jobs, without, life=life)
            talking = Talking(_sessions(settings, database, jobs), NoModelConfigured())
            worker.register_talks(jobs, talking, life=settings.chat_life)
            overseer = Overseer(steering, Gatherings(database, role="worker"))
            await _together(stop, jobs.run_worker(stop), overseer.run(stop))
            return
        asking = _asking(settings, roster, steering, database, ledger, authenticator, meters, leash, stop)
        await _together(stop, jobs.run_worker(stop), asking)


async def _asking(
    settings: Settings,
    roster: Roster,
    steering: Steering,
    database: Database,
    ledger: PostgresLedger,
    authenticator: Authenticator,
    meters: Meters,
    leash: Leash,
    stop: asyncio.Event,
) -> None:
    """The engine, its reports, and the worker whose jobs wait for it."""
    memory = await asyncio.to_thread(limit)
    places = settings.max_running or max_running(memory)
    with TemporaryDirectory(prefix="holmesgpt-") as home:
        zygote = Zygote(
            ROOT / settings.engine_python,
            environment=environment(settings.engine_sees(), home=Path(home), base_url=roster.first.api_base),
            directory=ROOT,
            start_within=settings.engine_start_timeout,
            on_change=lambda state: reporter.changed(),
        )

        def report() -> Report:
            meters.load(zygote.running, places)
            return Report(
                roster.first.model if roster else NO_MODEL,
                zygote.state.word,
                zygote.state.detail,
                zygote.running,
                places,
            )

        reporter, conclusions = Reporter(database, report), Conclusions()
        overseer = Overseer(
            steering, Gatherings(database, role="worker"), roster=roster, conclusions=conclusions
        )
        minter = TokenMinter(lambda: authenticator.ring, service=SERVICE)

        def mint(run: Claimed, left: timedelta) -> str:
            return minter.mint_for_run(
                run.id, caller=run.asker, tenant=run.tenant, namespaces=run.reads, left=left
            )

        def asked(one: Asked) -> None:
            meters.asked(one)
            conclusions.asked(one)
            reporter.ended(one.outcome)

        agency = Agency(settings, database, lambda: steering.current.toolsets, meters.abroad)
        purse = PostgresPurse(database, retention=settings.investigation_retention)
        holmes = Holmes(
            zygote,
            roster,
            context_url=str(settings.context_api_url),
            mint=mint,
            steps=PostgresSteps(database),
            max_steps=settings.max_steps,
            tool_timeout=settings.context_api_timeout,
            start_within=settings.engine_start_timeout,
            observe=meters.model_asked,
            purse=purse,
            limits=lambda: steering.current.limits,
            toolsets=lambda: steering.current.toolsets,
            go_abroad=agency.go,
        )

        async def probe(model: ModelAccess) -> None:
            await holmes.probe(model, within=settings.llm_timeout)

        probing = Probing(
            roster, probe, every=settings.llm_probe_interval, wanted=lambda: overseer.monitoring
        )

        def mint_for_turn(taken: TakenTurn, left: timedelta) -> str:
            asker = taken.owner
            return minter.mint_for_run(
                taken.id, caller=asker.name, tenant=asker.tenant, namespaces=taken.reads, left=left
            )

        talker = HolmesTalker(
            zygote,
            roster,
            context_url=str(settings.context_api_url),
            mint=mint_for_turn,
            max_steps=settings.max_steps,
            tool_timeout=settings.context_api_timeout,
            start_within=settings.engine_start_timeout,
            observe=meters.model_asked,
            purse=purse,
            limits=lambda: steering.current.limits,
        )
        own = settings.model_copy(update={"worker_concurrency": places})
        jobs = Jobs(database, service=SCHEMA, settings=own, observe=meters.job)
        deepening = Deepening(ledger, holmes, on_leash=leash.on, observe=meters.ended, observe_model=asked)
        worker.register_model(jobs, deepening, life=settings.investigation_timeout)
        talking = Talking(_sessions(settings, database, jobs), talker, observe_model=asked)
        worker.register_talks(jobs, talking, life=settings.chat_life)
        # The engine ends after the jobs that use it, which may finish their runs when a stop is asked for.
        over = asyncio.Event()
        engine = asyncio.create_task(
            _together(
                over,
                zygote.run(over),
                reporter.run(over),
                probing.run(over),
                overseer.run(over),
                agency.run(over),
            )
        )
        engine.add_done_callback(
            lambda _: stop.set()
        )  # a mistake of ours ended it: this process is begun anew
        try:
            await jobs.run_worker(stop)
        finally:
            over.set()
            await engine


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


def _providers(current: Current) -> dict[str, str]:
    return {one.name: one.provider for one in current.entries}


async def _together(stop: asyncio.Event, *parts: Coroutine[None, None, None]) -> None:
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


def checks(ports: Ports) -> Checks:
    """What /health reports; without the database nothing can be taken."""

    async def context_api() -> None:
        await ports.context.health(tenant=DEFAULT_TENANT, deadline=timedelta(seconds=2))

    async def llm() -> ComponentHealth:
        if not ports.overseer.current.entries:
            return ComponentHealth(status="not_configured", detail=f"{NO_MODEL}: triage answers")
        return health(*await ports.engines.latest())

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
