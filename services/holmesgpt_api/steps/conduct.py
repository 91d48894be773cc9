"""Conduct an investigation: what a job does with it. Called again after every crash and every pause.

Where a model is configured, this is the first half: triage's verdict is kept as the interim one and the
investigation is put in the queue for a place at the model (`deepen.py`).

An investigation ends once. That is the ledger's promise (an ended row never changes, and a later run
takes the say from an earlier one); here it is only asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.clusters import ONE_FOR_ALL, UNKNOWN_CLUSTER, Clusters
from services.holmesgpt_api.domain.course import Happening
from services.holmesgpt_api.domain.errors import Impossible, NotNow
from services.holmesgpt_api.domain.history import before
from services.holmesgpt_api.domain.keeping import evidence_key
from services.holmesgpt_api.domain.model import NOT_ASKED
from services.holmesgpt_api.domain.opinion import fall_back
from services.holmesgpt_api.domain.ports import Engine, History, Ledger, ReportProgress
from services.holmesgpt_api.domain.record import Claimed, End
from services.holmesgpt_api.domain.triage import namespaces_in
from services.holmesgpt_api.domain.verdict import Verdict
from services.holmesgpt_api.steps.leash import LostSay, OnLeash, unwatched

_log = logging.getLogger(__name__)

LOOKED_AT = 100
"""Earlier investigations of the same alert, the newest first."""

CLEANED_AT_ONCE = 100
"""Old rows deleted per ended deadline: each investigation removes more than itself, so none pile up."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long a model's verdict answers the same question on the same evidence."""

    ttl: timedelta
    asked_of: Callable[[], str]
    """The model and the version of the prompt: another one is asked anew."""
    observe: Callable[[bool], None] = lambda _: None
    """Told of every look, whether something was kept."""


class Conductor:
    """Runs investigations with triage."""

    def __init__(
        self,
        ledger: Ledger,
        engine: Engine,
        *,
        retention: timedelta,
        then_ask_a_model: bool = False,
        keeping: Keeping | None = None,
        history: History | None = None,
        clusters: Clusters = ONE_FOR_ALL,
        on_leash: OnLeash = unwatched,
        observe: Callable[[End], None] = lambda _: None,
    ) -> None:
        self._ledger, self._engine, self._then_ask_a_model = ledger, engine, then_ask_a_model
        self._keeping, self._history, self._clusters = keeping, history, clusters
        self._retention, self._on_leash, self._observe = retention, on_leash, observe

    async def conduct(self, investigation_id: str) -> None:
        """Run it to its end.

        Raises:
            NotNow: something the engine needs is away; call again later.
            StorageUnavailable: the same.
        """
        run = await self._ledger.claim(investigation_id)
        if run is None:
            return
        if run.time_left <= timedelta(0):
            await self.expire(investigation_id)
            return
        try:
            async with self._on_leash(run), asyncio.timeout(run.time_left.total_seconds()):
                # Of a replay the evidence is frozen, and triage has concluded from it before.
                verdict = run.frozen or await self._concluded(run)
        except TimeoutError:
            await self.expire(investigation_id)
        except LostSay as lost:
            _log.info("investigation %s: %s", run.id, lost)
        except NotNow as error:
            # At once, so that a caller who asks meanwhile is told what it is that the run waits for.
            await self._ledger.trouble(run, code=error.code, detail=error.detail)
            raise
        except StorageUnavailable:
            raise
        except Impossible as error:
            await self._give_up(run, error.code, error.detail)
        except Exception as error:
            # A mistake of ours: it would fail the same way each time, and its caller should know now.
            _log.exception("investigation %s", investigation_id)
            await self._give_up(run, "internal-error", f"The engine failed ({type(error).__name__}).")
        else:
            await self._conclude(run, verdict)

    async def expire(self, investigation_id: str) -> None:
        """End what has not ended by its deadline. Does nothing before it, or after the end."""
        record = await self._ledger.expire(investigation_id)
        if record is None:
            return
        if record.failure is not None:
            _log.warning("investigation %s: %s", record.id, record.failure.error)
            self._observe(End(self._engine.name, record.failure.code, record.duration))
        elif record.verdict is not None:
            _log.warning("investigation %s: %s", record.id, record.verdict.degraded_detail)
            self._observe(End(record.verdict.engine, outcome(record.verdict), record.duration))

    async def clean(self) -> None:
        """Delete what is older than it is kept."""
        await self._ledger.forget(older_than=self._retention, at_most=CLEANED_AT_ONCE)

    def _reporting(self, run: Claimed) -> ReportProgress:
        async def report(progress: int, stage: str, happened: Happening | None = None, /) -> None:
            await self._ledger.note(run, progress=progress, stage=stage, happened=happened)

        return report

    async def _concluded(self, run: Claimed) -> Verdict:
        """Triage's verdict; with what was found before, where the caller wants that looked at too."""
        verdict = await self._engine.run(run, self._reporting(run))
        if self._history is None or not run.request.include_history:
            return verdict
        name = run.request.alert_name
        past = await self._history.like(
            "alert", name, tenant=run.tenant, within=self._retention, at_most=LOOKED_AT
        )
        seen, place = namespaces_in(verdict) | set(run.seen), self._clusters.route(run.request).place
        # A namespace of another cluster may have the same name, and what was at fault there is no hint here.
        past = [one for one in past if self._clusters.of(one.cluster).place == place]
        history = before(past, alert_name=name, id_=run.id, seen=seen)
        return verdict.model_copy(update={"context_used": {**verdict.context_used, "history": history}})

    async def _conclude(self, run: Claimed, verdict: Verdict) -> None:
        seen = namespaces_in(verdict) | set(run.seen)
        by_triage = run.replay is not None and run.replay.engine == self._engine.name
        if self._then_ask_a_model and verdict.results.target is not None and not by_triage:
            key = self._key(run, verdict)
            known = await self._known(run, key)
            if known is None:
                await self._ledger.hold(run, verdict, seen, evidence_key=key)
                return
            interim, verdict = verdict, known
            seen |= namespaces_in(verdict)
        else:
            interim = None
        said = verdict.degraded_reason == UNKNOWN_CLUSTER  # why there is nothing to ask a model about
        if self._then_ask_a_model and not by_triage and interim is None and not said:
            verdict = fall_back(verdict, NOT_ASKED, "the alert names no object to begin with")
        if not await self._ledger.conclude(run, verdict, seen, interim=interim):
            _log.info("investigation %s: a later run has the say", run.id)
            return
        if said:  # for an operator: only they can name the cluster, and no request has failed
            _log.warning("investigation %s: %s", run.id, verdict.degraded_detail)
        self._observe(End(verdict.engine, outcome(verdict), run.age))

    def _key(self, run: Claimed, verdict: Verdict) -> bytes | None:
        """Under which the model's verdict is kept. A replay wants the model's word of now."""
        if self._keeping is None or run.replay is not None:
            return None
        place = self._clusters.route(run.request).place
        return evidence_key(run, verdict, asked_of=self._keeping.asked_of(), place=place)

    async def _known(self, run: Claimed, key: bytes | None) -> Verdict | None:
        if self._keeping is None or key is None:
            return None
        known = await self._ledger.remembered(key, tenant=run.tenant, not_older_than=self._keeping.ttl)
        self._keeping.observe(known is not None)
        return known

    async def _give_up(self, run: Claimed, code: str, error: str) -> None:
        if await self._ledger.give_up(run, code=code, error=error):
            _log.warning("investigation %s failed: %s: %s", run.id, code, error)
            self._observe(End(self._engine.name, code, run.age))


def outcome(verdict: Verdict) -> str:
    """As it is counted."""
    if verdict.results.cause is not None:
        return "cause"
    # Completed for the caller's sake; but nothing was looked at, and whoever is on call should hear of it.
    return UNKNOWN_CLUSTER if verdict.degraded_reason == UNKNOWN_CLUSTER else "no-cause"
