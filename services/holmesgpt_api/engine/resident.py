"""A child between two runs: nothing of the one before is left, and what the child has become is told.

That a child serves runs of one reach alone is the service's doing (`adapters/residents.py`); here it is checked once
more, and everything that a run had for itself is dropped.
"""

from __future__ import annotations

import contextvars
import ctypes
import functools
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from services.holmesgpt_api.engine.messages import Rested

BUSY, IDLE = b"holmes-busy", b"holmes-idle"
"""Names of the process, as `ps -o comm` shows them."""

PR_SET_NAME = 15

MEASURED_EVERY = 50
"""Runs between two exact looks at this process's own memory: each walks 330 MB of page tables (10 to 30 ms)."""

LAST_OF_A_THREAD = 0.2
"""Seconds that a thread which is ending has for it."""

_ROLLUP = Path("/proc/self/smaps_rollup")
_STATM = Path("/proc/self/statm")


class OtherReach(Exception):
    """A run of another reach than this child's was given to it; it was not begun."""


class Resident:
    """One child's life, over all its runs. Make it in the child's main thread, before it does anything else."""

    def __init__(
        self, *, forget: Callable[[], None] = lambda: None, measure_every: int = MEASURED_EVERY
    ) -> None:
        """`forget`: empties what libraries keep of a run."""
        self._forget, self._every = forget, measure_every
        self._reach: str | None = None
        self._own, self._rss = 0, 0
        self._threads: frozenset[int] = frozenset()
        self.runs = 0
        name(IDLE)

    def begin(self, reach: str) -> None:
        """Raises OtherReach."""
        if self._reach is not None and (not reach or reach != self._reach):
            raise OtherReach
        self._reach = reach
        self._threads = frozenset(id(one) for one in threading.enumerate())
        name(BUSY)

    def run(self, act: Callable[[], None]) -> None:
        """In a context of its own: what libraries keep per context ends with it."""
        contextvars.copy_context().run(act)

    def rest(self) -> Rested:
        """The run is over: forget it, and say what is left."""
        self._forget()
        left = self._left_behind()
        gc.collect()  # what refers to itself would stay for a while
        self.runs += 1
        rested = Rested(runs=self.runs, own_kb=self._own_kb(), threads=left)
        name(IDLE)
        return rested

    def _left_behind(self) -> int:
        """Threads that the run has begun and that do not end."""
        until = time.monotonic() + LAST_OF_A_THREAD
        while True:
            more = [one for one in threading.enumerate() if id(one) not in self._threads]
            left = until - time.monotonic()
            if not more or left <= 0:
                return len(more)
            more[0].join(left)

    def _own_kb(self) -> int:
        rss = rss_kb()
        if self.runs == 1 or self.runs % self._every == 0:
            self._own, self._rss = own_kb(), rss
        return max(self._own + rss - self._rss, 0)


def own_kb() -> int:
    """Memory that this process has for itself; 0 where the system does not say (no Linux)."""
    try:
        lines = _ROLLUP.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


def rss_kb() -> int:
    """Memory that this process has mapped, what it shares included."""
    try:
        return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except OSError:
        return 0


def name(comm: bytes) -> None:
    if sys.platform == "linux":
        _libc().prctl(PR_SET_NAME, comm, 0, 0, 0)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
