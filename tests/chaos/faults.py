"""Faults of the database while alerts are posted: it freezes, and its disk is full."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from libs.storage.embedded.remains import workers_in
from tests.chaos.campaign import BATCH, Campaign
from tests.chaos.history import Outcome
from tests.support.tmpfs import Ballast

SHED_WITHIN_S = 60.0
"""By then a fault must have been felt, or the test has caused none."""


@dataclass
class FaultCampaign(Campaign):
    """One fault per round, which begins while a round's first half is posted; the other half meets it."""

    kills_each: int = 0
    rounds: int = 1
    allowed: int = 0
    """How many alerts may be acknowledged for now."""

    @abstractmethod
    def fault(self) -> AbstractAsyncContextManager[None]:
        """Begin it; and end it when the block ends, by which time somebody has been refused."""

    async def turn(self, keys: Sequence[str]) -> None:
        while len(self.history.acknowledged) + BATCH > self.allowed:
            await asyncio.sleep(0.01)

    async def kill_all(self) -> None:
        for number in range(self.rounds):
            began, ends = (self.alerts * n // self.rounds for n in (number, number + 1))
            self.allowed = (began + ends) // 2
            await self.reached(began + (ends - began) // 4)
            async with self.fault():
                self.allowed = ends
            over, before = time.monotonic(), len(self.history.acknowledged)
            await self.reached(before + 1)
            self.recoveries_s.append(time.monotonic() - over)
            if number + 1 < self.rounds:
                # Those of this round that are on their way may still be repeated when the next begins.
                await self.reached(ends - BATCH)
        self.allowed = self.alerts + BATCH

    @property
    def refused(self) -> int:
        """Alerts answered with 503 and Retry-After so far, repeats included."""
        return self.history.attempts[Outcome.fail]

    async def until_refused(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        ends, before = time.monotonic() + SHED_WITHIN_S, self.refused
        while self.refused == before:
            assert time.monotonic() < ends, f"nobody was refused within {SHED_WITHIN_S} s"
            meanwhile()
            await asyncio.sleep(0.05)


@contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    """Stop these processes; let them go on whatever happens. Some may end meanwhile."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@dataclass
class FrozenDatabase(FaultCampaign):
    """Every process of the database stops where it is, and goes on later as if nothing had been."""

    frozen_s: float = 4.0
    """How long after the first refusal."""

    @asynccontextmanager
    async def fault(self) -> AsyncIterator[None]:
        with frozen(workers_in(self.stack.postgres.place.data)):
            yield
            await self.until_refused()
            await asyncio.sleep(self.frozen_s)


@dataclass
class FullDisk(FaultCampaign):
    """Not a block is left: PostgreSQL refuses, crashes and recovers, or ends and does not start until there is room."""

    disk: Path = field(kw_only=True)
    full_s: float = 4.0
    """How long after the first refusal."""
    ended: int = 0
    """In how many rounds the whole server ended; in the others it tried to recover again and again."""

    @asynccontextmanager
    async def fault(self) -> AsyncIterator[None]:
        ballast = Ballast(self.disk)
        ballast.fill()
        try:
            yield

            def keep_full() -> None:
                ballast.fill()  # a crash's recovery removes old log files
                self._use_up_log()

            await self.until_refused(keep_full)
            self.ended += await self._ends_while(keep_full)
        finally:
            ballast.free()

    async def _ends_while(self, keep_full: Callable[[], None]) -> bool:
        over, ended = time.monotonic() + self.full_s, False
        while time.monotonic() < over:
            keep_full()
            ended = ended or self.stack.postgres.pid is None
            await asyncio.sleep(0.05)
        return ended

    def _use_up_log(self) -> None:
        """Begin the log's next file, for which there is no room."""
        with (
            suppress(psycopg.Error),
            psycopg.connect(self.stack.postgres.url(), autocommit=True, connect_timeout=1) as connection,
        ):
            connection.execute("SET statement_timeout = '500ms'")
            connection.execute("SELECT pg_switch_wal()")
