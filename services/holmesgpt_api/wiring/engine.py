"""The engine, what its runs need, and the jobs that wait for it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from libs.auth import TokenMinter
from libs.jobs import Jobs
from libs.storage.few import Few
from services.holmesgpt_api import worker
from services.holmesgpt_api.adapters.agency import Agency
from services.holmesgpt_api.adapters.engine_environment import environment, residents
from services.holmesgpt_api.adapters.engine_reports import Reporter
from services.holmesgpt_api.adapters.gatherings import Gatherings
from services.holmesgpt_api.adapters.holmes import Holmes
from services.holmesgpt_api.adapters.holmes_chat import HolmesTalker
from services.holmesgpt_api.adapters.ledger import PostgresLedger
from services.holmesgpt_api.adapters.memory import limit
from services.holmesgpt_api.adapters.meters import CHAT, INVESTIGATION, PROBE
from services.holmesgpt_api.adapters.purse import PostgresPurse
from services.holmesgpt_api.adapters.steps import INVESTIGATIONS, QUESTIONS, PostgresSteps
from services.holmesgpt_api.adapters.zygote import Zygote
from services.holmesgpt_api.domain.capacity import max_running
from services.holmesgpt_api.domain.chat.session import TakenTurn
from services.holmesgpt_api.domain.engine_health import Report, with_alert
from services.holmesgpt_api.domain.record import Asked, Claimed
from services.holmesgpt_api.domain.triage import NO_MODEL
from services.holmesgpt_api.engine.messages import Confinement, ModelAccess
from services.holmesgpt_api.steps.deepen import Deepening
from services.holmesgpt_api.steps.leash import Leash
from services.holmesgpt_api.steps.oversee import Conclusions, Overseer
from services.holmesgpt_api.steps.probe import Probing
from services.holmesgpt_api.steps.talk import Talking
from services.holmesgpt_api.wiring.shared import ROOT, SCHEMA, SERVICE, Site, sessions, together


async def asking(site: Site, ledger: PostgresLedger, leash: Leash, stop: asyncio.Event) -> None:
    """The engine, its reports, and the worker whose jobs wait for it."""
    settings, roster, steering = site.settings, site.roster, site.steering
    database, authenticator, meters = site.database, site.authenticator, site.meters
    engine_meters = site.engine
    memory = await asyncio.to_thread(limit)
    places = settings.max_running or max_running(memory)
    with TemporaryDirectory(prefix="holmesgpt-") as home:
        zygote = Zygote(
            ROOT / settings.engine_python,
            environment=environment(
                settings.engine_sees(),
                home=Path(home),
                base_url=roster.first.api_base if roster else None,
            ),
            directory=ROOT,
            start_within=settings.engine_start_timeout,
            on_change=lambda state: reporter.changed(),
            residents=residents(settings, places, engine_meters.retired),
            confinement=Confinement(mode=settings.engine_confinement, ports=settings.engine_ports),
        )

        def report() -> Report:
            meters.load(zygote.running, places)
            word, detail = zygote.state.word, zygote.state.detail
            if engine_meters.look(zygote) and word == "ready":
                detail = with_alert(detail, memory=settings.engine_child_memory)
            model = roster.first.model if roster else NO_MODEL
            return Report(model, word, detail, zygote.running, places)

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
            clusters=settings.clusters,
            context_ca_file=settings.peer_ca_file,
            mint=mint,
            steps=PostgresSteps(database, INVESTIGATIONS),
            max_steps=settings.max_steps,
            tool_timeout=settings.context_api_timeout,
            start_within=settings.engine_start_timeout,
            observe=partial(meters.model_asked, INVESTIGATION),
            observe_probe=partial(meters.model_asked, PROBE),
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
            clusters=settings.clusters,
            context_ca_file=settings.peer_ca_file,
            mint=mint_for_turn,
            steps=PostgresSteps(Few(database), QUESTIONS),
            max_steps=settings.max_steps,
            tool_timeout=settings.context_api_timeout,
            start_within=settings.engine_start_timeout,
            observe=partial(meters.model_asked, CHAT),
            purse=purse,
            limits=lambda: steering.current.limits,
        )
        own = settings.model_copy(update={"worker_concurrency": places})
        jobs = Jobs(database, service=SCHEMA, settings=own, observe=meters.job)
        deepening = Deepening(
            ledger,
            holmes,
            on_leash=leash.on,
            observe=meters.ended,
            observe_model=asked,
            observe_turn=site.turns.turn,
        )
        worker.register_model(jobs, deepening, life=settings.investigation_timeout)
        talking = Talking(sessions(settings, database, jobs), talker, observe_model=asked)
        worker.register_talks(jobs, talking, life=settings.chat_life)
        # The engine ends after the jobs that use it, which may finish their runs when a stop is asked for.
        over = asyncio.Event()
        engine = asyncio.create_task(
            together(
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
