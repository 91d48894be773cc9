"""The worker: conducts investigations, and asks models where one is configured."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from libs.auth import Authenticator
from libs.jobs import Jobs
from libs.metrics import Metrics
from services.holmesgpt_api import worker
from services.holmesgpt_api.adapters.context import ContextApi
from services.holmesgpt_api.adapters.gatherings import Gatherings
from services.holmesgpt_api.adapters.ledger import PostgresLedger
from services.holmesgpt_api.adapters.meters import Meters
from services.holmesgpt_api.adapters.no_model import NoModelConfigured
from services.holmesgpt_api.adapters.steering import Current, Steering, read
from services.holmesgpt_api.domain.model import STILL_RUNNING
from services.holmesgpt_api.domain.roster import Roster
from services.holmesgpt_api.domain.triage import NO_MODEL, Triage
from services.holmesgpt_api.engine.messages import PROMPT_VERSION
from services.holmesgpt_api.settings import Settings
from services.holmesgpt_api.steps.conduct import Conductor, Keeping
from services.holmesgpt_api.steps.deepen import Deepening
from services.holmesgpt_api.steps.leash import Leash
from services.holmesgpt_api.steps.oversee import Overseer
from services.holmesgpt_api.steps.talk import Talking, Tidying
from services.holmesgpt_api.wiring.engine import asking
from services.holmesgpt_api.wiring.shared import (
    SCHEMA,
    open_context,
    open_database,
    providers,
    sessions,
    together,
)


async def working(settings: Settings, metrics: Metrics, stop: asyncio.Event) -> None:
    """Run investigations until `stop`, and ask a model where one is configured."""
    authenticator = Authenticator.from_settings(settings)
    first = await asyncio.to_thread(read, settings)
    roster, meters = Roster(first.entries), Meters(metrics, providers(first))

    def adopt(current: Current) -> None:
        roster.replace(current.entries)
        meters.models(providers(current))

    steering = Steering(settings, first, adopt=adopt)
    life = settings.investigation_timeout
    async with (
        open_database(settings) as database,
        open_context(settings, lambda: authenticator.ring) as context,
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
        worker.register_chats(jobs, Tidying(sessions(settings, database, jobs)))
        if not roster:
            without = Deepening(ledger, NoModelConfigured(), observe=meters.ended)
            worker.register_model(jobs, without, life=life)
            talking = Talking(sessions(settings, database, jobs), NoModelConfigured())
            worker.register_talks(jobs, talking, life=settings.chat_life)
            overseer = Overseer(steering, Gatherings(database, role="worker"))
            await together(stop, jobs.run_worker(stop), overseer.run(stop))
            return
        model_side = asking(settings, roster, steering, database, ledger, authenticator, meters, leash, stop)
        await together(stop, jobs.run_worker(stop), model_side)


def _keeping(settings: Settings, roster: Roster, meters: Meters) -> Keeping | None:
    if not roster or not settings.result_cache_ttl:
        return None
    return Keeping(
        settings.result_cache_ttl,
        lambda: f"{roster.first.model if roster else NO_MODEL} {PROMPT_VERSION}",
        meters.kept,
    )
