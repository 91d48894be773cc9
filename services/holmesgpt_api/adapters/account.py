"""One run's account: asks for leave before each step, and writes down what each request to a model took."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import timedelta

from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.budget import Amount, Limits, Purse, Spent, check_run
from services.holmesgpt_api.engine.messages import ModelAsked, Step

_log = logging.getLogger(__name__)

AGAIN = 0.5
"""Seconds between two tries to reach the books."""

LAST_TRIES = 5.0
"""Seconds after a run's end in which its last usage is still tried to be written down."""

SPARE = timedelta(seconds=30)
"""How long after its run's end a reservation that nobody let go of still counts."""


class Account:
    def __init__(
        self,
        purse: Purse,
        limits: Limits,
        *,
        run: str,
        tenant: str,
        until: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`until`: the run's end, on the clock."""
        self._purse, self._limits, self._run, self._tenant = purse, limits, run, tenant
        self._until, self._clock = until, clock
        self._used, self._uncharged = Amount(), Amount()
        self._counted: float | None = None
        """Up to when the run's time is counted; None: it has had no leave for a step yet, or is over."""
        self._held = False
        """Whether something is kept back in the books."""

    def had(self, used: Amount, *, until: float) -> None:
        """What the run had used before this process took it up, which is written down already; and when it ends."""
        self._used, self._until = used, until

    async def step(self, step: Step) -> None:
        """Wait for leave to take it, for as long as the books cannot be reached: unpaid steps are not taken.

        Raises:
            Spent: it may not be taken.
        """
        if not step.tokens:
            return  # its answer was recorded before a kill: no model is asked
        check_run(self._limits.run, self._used)
        limit = self._limits.of(self._tenant)
        while True:
            self._count_time()
            left = self._left
            wanted = Amount(step.tokens, step.cost_usd, steps=1, seconds=left)
            life = timedelta(seconds=left) + SPARE
            try:
                self._held = True  # also where its answer is lost
                await self._purse.reserve(
                    self._run, self._tenant, wanted, used=self._uncharged, limit=limit, life=life
                )
            except StorageUnavailable as error:
                _log.info("run %s waits for its budget: %s", self._run, error)
                await asyncio.sleep(AGAIN)
            except Spent:
                self._uncharged = Amount()
                raise
            else:
                break
        taken = Amount(steps=1)
        self._used, self._uncharged = self._used + taken, taken
        if self._counted is None:
            self._counted = self._clock()

    async def asked(self, one: ModelAsked) -> None:
        """Write one request down. What cannot be written now is with the next one."""
        amount = Amount(one.prompt_tokens + one.completion_tokens, one.cost_usd)
        self._used += amount
        self._uncharged += amount
        if one.word is None or amount:  # while another attempt is to come, the step is not over
            try:
                await self._charge()
            except StorageUnavailable as error:
                _log.info("usage of run %s is written down later: %s", self._run, error)

    @property
    def _left(self) -> float:
        return max(self._until - self._clock(), 0.0)

    def _count_time(self) -> None:
        """Add the time since it was counted last, up to the run's end at most."""
        if self._counted is not None:
            now = min(self._clock(), self._until)
            self._uncharged += Amount(seconds=max(now - self._counted, 0.0))
            self._counted = max(now, self._counted)

    async def _charge(self) -> None:
        """Until it is over its time goes on, and stays kept back."""
        self._count_time()
        keep = Amount() if self._counted is None else Amount(seconds=self._left)
        await self._purse.charge(self._run, self._tenant, self._uncharged, keep=keep)
        self._uncharged, self._held = Amount(), bool(keep)

    async def close(self) -> None:
        """The run is over: write down what is left, and let go of what was kept back."""
        until = time.monotonic() + LAST_TRIES
        self._count_time()
        self._counted = None
        while self._held or self._uncharged:
            try:
                await self._charge()
            except StorageUnavailable as error:
                if time.monotonic() >= until:
                    _log.error("run %s: %s were not written down: %s", self._run, self._uncharged, error)
                    return
                await asyncio.sleep(AGAIN)
            else:
                return
