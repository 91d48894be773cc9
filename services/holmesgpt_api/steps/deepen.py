"""Deepen an investigation: ask a model, with triage's verdict at hand if that comes to nothing.

The second half of one where a model is configured. Whatever the model does, the investigation ends by its
deadline, completed, with the model's verdict or with triage's and a stable word for why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.course import Happening
from services.holmesgpt_api.domain.model import CONCLUDED, ENGINE_FAILED, TIMEOUT, ModelFailed
from services.holmesgpt_api.domain.opinion import conclude, fall_back
from services.holmesgpt_api.domain.ports import Held, Ledger, Model
from services.holmesgpt_api.domain.record import Asked, End
from services.holmesgpt_api.domain.triage import namespaces_in
from services.holmesgpt_api.domain.verdict import Verdict
from services.holmesgpt_api.steps.conduct import outcome
from services.holmesgpt_api.steps.leash import LostSay, OnLeash, unwatched

_log = logging.getLogger(__name__)

MARGIN = timedelta(seconds=2)
"""Kept back of the investigation's time for writing its end down."""

LEAST = timedelta(seconds=3)
"""With less than this left a model is not asked any more: it could not even answer."""

AGAIN = 0.5
"""Seconds between two tries to write an end down. What a model has answered is not asked for twice."""


class Deepening:
    def __init__(
        self,
        ledger: Ledger,
        model: Model,
        *,
        on_leash: OnLeash = unwatched,
        observe: Callable[[End], None] = lambda _: None,
        observe_model: Callable[[Asked], None] = lambda _: None,
        observe_turn: Callable[[Held], None] = lambda _: None,
    ) -> None:
        """`observe_turn`: hears of each whose turn it is, not of those that go on after a crash."""
        self._observe_turn = observe_turn
        self._ledger, self._model, self._on_leash = ledger, model, on_leash
        self._observe, self._observe_model = observe, observe_model

    async def deepen(self, token: int, named: str) -> None:
        """Ask about the one whose turn it is.

        Args:
            token, named: see `Ledger.take_next`.

        Raises:
            StorageUnavailable: call again later.
        """
        held = await self._ledger.take_next(token, named=named)
        if held is None:
            return
        if held.why is not None:
            self._observe_turn(held)
        async with asyncio.timeout(max(held.run.time_left.total_seconds(), 0.0) + 1.0):
            try:
                async with self._on_leash(held.run):
                    verdict = await self._verdict(held)
            except LostSay as lost:
                _log.info("investigation %s: %s", held.run.id, lost)
                return
            await self._end(held, verdict)

    async def _verdict(self, held: Held) -> Verdict:
        run, interim = held.run, held.interim
        within = run.time_left - MARGIN
        if within < LEAST:
            return fall_back(interim, TIMEOUT, "its turn at the model came too late")

        async def report(progress: int, stage: str, happened: Happening | None = None, /) -> None:
            try:
                await self._ledger.note(run, progress=progress, stage=stage, happened=happened)
            except StorageUnavailable as error:
                # How far a run is, is worth less than the run: broken off, it would be paid for twice.
                _log.info("no progress noted for %s: %s", run.id, error)

        try:
            told = await self._model.ask(run, interim, within=within, report_progress=report)
            # Looking every claim up takes a while where much was shown; others' runs go on meanwhile.
            verdict = await asyncio.to_thread(conclude, told, interim, run)
        except ModelFailed as failed:
            _log.warning("investigation %s: %s: %s", run.id, failed.word, failed.detail)
            verdict = fall_back(interim, failed.word, failed.detail, failed.use)
        except Exception as error:
            # A mistake of ours must not cost the caller the result that is there.
            _log.exception("investigation %s: the model's part", run.id)
            verdict = fall_back(interim, ENGINE_FAILED, type(error).__name__)
        self._observe_model(Asked(verdict.degraded_reason or CONCLUDED, verdict.model))
        return verdict

    async def _end(self, held: Held, verdict: Verdict) -> None:
        seen = namespaces_in(verdict) | set(held.run.seen)
        while True:
            try:
                ended = await self._ledger.conclude(held.run, verdict, seen)
            except StorageUnavailable as error:
                _log.info("no end written for %s: %s", held.run.id, error)
                await asyncio.sleep(AGAIN)
            else:
                break
        if ended:
            self._observe(End(verdict.engine, outcome(verdict), held.run.age))
        else:
            _log.info("investigation %s: a later run has the say", held.run.id)
