"""Builds what the routes and the jobs work with, and closes it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
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
from libs.web import Check, Checks
from services.holmesgpt_api import worker
from services.holmesgpt_api.adapters.context import ContextApi
from services.holmesgpt_api.adapters.engine_reports import EngineReports, Reporter
from services.holmesgpt_api.adapters.history import PostgresHistory
from services.holmesgpt_api.adapters.holmes import Holmes
from services.holmesgpt_api.adapters.ledger import PostgresLedger
from services.holmesgpt_api.adapters.memory import limit
from services.holmesgpt_api.adapters.meters import Meters
from services.holmesgpt_api.adapters.model_access import model_access
from services.holmesgpt_api.adapters.no_model import NoModelConfigured
from services.holmesgpt_api.adapters.steps import PostgresSteps
from services.holmesgpt_api.adapters.zygote import Zygote, environment
from services.holmesgpt_api.domain.capacity import max_running
from services.holmesgpt_api.domain.engine_health import Report, health
from services.holmesgpt_api.domain.model import STILL_RUNNING
from services.holmesgpt_api.domain.record import Asked, Claimed
from services.holmesgpt_api.domain.triage import NO_MODEL, Triage
from services.holmesgpt_api.engine.messages import ModelAccess
from services.holmesgpt_api.settings import Settings
from services.holmesgpt_api.steps.advise import Advising
from services.holmesgpt_api.steps.conduct import Conductor
from services.holmesgpt_api.steps.deepen import Deepening
from services.holmesgpt_api.steps.recall import Recall
from services.holmesgpt_api.steps.take import Desk
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
    database: Database
    context: ContextClient
    engines: EngineReports
    model: str | None
    advising: Advising
    recall: Recall


@asynccontextmanager
async def serving(settings: Settings, ring: Ring) -> AsyncIterator[Ports]:
    """For the API: takes investigations, and runs none."""
    async with _database(settings) as database, _context(settings, ring) as context:
        jobs = Jobs(database, service=SCHEMA, settings=settings)
        worker.declare(jobs)
        ledger = PostgresLedger(database, jobs, life=settings.investigation_timeout)
        async with Waiting(ledger) as waiting:
            desk = Desk(ledger, waiting, settings.sync_answer_timeout)
            advising = Advising(
                ContextApi(context), settings.context_api_timeout, settings.sync_answer_timeout
            )
            recall = Recall(PostgresHistory(database), settings.investigation_retention)
            engines = EngineReports(database)
            yield Ports(desk, database, context, engines, settings.llm_model, advising, recall)


async def working(settings: Settings, metrics: Metrics, stop: asyncio.Event) -> None:
    """For the worker: runs investigations until `stop`, and asks a model where one is configured."""
    authenticator = Authenticator.from_settings(settings)
    meters = Meters(metrics)
    access = model_access(settings)
    life = settings.investigation_timeout
    async with (
        _database(settings) as database,
        _context(settings, lambda: authenticator.ring) as context,
    ):
        jobs = Jobs(database, service=SCHEMA, settings=settings, observe=meters.job)
        ledger = PostgresLedger(database, jobs, life=life)
        conductor = Conductor(
            ledger,
            Triage(
                ContextApi(context),
                patience=settings.context_api_timeout,
                degraded_reason=lambda: STILL_RUNNING if access else NO_MODEL,
            ),
            retention=settings.investigation_retention,
            then_ask_a_model=access is not None,
            observe=meters.ended,
        )
        worker.register(jobs, conductor, life=life)
        if access is None:
            without = Deepening(ledger, NoModelConfigured(), observe=meters.ended)
            worker.register_model(jobs, without, life=life)
            await jobs.run_worker(stop)
            return
        asking = _asking(settings, access, database, ledger, authenticator, meters, stop)
        await _together(stop, jobs.run_worker(stop), asking)


async def _asking(
    settings: Settings,
    access: ModelAccess,
    database: Database,
    ledger: PostgresLedger,
    authenticator: Authenticator,
    meters: Meters,
    stop: asyncio.Event,
) -> None:
    """The engine, its reports, and the worker whose jobs wait for it."""
    memory = await asyncio.to_thread(limit)
    places = settings.max_running or max_running(memory)
    with TemporaryDirectory(prefix="holmesgpt-") as home:
        zygote = Zygote(
            ROOT / settings.engine_python,
            environment=environment(settings.engine_sees(), home=Path(home), base_url=access.api_base),
            directory=ROOT,
            start_within=settings.engine_start_timeout,
            on_change=lambda state: reporter.changed(),
        )

        def report() -> Report:
            meters.load(zygote.running, places)
            return Report(access.model, zygote.state.word, zygote.state.detail, zygote.running, places)

        reporter = Reporter(database, report)
        minter = TokenMinter(lambda: authenticator.ring, service=SERVICE)

        def mint(run: Claimed, left: timedelta) -> str:
            return minter.mint_for_run(
                run.id, caller=run.asker, tenant=run.tenant, namespaces=run.reads, left=left
            )

        def asked(one: Asked) -> None:
            meters.asked(one)
            reporter.ended(one.outcome)

        holmes = Holmes(
            zygote,
            access,
            context_url=str(settings.context_api_url),
            mint=mint,
            steps=PostgresSteps(database),
            max_steps=settings.max_steps,
            tool_timeout=settings.context_api_timeout,
            start_within=settings.engine_start_timeout,
        )
        own = settings.model_copy(update={"worker_concurrency": places})
        jobs = Jobs(database, service=SCHEMA, settings=own, observe=meters.job)
        deepening = Deepening(ledger, holmes, observe=meters.ended, observe_model=asked)
        worker.register_model(jobs, deepening, life=settings.investigation_timeout)
        # The engine ends after the jobs that use it, which may finish their runs when a stop is asked for.
        over = asyncio.Event()
        engine = asyncio.create_task(_together(over, zygote.run(over), reporter.run(over)))
        engine.add_done_callback(
            lambda _: stop.set()
        )  # a mistake of ours ended it: this process is begun anew
        try:
            await jobs.run_worker(stop)
        finally:
            over.set()
            await engine


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
        if ports.model is None:
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
