"""One door for each foreign source: so many calls at once, a deadline, a breaker, and a record of what it gave and cost.

Decides whether a source is asked now and what its failures come to; what is asked is the adapters' business. A gate
lives as long as the process, a round as long as one snapshot's questions to it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol, TypeVar

from libs.clients.breaker import Admission, Breaker, BreakerState
from services.context_api.adapters.live.errors import ApiFailure, HeldBack, Why
from services.context_api.domain.sources import Outcome, Part, SourceName, outcome_of

T = TypeVar("T")

DOWN = frozenset({Why.slow, Why.unreachable, Why.broken, Why.overloaded})
"""Failures of the source itself. Others are answers: it lives, and the question or the amount was wrong."""

_WORDS = {
    Why.slow: "no answer in time",
    Why.unreachable: "no connection",
    Why.broken: "it failed, or its answer cannot be read",
    Why.overloaded: "it is overloaded",
    Why.unauthorized: "it does not take our credentials",
    Why.forbidden: "not allowed",
    Why.missing: "not there",
    Why.refused: "it refused the question",
    Why.large: "the answer is too large",
}


class Telling(Protocol):
    """Is told of every call; metrics, or a test's notebook."""

    def ended(self, source: SourceName, outcome: Outcome, seconds: float, size: int) -> None: ...
    def stands(self, source: SourceName, state: BreakerState, in_flight: int) -> None: ...


class Unheard:
    """Nobody counts: a command that reads once."""

    def ended(self, source: SourceName, outcome: Outcome, seconds: float, size: int) -> None:
        """Not kept."""

    def stands(self, source: SourceName, state: BreakerState, in_flight: int) -> None:
        """Not kept."""


class Gate:
    """For one event loop."""

    def __init__(
        self,
        name: SourceName,
        *,
        deadline: timedelta,
        at_once: int,
        breaker: Breaker | None = None,
        telling: Telling | None = None,
        down: Set[Why] = DOWN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.deadline, self.down = name, deadline, down
        self.breaker = breaker or Breaker()
        self.telling = telling or Unheard()
        self.clock = clock
        self.bulkhead = asyncio.Semaphore(at_once)
        self.in_flight = 0
        self.heard: float | None = None
        """When it last answered, on our clock."""
        self.last: Part | None = None
        """How it took part last."""

    def round(self, *, bounded: bool = True) -> Round:
        """Questions of one snapshot, all within one deadline from now on; not `bounded`: whoever asks sees to it."""
        return Round(self, bounded)

    @property
    def age(self) -> timedelta | None:
        """How long ago it last answered; None: not since the start."""
        return None if self.heard is None else timedelta(seconds=self.clock() - self.heard)

    def stands(self) -> None:
        self.telling.stands(self.name, self.breaker.state, self.in_flight)


@dataclass
class Round:
    """What one snapshot asks of one source."""

    gate: Gate
    bounded: bool = True
    calls: int = 0
    answered: int = 0
    size: int = 0
    failures: Counter[tuple[Outcome, str]] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None

    def sent(self, size: int) -> None:
        """So many bytes came."""
        self.size += size

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.began + self.gate.deadline.total_seconds() - time.monotonic()

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """What the call brings.

        Raises:
            ApiFailure: what the call failed with; `slow` at the deadline.
            HeldBack: the breaker is open.
        """
        gate, before = self.gate, self.size
        self.calls += 1
        began: float | None = None
        admission: Admission | None = None
        try:
            async with asyncio.timeout(self.left if self.bounded else None), gate.bulkhead:
                admission = self._admitted()
                gate.in_flight += 1
                began = time.monotonic()
                gate.stands()
                try:
                    found = await call()
                finally:
                    gate.in_flight -= 1
        except TimeoutError as error:
            failure = ApiFailure(Why.slow, f"no answer within {gate.deadline.total_seconds():g} s")
            self._failed(failure, admission, began, before)
            raise failure from error
        except ApiFailure as failure:
            self._failed(failure, admission, began, before)
            raise
        except BaseException:
            if admission is not None:
                gate.breaker.abandoned(admission)
            raise
        self.answered += 1
        gate.heard = gate.clock()
        gate.breaker.succeeded(admission)
        self._told(Outcome.read, began, before)
        return found

    async def all(self, calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T | ApiFailure]:
        """Each call's result or failure, side by side. A source that may be back is asked one thing first."""
        done: list[T | ApiFailure] = []
        if self.gate.breaker.state is not BreakerState.closed:
            done = [await self._one(call) for call in calls[:1]]
        return [*done, *await asyncio.gather(*(self._one(call) for call in calls[len(done) :]))]

    async def _one(self, call: Callable[[], Awaitable[T]]) -> T | ApiFailure:
        try:
            return await self.ask(call)
        except ApiFailure as failure:
            return failure

    def late(self, calls: int) -> None:
        """So many were given up at the deadline by whoever asked."""
        if calls:
            self.failures[_kind(ApiFailure(Why.slow, ""))] += calls
            self.ended = time.monotonic()

    def part(self) -> Part:
        """How the source took part in this snapshot."""
        gate = self.gate
        failed = [outcome for outcome, _ in self.failures.elements()]
        gate.last = Part(
            gate.name,
            outcome_of(self.answered, failed),
            age=gate.age,
            took=timedelta(seconds=(self.ended or self.began) - self.began),
            deadline=gate.deadline,
            calls=self.calls,
            size=self.size,
            breaker=gate.breaker.state,
            reason="; ".join(
                f"{words} ({count} of {self.calls} calls)"
                for (_, words), count in self.failures.most_common()
            ),
        )
        gate.stands()
        return gate.last

    def _admitted(self) -> Admission:
        leave = self.gate.breaker.admit()
        if isinstance(leave, Admission):
            return leave
        raise HeldBack(leave)

    def _failed(
        self, failure: ApiFailure, admission: Admission | None, began: float | None, before: int
    ) -> None:
        outcome, words = _kind(failure)
        self.failures[outcome, words] += 1
        if admission is not None:
            if failure.why in self.gate.down:
                self.gate.breaker.failed(admission)
            else:
                self.gate.heard = self.gate.clock()
                self.gate.breaker.succeeded(admission)
        self._told(outcome, began, before)

    def _told(self, outcome: Outcome, began: float | None, before: int) -> None:
        """`began` None: its turn never came."""
        self.ended = time.monotonic()
        seconds = self.ended - began if began is not None else 0.0
        self.gate.telling.ended(self.gate.name, outcome, seconds, self.size - before)
        self.gate.stands()


def _kind(failure: ApiFailure) -> tuple[Outcome, str]:
    """What it comes to, in words that name neither an object nor an address."""
    if isinstance(failure, HeldBack):
        return Outcome.held_back, "not asked, as it failed again and again"
    outcome = Outcome.late if failure.why is Why.slow else Outcome.failed
    return outcome, _WORDS.get(failure.why, failure.why)
