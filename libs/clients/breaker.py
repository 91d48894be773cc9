"""Breaker: leaves a failing peer alone for a while, then asks once whether it is back.

    closed ──5 failures in a row, or half of the last 20──► open ──30 s (± jitter)──► half-open
       ▲                                                     ▲                          │ one probe
       └──────────────────────── probe succeeds ─────────────┼──────────────────────────┤
                                                             └──────── probe fails ─────┘

Our own, since the libraries that do it with asyncio are dormant. It decides and keeps no time of its own: the
clock and the jitter are given, so a model can drive it. Thresholds follow Envoy's outlier ejection (5 in a row,
30 s); the half of 20 catches a peer that fails every second call and never five times in a row.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

FAILURES_IN_A_ROW = 5
WINDOW = 20
FAILED_SHARE = 0.5
OPEN_FOR = timedelta(seconds=30)
JITTER = 0.2
"""Share of OPEN_FOR, up or down, so that many callers do not probe a peer at the same instant."""


class BreakerState(StrEnum):
    closed = "closed"
    open = "open"
    half_open = "half-open"


@dataclass(frozen=True, slots=True)
class Admission:
    """Leave for one call. Its outcome counts only in the period in which it was admitted."""

    period: int
    probe: bool


class Breaker:
    """One peer's breaker. For one event loop: not to be shared between threads."""

    def __init__(
        self,
        *,
        failures_in_a_row: int = FAILURES_IN_A_ROW,
        open_for: timedelta = OPEN_FOR,
        now: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = lambda: random.uniform(-JITTER, JITTER),
    ) -> None:
        self._now, self._jitter = now, jitter
        self._allowed_in_a_row, self._open_for = failures_in_a_row, open_for
        self._period = 0
        self._open_until: float | None = None
        self._probing = False
        self._in_a_row = 0
        self._recent: deque[bool] = deque(maxlen=WINDOW)

    @property
    def state(self) -> BreakerState:
        """For a gauge; reading it changes nothing."""
        if self._open_until is None:
            return BreakerState.closed
        return BreakerState.open if self._now() < self._open_until else BreakerState.half_open

    def admit(self) -> Admission | timedelta:
        """Leave to call, or how long to stay away. Every admission must be settled exactly once."""
        if self._open_until is None:
            return Admission(self._period, probe=False)
        left = self._open_until - self._now()
        if left > 0:
            return timedelta(seconds=left)
        if self._probing:
            return timedelta(seconds=1)  # somebody is asking; the answer is at most a call away
        self._probing = True
        return Admission(self._period, probe=True)

    def succeeded(self, admission: Admission) -> None:
        if admission.period != self._period:
            return
        if admission.probe:
            self._close()
            return
        self._in_a_row = 0
        self._recent.append(True)

    def failed(self, admission: Admission) -> None:
        if admission.period != self._period:
            return
        if admission.probe:
            self._open()
            return
        self._in_a_row += 1
        self._recent.append(False)
        if self._in_a_row >= self._allowed_in_a_row or self._half_failed():
            self._open()

    def abandoned(self, admission: Admission) -> None:
        """The call ended without saying anything about the peer (its caller was cancelled)."""
        if admission.period == self._period and admission.probe:
            self._probing = False

    def _half_failed(self) -> bool:
        return len(self._recent) == WINDOW and self._recent.count(False) >= WINDOW * FAILED_SHARE

    def _open(self) -> None:
        self._new_period()
        self._open_until = self._now() + self._open_for.total_seconds() * (1 + self._jitter())

    def _close(self) -> None:
        self._new_period()
        self._open_until = None

    def _new_period(self) -> None:
        # Calls admitted before still run; what becomes of them says nothing about the peer as it is now.
        self._period += 1
        self._probing = False
        self._in_a_row = 0
        self._recent.clear()
