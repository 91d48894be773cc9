"""One run's account: asks for leave before each step, and writes down what each request to a model took."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta

from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.budget import Amount, Limits, Purse, check_run
from services.holmesgpt_api.engine.messages import ModelAsked, Step

_log = logging.getLogger(__name__)

AGAIN = 0.5
"""Seconds between two tries to reach the books."""

LAST_TRIES = 5.0
"""Seconds after a run's end in which its last usage is still tried to be written down."""

SPARE = timedelta(seconds=30)
"""How long after its run's end a reservation that nobody let go of still counts."""


class Account:
    def __init__(self, purse: Purse, limits: Limits, *, run: str, tenant: str, until: float) -> None:
        """`until`: the run's end, on the monotonic clock."""
        self._purse, self._limits, self._run, self._tenant = purse, limits, run, tenant
        self._until = until
        self._used, self._uncharged = Amount(), Amount()
        self._held = False
        """Whether something is kept back in the books."""

    def had(self, used: Amount) -> None:
        """What the run had used before this process took it up; it is written down already."""
        self._used = used

    async def step(self, step: Step) -> None:
        """Wait for leave to take it, for as long as the books cannot be reached: unpaid steps are not taken.

        Raises:
            Spent: it may not be taken.
        """
        check_run(self._limits.run, self._used)
        wanted, limit = Amount(step.tokens, step.cost_usd), self._limits.of(self._tenant)
        while True:
            life = timedelta(seconds=max(self._until - time.monotonic(), 0.0)) + SPARE
            try:
                if self._uncharged:
                    await self._charge()
                self._held = True  # also where its answer is lost
                await self._purse.reserve(self._run, self._tenant, wanted, limit=limit, life=life)
            except StorageUnavailable as error:
                _log.info("run %s waits for its budget: %s", self._run, error)
                await asyncio.sleep(AGAIN)
            else:
                return

    async def asked(self, one: ModelAsked) -> None:
        """Write one request down. What cannot be written now is with the next one."""
        amount = Amount(one.prompt_tokens + one.completion_tokens, one.cost_usd)
        self._used += amount
        self._uncharged += amount
        if amount:
            try:
                await self._charge()
            except StorageUnavailable as error:
                _log.info("usage of run %s is written down later: %s", self._run, error)

    async def _charge(self) -> None:
        due = self._uncharged
        await self._purse.charge(self._run, self._tenant, due)
        self._uncharged, self._held = Amount(), False

    async def close(self) -> None:
        """The run is over: write down what is left, and let go of what was kept back."""
        until = time.monotonic() + LAST_TRIES
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
