"""Decide which of the engine's children serve another run, and which go. Pure.

A child serves runs of one reach: the same tenant, asker, readable namespaces and models. Anything unusual ends it, and so
do age, use and growth: what a library leaks is given back with the process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, get_args

Why = Literal[
    "killed",  # its process is gone
    "cut-short",  # its run was cancelled, or stopped at its deadline
    "failed",  # its run failed, and not for the model's fault
    "bad-frame",  # it said what is no message, or when nobody had asked
    "restless",  # it did not come to rest after its run
    "thread",  # its run left a thread behind
    "memory",  # it has grown beyond its bound
    "runs",  # it has served as many as it may
    "age",
    "idle",  # nobody needed it for long
    "room",  # its place was needed
    "pressure",  # memory is short
    "single",  # it was for one run
    "engine",  # its zygote is gone
]
WHYS: tuple[Why, ...] = get_args(Why)

FAULTS_OF_THE_MODEL = frozenset(
    {
        *("model-unauthorized", "model-rate-limited", "model-error", "model-refused", "model-unreachable"),
        *(
            "model-garbage",
            "model-context-exceeded",
            "model-max-steps",
            "model-misconfigured",
            "model-without-tools",
        ),
    }
)
"""Ends of a run that say nothing about its process. `model-timeout` is not among them: its time was up."""

GROWN_WITHIN = timedelta(minutes=30)
GROWN_AT_MOST = 3
"""Children that may grow beyond their bound within that time. More, and it is no odd run: an alert is due."""

MEASURED_FROM = 5
"""Runs from which on a child's growth says something: in the first ones it fills its tables."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator has set; `settings_engine.py` says why these defaults."""

    idle: int
    """Children that wait for a run, at most; 0: none serves a second run."""
    spare: int
    """Of these, such that have served nobody yet."""
    most: int
    """Children in all."""
    age: timedelta
    runs: int
    memory: int
    """Bytes of its own."""
    rest: timedelta
    """Longest idle time."""
    pressure: float
    """Share of the memory there is."""


NONE_KEPT = Policy(
    idle=0,
    spare=0,
    most=1_000,
    age=timedelta(hours=1),
    runs=1,
    memory=1 << 40,
    rest=timedelta(minutes=1),
    pressure=1.0,
)
"""A child for each run."""


@dataclass(frozen=True, slots=True)
class State:
    """A child after a run."""

    runs: int
    own: int
    """Bytes."""
    threads: int
    age: timedelta


def unfit(policy: Policy, state: State) -> Why | None:
    """Why a child that has come to rest serves no other run."""
    if state.threads:
        return "thread"
    if state.own > policy.memory:
        return "memory"
    if state.runs >= policy.runs:
        return "runs"
    if state.age >= policy.age:
        return "age"
    return None if policy.idle else "single"


def outstayed(policy: Policy, *, age: timedelta, idle: timedelta, pressed: bool) -> Why | None:
    """Why a child that waits for a run goes now."""
    if pressed:
        return "pressure"
    if age >= policy.age:
        return "age"
    return "idle" if idle >= policy.rest else None


@dataclass
class Growth:
    """How children grow: what one run adds on the average, and whether too many have outgrown their bound."""

    per_run: float = 0.0
    """Bytes; the mean of the last children measured, each weighing a fifth."""
    _first: dict[str, tuple[int, int]] = field(default_factory=dict)
    _outgrown: deque[float] = field(default_factory=lambda: deque(maxlen=GROWN_AT_MOST + 1))

    def seen(self, child: str, runs: int, own: int) -> None:
        """A child has come to rest after so many runs, with so many bytes of its own."""
        if runs < MEASURED_FROM:
            return
        begun, had = self._first.setdefault(child, (runs, own))
        if runs > begun:
            self.per_run += ((own - had) / (runs - begun) - self.per_run) / 5

    def gone(self, child: str, why: Why, now: float) -> None:
        """`now`: seconds on the monotonic clock."""
        self._first.pop(child, None)
        if why == "memory":
            self._outgrown.append(now)

    def alert(self, now: float) -> bool:
        """Whether too many children grew beyond their bound of late."""
        recent = [one for one in self._outgrown if now - one <= GROWN_WITHIN.total_seconds()]
        return len(recent) > GROWN_AT_MOST


def makes_room(idle: Sequence[float]) -> int:
    """Which of those that wait goes first, where `idle` is since when each does: the longest."""
    return min(range(len(idle)), key=idle.__getitem__)
