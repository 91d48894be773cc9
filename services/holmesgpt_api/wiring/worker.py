"""The worker: conducts investigations, and asks models where one is configured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.auth import Authenticator
from libs.jobs import Jobs
from libs.metrics import Metrics
from services.holmesgpt_api import worker
from services.holmesgpt_api.adapters.engine_meters import EngineMeters
from services.holmesgpt_api.adapters.gatherings import Gatherings
from services.holmesgpt_api.adapters.history import PostgresHistory
from services.holmesgpt_api.adapters.ledger import PostgresLedger
from services.holmesgpt_api.adapters.line_meters import LineMeters
from services.holmesgpt_api.adapters.meters import Meters
from services.holmesgpt_api.adapters.no_model import NoModelConfigured
from services.holmesgpt_api.adapters.steering import Current, Steering, read
from services.holmesgpt_api.domain.model import STILL_RUNNING
from services.holmesgpt_api.domain.roster import Roster
from services.holmesgpt_api.domain.triage import NO_MODEL
from services.holmesgpt_api.engine.wordings import PROMPT_VERSION
from services.holmesgpt_api.settings import Settings
from services.holmesgpt_api.steps.conduct import Conductor, Keeping
from services.holmesgpt_api.steps.deepen import Deepening
from services.holmesgpt_api.steps.leash import Leash
from services.holmesgpt_api.steps.oversee import Overseer
from services.holmesgpt_api.steps.talk import Talking, Tidying
from services.holmesgpt_api.wiring.engine import asking
from services.holmesgpt_api.wiring.shared import (
    SCHEMA,
    Site,
    open_contexts,
    open_database,
    providers,
    sessions,
    together,
    triage,
)


async def working(settings: Settings, metrics: Metrics, stop: asyncio.Event) -> None:
    """Run investigations until `stop`, and ask a model where one is configured.

    When a reload brings the first model, what is under way ends, and the work goes on with an engine.
    """
    authenticator = Authenticator.from_settings(settings)
    first = await asyncio.to_thread(read, settings)
    roster, meters = Roster(first.entries), Meters(metrics, providers(first))
    appeared = asyncio.Event()

    def adopt(current: Current) -> None:
        roster.replace(current.entries)
        meters.models(providers(current))
        if roster:
            appeared.set()

    steering = Steering(settings, first, adopt=adopt)
    async with (
        open_database(settings) as database,
        open_contexts(settings, lambda: authenticator.ring) as contexts,
    ):
        site = Site(
            settings,
            authenticator,
            database,
            contexts,
            steering,
            roster,
            meters,
            LineMeters(metrics),
            EngineMeters(metrics),
        )
        while not stop.is_set():
            if roster:
                await _with_model(site, stop)
            else:
                appeared.clear()
                await _without_model(site, stop, appeared)


async def _without_model(site: Site, stop: asyncio.Event, appeared: asyncio.Event) -> None:
    """What was held for a model, by whom and whenever, falls back to triage's answer here."""
    over = asyncio.Event()
    async with _conducting(site) as (jobs, ledger, _):
        without = Deepening(ledger, NoModelConfigured(), observe=site.meters.ended)
        worker.register_model(jobs, without, life=site.settings.investigation_timeout)
        talking = Talking(sessions(site.settings, site.database, jobs), NoModelConfigured())
        worker.register_talks(jobs, talking, life=site.settings.chat_life)
        overseer = Overseer(site.steering, Gatherings(site.database, role="worker"))
        await together(over, jobs.run_worker(over), overseer.run(over), _until(over, stop, appeared))


async def _with_model(site: Site, stop: asyncio.Event) -> None:
    async with _conducting(site) as (jobs, ledger, leash):
        await together(stop, jobs.run_worker(stop), asking(site, ledger, leash, stop))


@asynccontextmanager
async def _conducting(site: Site) -> AsyncIterator[tuple[Jobs, PostgresLedger, Leash]]:
    """The jobs of triage, registered and not yet run; what they keep, and what stops runs without a say."""
    settings, roster, meters = site.settings, site.roster, site.meters
    jobs = Jobs(site.database, service=SCHEMA, settings=settings, observe=meters.job)
    ledger = PostgresLedger(site.database, jobs, life=settings.investigation_timeout)
    async with Leash(ledger) as leash:
        conductor = Conductor(
            ledger,
            triage(settings, site.contexts, lambda: STILL_RUNNING if roster else NO_MODEL),
            retention=settings.investigation_retention,
            then_ask_a_model=bool(roster),
            keeping=_keeping(settings, roster, meters),
            history=PostgresHistory(site.database),
            clusters=settings.clusters,
            on_leash=leash.on,
            observe=meters.ended,
        )
        worker.register(jobs, conductor, life=settings.investigation_timeout)
        worker.register_chats(jobs, Tidying(sessions(settings, site.database, jobs)))
        yield jobs, ledger, leash


def _keeping(settings: Settings, roster: Roster, meters: Meters) -> Keeping | None:
    if not roster or not settings.result_cache_ttl:
        return None
    return Keeping(
        settings.result_cache_ttl,
        lambda: f"{roster.first.model if roster else NO_MODEL} {PROMPT_VERSION}",
        meters.kept,
    )


async def _until(over: asyncio.Event, *either: asyncio.Event) -> None:
    """Set `over` when one of these is, or it was set by others."""
    waits = [asyncio.create_task(one.wait()) for one in (over, *either)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        over.set()
        for wait in waits:
            wait.cancel()
